//! Stops of a vCPU on its way through a run: what it enters the guest with, and what an exit comes
//! to.
//!
//! ```text
//! prepare ─► enter ─► leave ─► canonical ─► hits, which the loop asks about ─► settled
//! ```
//! However a stop shows, it is told as [`Exit::Debug`]: vector 3 for an instruction that is next,
//! vector 1 for one that was executed. RIP is then where a breakpoint is, with no byte of ours.

mod choice;
mod gate;
mod judge;
mod kept;
mod watches;

use std::sync::atomic::{AtomicU64, Ordering};

use boot::paging::PagingState;
use boot::state::EFER_LMA;
use kvm_bindings::{kvm_regs, kvm_sregs};

use crate::debug::{
    DebugMeans, Hit, HitKind, Place, Stop, StopAt, StopKind, VirtualMemory, recognise,
};
use crate::error::Result;
use crate::kvm::exit::Exit;
use crate::kvm::kick::KickHandle;
use crate::kvm::memory::GuestMemory;
use crate::kvm::vcpu_debug::control::{GuestDebug, HARDWARE_STOPS, HardwareKind, HardwareStop};
use crate::run::clock::Steps;
use crate::run::processor::{Pending, Processor};
pub use choice::StopMeans;
use choice::{Circumstances, HLT, INT3, Mean};
use gate::Gate;
pub(crate) use kept::StopMemory;

/// RFLAGS.TF (Intel SDM vol. 3B §18.3.1.4).
const RFLAGS_TF: u64 = 1 << 8;
/// DR6.BS, a single step (§18.2.3), and its four bits for the debug registers.
const DR6_STEP: u64 = 1 << 14;
const DR6_HARDWARE: u64 = 0xf;
/// Vectors of the debug exception and of the breakpoint.
const DEBUG: u8 = 1;
const BREAKPOINT: u8 = 3;
/// `KVM_INTERNAL_ERROR_EMULATION`.
const EMULATION: u32 = 1;

/// What all vCPUs of a run share.
#[derive(Debug)]
pub(crate) struct Stoppers<'a> {
    stops: &'a [Stop],
    steps: Option<Steps>,
    /// Instructions that the run may execute.
    left: AtomicU64,
    gate: Gate<'a>,
    means: &'static DebugMeans,
    memory: &'a GuestMemory,
    vcpus: u32,
}

impl<'a> Stoppers<'a> {
    /// None for a run in which nothing stops.
    pub fn new(
        stops: &'a [Stop],
        steps: Option<Steps>,
        memory: &'a GuestMemory,
        kick: &'a KickHandle,
        vcpus: u32,
    ) -> Result<Option<Self>> {
        if stops.is_empty() && steps.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            stops,
            steps,
            left: AtomicU64::new(steps.map_or(u64::MAX, |steps| steps.count)),
            gate: Gate::new(memory, kick),
            means: DebugMeans::get()?,
            memory,
            vcpus,
        }))
    }

    /// One more instruction is executed; whether it is the last.
    fn take(&self) -> bool {
        let order = Ordering::Relaxed;
        let taken = self
            .left
            .fetch_update(order, order, |left| left.checked_sub(1));
        taken.is_ok_and(|before| before == 1)
    }

    /// Instructions that were executed one by one, if they are counted.
    pub fn stepped(&self) -> u64 {
        let count = self.steps.map_or(u64::MAX, |steps| steps.count);
        count - self.left.load(Ordering::Relaxed)
    }
}

/// By what a machine stops where one of its vCPUs is.
pub(crate) fn stop_means(processor: &mut Processor) -> Result<StopMeans> {
    let special = processor.special_registers()?;
    let now = circumstances(processor, &special);
    Ok(choice::stop_means(
        DebugMeans::get()?,
        choice::place(&special),
        &now,
    ))
}

fn circumstances(processor: &Processor, special: &kvm_sregs) -> Circumstances {
    Circumstances {
        irqchip: processor.irqchip,
        traps: choice::has_traps(special, processor.faults),
        hardware_left: choice::HARDWARE,
    }
}

/// How a vCPU goes on.
pub(crate) enum Way {
    /// Into the guest.
    Enter,
    /// It is at a stop already.
    At(Exit),
    /// The run is to end.
    Kicked,
}

