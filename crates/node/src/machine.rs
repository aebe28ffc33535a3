//! The native class that `VirtualMachine` wraps.

use std::rc::Rc;

use napi::bindgen_prelude::{BigInt, Either3, Function, Uint8Array};
use napi::{Either, Env};
use napi_derive::napi;
use vmm::{Host, Machine, Result, RouteId, RunLimits};

use crate::asking::same_thread::SameThread;
use crate::buffer::SharedMemory;
use crate::caught::caught;
use crate::convert::config::{NativeConfig, NativeRoute, limits, steps};
use crate::convert::failure::{Failure, either, nothing};
use crate::convert::loaded::NativeLoaded;
use crate::convert::outcome::{NativeBatch, NativeCounters, NativeText, Told, tell};
use crate::ffi::{self, Callback, WeakFunction};
use crate::lifecycle::Lifecycle;
use crate::lifecycle::reaper;
use crate::lifecycle::running::Callbacks;
use crate::pump::environment::Environment;
use crate::pump::shared;

/// A KVM machine. Every method is safe at any moment: while the machine runs, in its own handlers,
/// after its end. No method throws; a failing one returns a `Failure`. Every method can return
/// `ERR_VM_CLOSED`, and `ERR_INTERNAL` for a panic, after which the machine is closed. Methods that
/// need an idle machine can return `ERR_VM_BUSY`.
#[napi]
pub struct NativeMachine {
    pub(crate) life: Rc<Lifecycle>,
}

#[napi]
impl NativeMachine {
    /// Creates a machine, its vCPU before the payload's first instruction. `ERR_INVALID_OPTION`,
    /// `ERR_LIMIT` or `ERR_PAYLOAD` for the configuration; `ERR_KVM_UNAVAILABLE`,
    /// `ERR_KVM_CAPABILITY` or `ERR_KVM_IOCTL` for the host.
    #[napi(ts_return_type = "NativeMachine | Failure")]
    pub fn create(config: NativeConfig) -> Either<NativeMachine, Failure> {
        let machine = caught(|| reaper::make(|| config.parse().and_then(Machine::new)));
        either(machine.map(|machine| Self::of(Lifecycle::new(machine))))
    }

    /// Runs the vCPU of an idle machine on this thread. `ask` is called for every question, see
    /// `NativeQuestion`. Times are in milliseconds, negative for none: after which the run ends,
    /// and how often the vCPU's thread asks a tick. `instructions` are as many as the run may
    /// execute, negative for all; those of the vCPU `stepped` alone, if it is not negative;
    /// `asks_steps` after each of them. `given` has a bit for each general register
    /// that vCPU 0 gets before, from the words. `ERR_UNANSWERED_READ`, `ERR_HANDLER`,
    /// `ERR_KVM_IOCTL`.
    #[napi(ts_return_type = "number | NativeRest | Failure")]
    #[allow(clippy::too_many_arguments)] // numbers cross faster than an object of them
    pub fn run_sync(
        &self,
        env: Env,
        timeout_ms: f64,
        tick_ms: f64,
        time_kvm_run: bool,
        instructions: f64,
        stepped: i32,
        asks_steps: bool,
        given: u32,
        #[napi(ts_arg_type = "(payload?: Uint8Array | NativeExit) => number | Uint8Array")]
        ask: Function<'_, (), ()>,
    ) -> Told {
        let words = match shared::required_words() {
            Ok(words) => words,
            Err(error) => return Either3::C(error.into()),
        };
        let posted = self.life.posted();
        let mut handler = SameThread {
            words,
            ask: Callback::new(&env, &ask),
            posted: &posted,
        };
        let limits = RunLimits {
            steps: steps(instructions, stepped, asks_steps),
            ..limits(timeout_ms, tick_ms, time_kvm_run)
        };
        let ended = self.life.guarded(|life| {
            life.set_given(words, given)?;
            life.run_here(limits, &mut handler)
        });
        tell(words, ended)
    }

