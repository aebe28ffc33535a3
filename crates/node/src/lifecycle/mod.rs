//! A machine's life cycle as JavaScript sees it. Busy is ownership: the thread that runs a machine
//! owns it, and what is left here can only kick.

mod attend;
mod handles;
mod owed;
mod pause;
pub mod reaper;
mod remotes;
pub mod running;
mod spin_calls;
pub mod spinning;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use vmm::limits::{BOOT_VCPU, MAX_VCPUS};
use vmm::{
    Counters, End, Error, ErrorCode, ExitHandler, Interrupts, KickCause, KickHandle, Machine,
    Outcome, Placement, Result, RouteConfig, RouteId, RunLimits, Sampler, kvm_regs,
};

use crate::asking::posted::Posted;
use crate::caught::caught;
use crate::convert::block;
use crate::ffi::Words;
use crate::pump::environment::Environment;
use handles::{Handles, busy, closed, paused};
use owed::Owed;
use reaper::Memory;
use running::{Callbacks, Running};
use spinning::Spinning;

enum State {
    Idle(Box<Machine>),
    /// `runSync` is on this thread's stack and has the machine.
    Here(KickHandle),
    /// A thread of its own has the machine.
    There(Box<Running>),
    /// A thread of its own has the machine, and looks for calls.
    Spinning(Box<Spinning>),
    /// Between two threads of one run.
    Paused(Box<Machine>, Box<Running>),
    Closed,
}

/// What a `NativeMachine` holds.
pub struct Lifecycle {
    state: RefCell<State>,
    pub handles: Handles,
    pub placement: Placement,
    pub counters: Arc<Counters>,
    pub sampler: Arc<Sampler>,
    /// Where posted writes wait; until `release`, which is after `close`.
    posted: RefCell<Rc<Posted>>,
    /// The vCPU that is served first.
    next: Cell<usize>,
    pub owed: Owed,
    /// The number of the last call of a spinning vCPU.
    spins: Cell<u32>,
}

/// How a run ended, and its registers then, if they are known without a call to KVM.
pub type Ended = (Outcome, Option<kvm_regs>);

/// The registers at the end of a run: of the vCPU that ended it, or the first. Those of an exit
/// that nothing claims are KVM's.
fn at_end(machine: &mut Machine, outcome: &Outcome) -> Option<kvm_regs> {
    let processor = machine.vcpu(outcome.vcpu.unwrap_or(BOOT_VCPU))?;
    match outcome.end {
        End::Exit(_) => processor.registers_at_exit(),
        _ => processor.registers_at_hand(),
    }
}

impl Lifecycle {
    pub fn new(mut machine: Machine) -> Self {
        let boot = machine.vcpu(BOOT_VCPU);
        Self {
            sampler: boot.map(|it| Arc::clone(it.sampler())).unwrap_or_default(),
            handles: Handles::new(&machine),
            placement: machine.placement().clone(),
            counters: Arc::clone(machine.counters()),
            posted: RefCell::new(Rc::new(Posted::new(machine.feeds()))),
            next: Cell::new(0),
            owed: Owed::default(),
            spins: Cell::new(0),
            state: RefCell::new(State::Idle(Box::new(machine))),
        }
    }

    /// Makes a call into Rust; a panic in it closes the machine.
    pub fn guarded<T>(&self, call: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        self.judge(caught(|| call(self)))
    }

    fn judge<T>(&self, result: Result<T>) -> Result<T> {
        if matches!(&result, Err(error) if error.code == ErrorCode::Internal) {
            self.close();
        }
        result
    }

    /// Whether `close` was called, or a fault of ours has closed it.
    pub fn is_closed(&self) -> bool {
        matches!(&*self.state.borrow(), State::Closed)
    }

    /// Lends the machine for a call that needs it idle, or paused.
    pub fn with_idle<T>(&self, call: impl FnOnce(&mut Machine) -> Result<T>) -> Result<T> {
        self.still()?;
        match &mut *self.state.borrow_mut() {
            State::Idle(machine) | State::Paused(machine, _) => {
                self.owed.pay(machine)?;
                call(machine)
            }
            State::Here(_) | State::There(_) | State::Spinning(_) => Err(busy()),
            State::Closed => Err(closed()),
        }
    }