/// One vCPU's part.
#[derive(Debug)]
pub(crate) struct Stopping<'a> {
    all: &'a Stoppers<'a>,
    /// Breakpoints with their means, as of this translation and place.
    resolved: Option<(PagingState, Place)>,
    points: Vec<(Stop, Mean)>,
    /// Inside the guest: for one instruction with no byte in place.
    is_alone: bool,
    /// The entry is for one instruction.
    steps: bool,
    /// RIP before it.
    from: Option<u64>,
    /// The instruction is `hlt`.
    halts: bool,
}

impl<'a> Stopping<'a> {
    pub const fn new(all: &'a Stoppers<'a>) -> Self {
        Self {
            all,
            resolved: None,
            points: Vec::new(),
            is_alone: false,
            steps: false,
            from: None,
            halts: false,
        }
    }

    /// Right before an entry, which [`leave`](Self::leave) follows if it is made.
    pub fn prepare(&mut self, processor: &mut Processor) -> Result<Way> {
        let registers = processor.vcpu.registers()?;
        let special = processor.vcpu.special_registers()?;
        let rip = linear_rip(&registers, &special);
        self.resolve(processor, &special)?;
        if self.all.left.load(Ordering::Relaxed) == 0 {
            // Another vCPU has ended the run.
            return Ok(Way::Kicked);
        }
        let is_past = processor.stops.past == Some(rip);
        let steps_all = self.steps_all(processor.index);
        if steps_all && !is_past && self.is_at_breakpoint(processor, &special, rip) {
            return Ok(Way::At(breakpoint(rip)));
        }
        self.steps = steps_all || is_past;
        self.from = Some(rip);
        let index = processor.index;
        let others = (0..self.all.vcpus).filter(|vcpu| *vcpu != index);
        self.is_alone = is_past;
        if self.steps {
            let mut first = [0];
            let memory = self.virtual_memory(processor, &special);
            self.halts = memory.read(rip, &mut first).is_ok() && first == [HLT];
            self.arm_step(processor, &registers, &special, is_past)?;
        } else {
            self.arm(processor)?;
        }
        let entered = if self.is_alone {
            self.all.gate.enter_alone(others)
        } else if self.steps {
            true
        } else {
            self.all.gate.enter()
        };
        Ok(if entered { Way::Enter } else { Way::Kicked })
    }

    /// Right after it.
    pub fn leave(&self) {
        if self.is_alone || !self.steps {
            self.all.gate.leave(self.is_alone);
        }
    }

    /// Whether interrupts wait: the instruction that a breakpoint has told of comes first.
    pub fn holds_interrupts(&self, processor: &mut Processor) -> Result<bool> {
        let registers = processor.vcpu.registers()?;
        let special = processor.vcpu.special_registers()?;
        Ok(processor.stops.past == Some(linear_rip(&registers, &special)))
    }

    /// Whether every instruction is looked at.
    fn steps_all(&self, vcpu: u32) -> bool {
        self.all.steps.is_some()
            || self.points.iter().any(|(_, mean)| *mean == Mean::Step)
            || self.all.stops.iter().any(|stop| match stop.kind {
                StopKind::Step { vcpu: of, .. } => of == vcpu,
                StopKind::Watchpoint { .. } => true,
                StopKind::Breakpoint(_) => false,
            })
    }

    /// Chooses the means, if the vCPU translates otherwise than before or is in another place.
    fn resolve(&mut self, processor: &Processor, special: &kvm_sregs) -> Result<()> {
        let paging = PagingState::new(special, processor.vcpu.paging);
        let here = choice::place(special);
        if self.resolved == Some((paging, here)) {
            return Ok(());
        }
        let memory = VirtualMemory::new(paging, self.all.memory);
        let mut now = circumstances(processor, special);
        let mut points = Vec::new();
        let mut bytes = Vec::new();
        for stop in self.all.stops {
            let StopKind::Breakpoint(at) = stop.kind else {
                continue;
            };
            let (gpa, linear, is_users) = match at {
                StopAt::Gpa(gpa) => (Some(gpa), None, false),
                StopAt::Linear(linear) => {
                    let page = memory.walk(linear).result.ok();
                    let is_users = page.is_some_and(|page| page.user)
                        && here == Place::Long
                        && !choice::has_our_tables(special);
                    (page.map(|page| page.gpa), Some(linear), is_users)
                }
            };
            let gpa = gpa.filter(|gpa| self.all.memory.check(*gpa, 1).is_ok());
            let place = if is_users { Place::User } else { here };
            let mean = choice::choose(self.all.means, place, gpa, linear, &now)?;
            match mean {
                Mean::Patch(gpa, byte) => bytes.push((gpa, byte)),
                Mean::Hardware => now.hardware_left -= 1,
                Mean::Step => {}
            }
            points.push((*stop, mean));
        }
        self.all.gate.want(processor.index, &bytes);
        self.points = points;
        self.resolved = Some((paging, here));
        Ok(())
    }