    /// Runs the vCPUs of an idle machine on threads of their own; `settle` gets the end, as
    /// `runSync` returns it, or nothing for a pause. `enter` has to call `inside`, which then
    /// calls the others. `serve` gets a bit for each device that JavaScript answers by requests, in
    /// their order, at which some wait, and returns whether answers come later. All of them
    /// are held weakly.
    #[napi]
    #[allow(clippy::too_many_arguments)] // numbers cross faster than an object of them
    pub fn start(
        &self,
        env: Env,
        timeout_ms: f64,
        tick_ms: f64,
        time_kvm_run: bool,
        instructions: f64,
        stepped: i32,
        asks_steps: bool,
        given: u32,
        #[napi(ts_arg_type = "(payload?: Uint8Array | NativeExit) => number | Uint8Array")]
        ask: Function<'_, (), ()>,
        #[napi(ts_arg_type = "(ended?: number | NativeRest | Failure) => void")] settle: Function<
            '_,
            (),
            (),
        >,
        #[napi(ts_arg_type = "() => number")] enter: Function<'_, (), ()>,
        #[napi(ts_arg_type = "(due: number) => number")] serve: Function<'_, (), ()>,
    ) -> Option<Failure> {
        let [ask, settle, enter, serve] =
            [ask, settle, enter, serve].map(|function| WeakFunction::new(&env, &function));
        let (Some(ask), Some(settle), Some(enter), Some(serve)) = (ask, settle, enter, serve)
        else {
            return nothing(Err(shared::no_words()));
        };
        let (Some(environment), Some(words)) = (Environment::get(env), shared::words()) else {
            return nothing(Err(shared::no_words()));
        };
        let callbacks = Callbacks {
            ask,
            settle,
            enter,
            serve,
        };
        let limits = RunLimits {
            steps: steps(instructions, stepped, asks_steps),
            ..limits(timeout_ms, tick_ms, time_kvm_run)
        };
        nothing(self.life.guarded(|life| {
            life.set_given(words, given)?;
            self.life.run_there(&environment, limits, callbacks)
        }))
    }

    /// Ends it, and empties its memory; its descriptors go soon. Returns the text that handlers
    /// have yet to get, if a run was cut off. Posted writes can be taken until `release`.
    #[napi]
    pub fn close(&self) -> Vec<NativeText> {
        NativeText::all(self.quietly(Lifecycle::close))
    }

    /// How many thousand times a second its vCPUs' time-stamp counters count; 0 if KVM does not
    /// know.
    #[napi]
    pub fn tsc_khz(&self) -> u32 {
        Host::get().map_or(0, Host::tsc_khz)
    }

    /// Whether it is closed, by `close` or after a panic.
    #[napi]
    pub fn is_closed(&self) -> bool {
        self.life.is_closed()
    }

    /// After `close`, drops the posted writes that were not taken.
    #[napi]
    pub fn release(&self) {
        self.quietly(Lifecycle::release);
    }

    /// Answers the unclaimed read that ended the last run of an idle machine: with 64 bits, of
    /// which the low ones count, or with size times count bytes. `ERR_UNANSWERED_READ` when no read
    /// waits, `ERR_INVALID_OPTION` for a wrong length.
    #[napi]
    pub fn reply(&self, value: Either<BigInt, Uint8Array>) -> Option<Failure> {
        nothing(self.with_idle(|machine| match value {
            Either::A(value) => machine.reply(value.get_u64().1),
            Either::B(bytes) => machine.reply_bytes(&bytes),
        }))
    }

    /// Raises or lowers a line of the irqchip (`KVM_IRQ_LINE`).
    #[napi]
    pub fn set_line(&self, line: u32, level: bool) -> Option<Failure> {
        nothing(
            self.life
                .guarded(|life| life.handles.interrupts()?.set_line(line, level)),
        )
    }

    /// Gives a line of the irqchip one edge.
    #[napi]
    pub fn pulse_line(&self, line: u32) -> Option<Failure> {
        nothing(
            self.life
                .guarded(|life| life.handles.interrupts()?.pulse(line)),
        )
    }

    /// Queues an external interrupt for a vCPU of a machine without an irqchip (`KVM_INTERRUPT`).
    #[napi]
    pub fn interrupt(&self, vcpu: u32, vector: u8) -> Option<Failure> {
        nothing(
            self.life.guarded(|life| {
                life.interrupt(vcpu, |interrupts| interrupts.interrupt(vcpu, vector))
            }),
        )
    }

    /// Queues a non-maskable interrupt for a vCPU (`KVM_NMI`).
    #[napi]
    pub fn nmi(&self, vcpu: u32) -> Option<Failure> {
        nothing(
            self.life
                .guarded(|life| life.interrupt(vcpu, |interrupts| interrupts.nmi(vcpu))),
        )
    }

    /// Sends bytes to the guest's serial port, as many as there is space for, and returns how many.
    #[napi]
    pub fn serial_input(&self, bytes: Uint8Array) -> u32 {
        let sent = self.quietly(|life| life.handles.serial().map(|port| port.input(&bytes)));
        sent.unwrap_or_default() as u32
    }