    /// Sets general registers of the first vCPU from the words, before a run.
    pub fn set_given(&self, words: Words, given: u32) -> Result<()> {
        if given == 0 {
            return Ok(());
        }
        self.with_idle(|machine| {
            machine.check_ready()?;
            let mut registers = machine.registers()?;
            block::take_registers(words, given, &mut registers);
            machine.set_registers(&registers)
        })
    }

    /// Fills that array, if it is not.
    pub fn settle_registers(&self) -> Result<()> {
        if self.owed.is_none() {
            return Ok(());
        }
        self.with_idle(|_| Ok(()))
    }

    /// The general registers of a vCPU that waits for the answer to a question.
    pub fn asked_registers(&self, ticket: u32) -> Result<kvm_regs> {
        let vcpu = ticket % MAX_VCPUS;
        let found = match &mut *self.state.borrow_mut() {
            State::Here(kick) => kick.registers(vcpu),
            State::There(running) => running.while_asked(ticket, || running.kick.registers(vcpu)),
            State::Paused(machine, running) => {
                running.while_asked(ticket, || machine.vcpu(vcpu)?.registers_at_exit())
            }
            State::Idle(_) | State::Spinning(_) => None,
            State::Closed => return Err(closed()),
        };
        found.ok_or_else(|| {
            Error::new(
                ErrorCode::VmBusy,
                "the vCPU does not wait for this answer any more, and its registers change",
            )
        })
    }

    /// Attaches a route to an idle machine.
    pub fn attach(&self, route: &RouteConfig) -> Result<RouteId> {
        self.with_idle(|machine| {
            let id = machine.attach(route)?;
            self.follow(machine);
            Ok(id)
        })
    }

    /// Takes a route away from an idle machine, with the posted writes that were not taken.
    pub fn detach(&self, route: RouteId) -> Result<()> {
        self.with_idle(|machine| {
            machine.detach(route)?;
            self.follow(machine);
            Ok(())
        })
    }

    /// Its routes have changed.
    fn follow(&self, machine: &Machine) {
        let posted = self.posted().with(machine.feeds());
        self.posted.replace(Rc::new(posted));
    }

    /// Raises an interrupt, at any time until `close`, and makes the vCPU look at it.
    pub fn interrupt(
        &self,
        vcpu: u32,
        raise: impl FnOnce(&Interrupts) -> Result<()>,
    ) -> Result<()> {
        raise(&*self.handles.interrupts()?)?;
        if let State::There(running) = &*self.state.borrow() {
            running.kick.poke(vcpu);
        }
        Ok(())
    }

    /// Where posted writes wait.
    pub fn posted(&self) -> Rc<Posted> {
        Rc::clone(&self.posted.borrow())
    }

    /// The run is over: JavaScript hears of nothing any more.
    fn silence(&self) {
        self.posted().end();
        if let Some(remotes) = self.handles.remotes() {
            remotes.end();
        }
    }

    fn start(&self, next: impl FnOnce() -> State) -> Result<Box<Machine>> {
        self.still()?;
        let mut state = self.state.borrow_mut();
        match std::mem::replace(&mut *state, State::Closed) {
            State::Idle(mut machine) => match self.owed.pay(&mut machine) {
                Ok(()) => {
                    *state = next();
                    Ok(machine)
                }
                Err(error) => {
                    *state = State::Idle(machine);
                    Err(error)
                }
            },
            other => {
                let error = match other {
                    State::Closed => closed(),
                    State::Paused(..) => paused(),
                    _ => busy(),
                };
                *state = other;
                Err(error)
            }
        }
    }

    /// The machine is idle again, and how the run ended: by itself, or as something has stopped it.
    fn end_spin(&self) -> Result<Ended> {
        let state = self.state.replace(State::Closed);
        let State::Spinning(spinning) = state else {
            self.state.replace(state);
            return Err(closed());
        };
        let Some((mut machine, outcome)) = spinning.join() else {
            return Err(Error::internal("the thread of a vCPU has panicked"));
        };
        let ended = outcome.map(|outcome| {
            let registers = at_end(&mut machine, &outcome);
            (outcome, registers)
        });
        self.state.replace(State::Idle(machine));
        ended
    }