    /// Has KVM exit at breakpoints.
    fn arm(&self, processor: &mut Processor) -> Result<()> {
        let mut hardware = [None; HARDWARE_STOPS];
        let addresses = self.points.iter().filter_map(|(stop, mean)| {
            let linear = linear_of(stop)?;
            (*mean == Mean::Hardware).then_some(linear)
        });
        for (place, address) in hardware.iter_mut().zip(addresses) {
            *place = Some(HardwareStop {
                address,
                kind: HardwareKind::Execute,
            });
        }
        let is_int3 = |(_, mean): &(Stop, Mean)| matches!(mean, Mean::Patch(_, INT3));
        processor.vcpu.set_debug(&GuestDebug {
            step: false,
            block_interrupts: false,
            int3: self.points.iter().any(is_int3),
            hardware,
        })
    }

    /// Has KVM exit after one instruction.
    fn arm_step(
        &self,
        processor: &mut Processor,
        registers: &kvm_regs,
        special: &kvm_sregs,
        is_past: bool,
    ) -> Result<()> {
        let place = choice::place(special);
        let here = self.all.means.at(place);
        if here.step {
            processor.vcpu.set_debug(&GuestDebug {
                step: true,
                block_interrupts: is_past && here.blocks_interrupts,
                ..GuestDebug::default()
            })?;
        } else if here.trap_step && choice::has_traps(special, processor.faults) {
            processor.vcpu.set_debug(&GuestDebug::default())?;
            processor.stops.lends_trap_flag = true;
            processor.vcpu.set_registers(&kvm_regs {
                rflags: registers.rflags | RFLAGS_TF,
                ..*registers
            })?;
        } else {
            return Err(choice::no_step(place));
        }
        self.note_watched(processor, registers, special);
        Ok(())
    }

    /// What an exit is in terms of stops. `None` if it concerns the guest alone, which goes on.
    pub fn canonical(&self, exit: Exit, processor: &mut Processor) -> Result<Exit> {
        let registers = processor.vcpu.registers()?;
        let special = processor.vcpu.special_registers()?;
        let rip = linear_rip(&registers, &special);
        match &exit {
            Exit::Debug { exception, dr6, .. } if *exception == u32::from(DEBUG) => {
                let is_hardware = dr6 & DR6_HARDWARE != 0 && !self.steps;
                if self.has_halted(rip, processor) {
                    return Ok(Exit::Hlt);
                }
                Ok(if is_hardware {
                    breakpoint(rip)
                } else {
                    stepped(rip)
                })
            }
            Exit::Debug { pc, .. } => Ok(breakpoint(*pc)),
            Exit::InternalError { suberror, .. }
                if *suberror == EMULATION && self.is_patched(processor, &special, rip, INT3) =>
            {
                Ok(breakpoint(rip))
            }
            Exit::Hlt => {
                let before = rip.wrapping_sub(1);
                if self.steps || !self.is_patched(processor, &special, before, HLT) {
                    return Ok(exit);
                }
                self.go_to(processor, &registers)?;
                Ok(breakpoint(before))
            }
            exit if processor.faults && crate::debug::is_told(exit) => {
                self.trapped(exit.clone(), processor, &registers, &special)
            }
            _ => Ok(exit),
        }
    }

    /// Whether KVM has told of a `hlt` as of any step, which it is to some.
    fn has_halted(&self, rip: u64, processor: &Processor) -> bool {
        let is_next = self.from.is_some_and(|from| from.wrapping_add(1) == rip);
        self.steps && self.halts && is_next && !processor.irqchip
    }