    /// Whether the handler gets what the guest sends from now on; else, as in the beginning, it
    /// joins the result's output.
    #[napi]
    pub fn deliver_serial(&self, deliver: bool) {
        self.quietly(|life| {
            if let Some(port) = life.handles.serial() {
                port.deliver(deliver);
            }
        });
    }

    /// What was put into memory before the first instruction.
    #[napi]
    pub fn loaded(&self) -> NativeLoaded {
        NativeLoaded::from(&self.life.placement)
    }

    /// Whether a range of guest physical addresses has memory, else `ERR_GUEST_MEMORY`; no byte is
    /// touched.
    #[napi]
    pub fn check_memory(&self, gpa: f64, length: f64) -> Option<Failure> {
        nothing(
            self.life
                .guarded(|life| life.handles.memory()?.check(gpa as u64, length as u64)),
        )
    }

    /// Copies guest memory into an array, also while the machine runs. `ERR_GUEST_MEMORY` outside
    /// every slot.
    #[napi]
    pub fn read_memory(&self, gpa: f64, into: Uint8Array) -> Option<Failure> {
        nothing(self.life.guarded(|life| {
            ffi::fill(into, |bytes| life.handles.memory()?.read(gpa as u64, bytes))
        }))
    }

    /// Copies an array into guest memory, also while the machine runs. `ERR_GUEST_MEMORY` outside
    /// every slot.
    #[napi]
    pub fn write_memory(&self, gpa: f64, bytes: Uint8Array) -> Option<Failure> {
        nothing(
            self.life
                .guarded(|life| life.handles.memory()?.write(gpa as u64, &bytes)),
        )
    }

    /// Slot 0 without a copy. To be called once, and kept.
    #[napi(ts_return_type = "ArrayBuffer | Failure")]
    pub fn memory_buffer(&self) -> Either<SharedMemory, Failure> {
        either(
            self.life
                .guarded(|life| life.handles.memory())
                .map(SharedMemory::new),
        )
    }

    /// Attaches a route while the machine is idle, and returns its id: word 1 of its questions. The
    /// routes of the configuration have the ids 0, 1, … in their order, COM1 the next; no id is
    /// given twice. Where it claims what the devices of a PC have, they give way until it is
    /// detached. `ERR_INVALID_OPTION`, `ERR_LIMIT`, `ERR_KVM_CAPABILITY` or `ERR_KVM_IOCTL`, and
    /// then nothing is changed.
    #[napi]
    pub fn attach(&self, route: NativeRoute) -> Either<u32, Failure> {
        let attached = self.life.guarded(|life| life.attach(&route.parse()));
        either(attached.map(RouteId::get))
    }

    /// Removes a route of the caller's while the machine is idle, by its id. Posted writes that
    /// were not taken go with it, and console text that waits joins the next result's output.
    /// `ERR_INVALID_OPTION` when there is no such route.
    #[napi]
    pub fn detach(&self, route: u32) -> Option<Failure> {
        nothing(self.life.guarded(|life| life.detach(RouteId::new(route))))
    }

    /// Takes the posted writes of a `queue` or `coalesce` route, by its id, oldest first; `null`
    /// when there are none.
    #[napi]
    pub fn drain(&self, route: u32) -> Option<NativeBatch> {
        NativeBatch::new(self.quietly(|life| life.drain(RouteId::new(route))))
    }

    /// Takes the count of an `event` route, by its id: writes since the last call.
    #[napi]
    pub fn take_count(&self, route: u32) -> f64 {
        self.quietly(|life| life.posted().take_count(RouteId::new(route))) as f64
    }

    /// To be called when the promise of a posted route's consumer is settled: it may get the next
    /// batch.
    #[napi]
    pub fn consumed(&self, route: u32) {
        self.quietly(|life| life.posted().consumed(RouteId::new(route)));
    }

    /// What was counted so far; also while the machine runs.
    #[napi]
    pub fn counters(&self) -> NativeCounters {
        NativeCounters::of(&self.life.counters, self.life.handles.nic_counts())
    }
}

impl NativeMachine {
    pub fn of(life: Lifecycle) -> Self {
        let life = Rc::new(life);
        Self { life }
    }

    /// A call that reports no failure; after a fault of vmexit's own every other call fails as
    /// closed.
    pub fn quietly<T: Default>(&self, call: impl FnOnce(&Lifecycle) -> T) -> T {
        self.life.guarded(|life| Ok(call(life))).unwrap_or_default()
    }

    pub fn with_idle<T>(&self, call: impl FnOnce(&mut Machine) -> Result<T>) -> Result<T> {
        self.life.guarded(|life| life.with_idle(call))
    }
}