    /// Stops a vCPU that looks for calls, if there is one.
    fn still(&self) -> Result<()> {
        match &*self.state.borrow() {
            State::Spinning(spinning) => spinning.kick.kick(KickCause::Stop),
            _ => return Ok(()),
        }
        self.end_spin().map(drop)
    }

    /// Runs on this thread.
    pub fn run_here(&self, limits: RunLimits, handler: &mut dyn ExitHandler) -> Result<Ended> {
        let kick = KickHandle::new();
        let mut machine = self.start(|| State::Here(kick.clone()))?;
        self.posted().begin();
        let result = caught(|| machine.run(&kick, limits, handler));
        let mut state = self.state.borrow_mut();
        if matches!(*state, State::Closed) {
            reaper::reap(machine, Memory::Emptied);
            return Err(closed());
        }
        let ended = result.map(|outcome| {
            let registers = at_end(&mut machine, &outcome);
            (outcome, registers)
        });
        *state = State::Idle(machine);
        drop(state);
        self.judge(ended)
    }

    /// Runs on a thread of its own; the end arrives at `settle`.
    pub fn run_there(
        self: &Rc<Self>,
        environment: &Environment,
        limits: RunLimits,
        callbacks: Callbacks,
    ) -> Result<()> {
        let kick = KickHandle::new();
        let machine = self.start(|| State::Here(kick.clone()))?;
        let posted = self.posted();
        let bell = environment.bell();
        let mut running = Running::new(machine.vcpus(), kick, limits, bell, callbacks);
        posted.begin();
        match running.proceed(machine, &posted) {
            Ok(()) => self.state.replace(State::There(Box::new(running))),
            Err((machine, error)) => {
                self.silence();
                let idle = machine.map_or(State::Closed, State::Idle);
                self.state.replace(idle);
                return Err(error);
            }
        };
        let weak = Rc::downgrade(self);
        environment.add(weak);
        Ok(())
    }

    /// Ends the machine; when this returns its thread is gone, and its memory empty. What it has of
    /// the kernel goes soon, on a thread of its own. Gives, by route, the text of the run that was
    /// cut off which its handlers have yet to get. Under `run_here` the machine goes when that
    /// returns.
    pub fn close(&self) -> Vec<(RouteId, Vec<u8>)> {
        let is_here = matches!(&*self.state.borrow(), State::Here(_));
        let memory = is_here.then(|| self.handles.memory());
        let texts = self.end(Memory::Emptied);
        // The run that called returns later, and the guest does nothing until then.
        if let Some(Ok(memory)) = memory {
            memory.give_back();
        }
        texts
    }

    /// As `close`, but a buffer that is kept keeps what is in it.
    fn end(&self, memory: Memory) -> Vec<(RouteId, Vec<u8>)> {
        Environment::remove(self);
        self.handles.release();
        self.posted().end();
        match self.state.replace(State::Closed) {
            State::Idle(mut machine) => {
                // What cannot be known any more fails when somebody looks.
                let _ = self.owed.pay(&mut machine);
                reaper::reap(machine, memory);
                Vec::new()
            }
            State::Closed => Vec::new(),
            State::Here(kick) => {
                kick.kick(KickCause::Close);
                Vec::new()
            }
            State::There(running) => {
                running.kick.kick(KickCause::Close);
                match running.join() {
                    Some((mut machine, result)) => {
                        let mut texts = result.map_or_else(|_| Vec::new(), |it| it.undelivered);
                        // It may have paused before.
                        texts.extend(machine.take_undelivered());
                        reaper::reap(machine, memory);
                        texts
                    }
                    None => Vec::new(),
                }
            }
            State::Spinning(spinning) => {
                spinning.kick.kick(KickCause::Close);
                if let Some((machine, _)) = spinning.join() {
                    reaper::reap(machine, memory);
                }
                Vec::new()
            }
            State::Paused(mut machine, _) => {
                let texts = machine.take_undelivered();
                reaper::reap(machine, memory);
                texts
            }
        }
    }

    /// Drops what `close` has left for the last `drain` and `take_count`.
    pub fn release(&self) {
        if self.is_closed() {
            self.posted.replace(Rc::new(Posted::new(Vec::new())));
        }
    }
}

impl Drop for Lifecycle {
    fn drop(&mut self) {
        self.end(Memory::AsItIs);
    }
}

#[cfg(test)]
mod tests;