    /// The instruction of ours was executed: RIP goes back to it.
    fn go_to(&self, processor: &mut Processor, registers: &kvm_regs) -> Result<()> {
        processor.vcpu.set_registers(&kvm_regs {
            rip: registers.rip.wrapping_sub(1),
            ..*registers
        })
    }

    /// A stub of the trap table tells of what ring 3 did: of our byte, of a step, or of a fault.
    fn trapped(
        &self,
        exit: Exit,
        processor: &mut Processor,
        registers: &kvm_regs,
        special: &kvm_sregs,
    ) -> Result<Exit> {
        let paging = PagingState::new(special, processor.vcpu.paging);
        let memory = VirtualMemory::new(paging, self.all.memory);
        let read = |linear, bytes: &mut [u8]| memory.read(linear, bytes).is_ok();
        let Some(mut caught) = recognise(registers, special, read) else {
            return Ok(exit);
        };
        let lends = processor.stops.lends_trap_flag;
        if lends {
            caught.registers.rflags &= !RFLAGS_TF;
        }
        let rip = linear_rip(&caught.registers, &caught.special);
        let before = rip.wrapping_sub(1);
        let is_ours = caught.fault.vector == BREAKPOINT
            && !self.steps
            && self.is_patched(processor, &caught.special, before, INT3);
        let told = match caught.fault.vector {
            DEBUG if lends => stepped(rip),
            _ if is_ours => {
                caught.registers.rip = caught.registers.rip.wrapping_sub(1);
                breakpoint(before)
            }
            _ => return Ok(exit),
        };
        processor.stops.lends_trap_flag = false;
        processor.pending = Pending::Caught(Box::new(caught));
        processor.complete()?;
        Ok(told)
    }

    /// Completes an access of an instruction that is stepped: nothing may tell when it is at its
    /// end. `None` while it asks more.
    pub fn complete(&self, exit: &Exit, processor: &mut Processor) -> Result<Option<Exit>> {
        let is_half_done = exit.is_access() || matches!(exit, Exit::Hlt);
        if !self.steps || !is_half_done {
            return Ok(None);
        }
        processor.complete()?;
        if !processor.pending.is_nothing() {
            return Ok(None);
        }
        if processor.stops.lends_trap_flag {
            self.take_trap_flag(processor)?;
        }
        let registers = processor.vcpu.registers()?;
        let special = processor.vcpu.special_registers()?;
        let rip = linear_rip(&registers, &special);
        Ok((Some(rip) != self.from).then(|| stepped(rip)))
    }

    /// Takes the flag back, and the exception that it may have left on its way.
    fn take_trap_flag(&self, processor: &mut Processor) -> Result<()> {
        processor.stops.lends_trap_flag = false;
        let mut events = processor.vcpu.events()?;
        let is_on_its_way = events.exception.injected != 0 || events.exception.pending != 0;
        if is_on_its_way && events.exception.nr == DEBUG {
            (events.exception.injected, events.exception.pending) = (0, 0);
            processor.vcpu.set_events(&events)?;
        }
        let registers = processor.vcpu.registers()?;
        processor.vcpu.set_registers(&kvm_regs {
            rflags: registers.rflags & !RFLAGS_TF,
            ..registers
        })
    }

    /// What a stop of ours shows has come to. Asked again after a pause it is the same.
    pub fn hits(&self, exit: &Exit, processor: &mut Processor) -> Vec<Hit> {
        if !processor.stops.hits.is_empty() {
            return processor.stops.hits.clone();
        }
        let Exit::Debug { exception, pc, .. } = exit else {
            return Vec::new();
        };
        let hits = if *exception == u32::from(BREAKPOINT) {
            self.breakpoints(processor, *pc)
        } else {
            self.after_step(processor, *pc)
        };
        processor.stops.hits.clone_from(&hits);
        hits
    }

    /// Whether a stop that was found is still wanted.
    pub fn is_wanted(&self, hit: &Hit) -> bool {
        let is_there = |id| self.all.stops.iter().any(|stop| stop.id == id);
        hit.id.is_none_or(is_there)
    }

    fn breakpoints(&self, processor: &mut Processor, pc: u64) -> Vec<Hit> {
        let Ok(special) = processor.vcpu.special_registers() else {
            return Vec::new();
        };
        let gpa = self.gpa(processor, &special, pc);
        let is_there = |stop: &&Stop| match stop.kind {
            StopKind::Breakpoint(StopAt::Linear(linear)) => linear == pc,
            StopKind::Breakpoint(StopAt::Gpa(at)) => gpa == Some(at),
            _ => false,
        };
        let hit = |stop: &Stop| Hit {
            id: Some(stop.id),
            kind: HitKind::Breakpoint,
            address: pc,
            watched: None,
            asks: stop.asks,
        };
        self.all.stops.iter().filter(is_there).map(hit).collect()
    }

    fn after_step(&self, processor: &mut Processor, pc: u64) -> Vec<Hit> {
        let mut hits = self.watch_hits(processor);
        let step = |id, kind, asks| Hit {
            id,
            kind,
            address: pc,
            watched: None,
            asks,
        };
        for stop in self.all.stops {
            if matches!(stop.kind, StopKind::Step { vcpu, .. } if vcpu == processor.index) {
                hits.push(step(Some(stop.id), HitKind::Step, stop.asks));
            }
        }
        if let Some(steps) = self.all.steps {
            let is_last = self.all.take();
            if steps.asks {
                hits.push(step(None, steps.ends, true));
            }
            if is_last {
                hits.push(step(None, steps.ends, false));
            }
        }
        hits
    }

    /// Handlers were asked.
    pub fn settled(&self, exit: &Exit, processor: &mut Processor) {
        let Exit::Debug { exception, pc, .. } = exit else {
            return;
        };
        processor.stops.hits.clear();
        processor.stops.past = (*exception == u32::from(BREAKPOINT)).then_some(*pc);
    }

    /// At the end of the vCPU's part: KVM ends no entry any more.
    pub fn end(&self, processor: &mut Processor) -> Result<()> {
        self.all.gate.want(processor.index, &[]);
        if processor.stops.lends_trap_flag {
            processor.complete()?;
            self.take_trap_flag(processor)?;
        }
        processor.vcpu.set_debug(&GuestDebug::default())
    }

    fn is_at_breakpoint(&self, processor: &Processor, special: &kvm_sregs, rip: u64) -> bool {
        self.points.iter().any(|(stop, _)| match stop.kind {
            StopKind::Breakpoint(StopAt::Linear(linear)) => linear == rip,
            StopKind::Breakpoint(StopAt::Gpa(at)) => self.gpa(processor, special, rip) == Some(at),
            _ => false,
        })
    }

    /// Whether our byte is what a vCPU finds at a linear address.
    fn is_patched(
        &self,
        processor: &Processor,
        special: &kvm_sregs,
        linear: u64,
        byte: u8,
    ) -> bool {
        let gpa = self.gpa(processor, special, linear);
        gpa.is_some_and(|gpa| self.all.gate.has(gpa, byte))
    }

    fn gpa(&self, processor: &Processor, special: &kvm_sregs, linear: u64) -> Option<u64> {
        let memory = self.virtual_memory(processor, special);
        Some(memory.walk(linear).result.ok()?.gpa)
    }

    fn virtual_memory(&self, processor: &Processor, special: &kvm_sregs) -> VirtualMemory<'a> {
        let paging = PagingState::new(special, processor.vcpu.paging);
        VirtualMemory::new(paging, self.all.memory)
    }
}

/// An instruction that is next.
const fn breakpoint(pc: u64) -> Exit {
    Exit::Debug {
        exception: BREAKPOINT as u32,
        pc,
        dr6: 0,
        dr7: 0,
    }
}

/// An instruction that was executed, by the address of the next one.
const fn stepped(pc: u64) -> Exit {
    Exit::Debug {
        exception: DEBUG as u32,
        pc,
        dr6: DR6_STEP,
        dr7: 0,
    }
}

/// The linear address of the next instruction.
fn linear_rip(registers: &kvm_regs, special: &kvm_sregs) -> u64 {
    if special.efer & EFER_LMA != 0 && special.cs.l != 0 {
        registers.rip
    } else {
        special.cs.base.wrapping_add(registers.rip) & 0xffff_ffff
    }
}

const fn linear_of(stop: &Stop) -> Option<u64> {
    match stop.kind {
        StopKind::Breakpoint(StopAt::Linear(linear)) => Some(linear),
        _ => None,
    }
}
