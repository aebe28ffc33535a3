//! With what a vCPU enters the guest.

use std::sync::atomic::Ordering;

use boot::code::INT3;
use boot::paging::PagingState;
use boot::state::RFLAGS_TF;
use kvm_bindings::{kvm_regs, kvm_sregs};

use crate::debug::{DebugMeans, Place, Stop, StopAt, StopKind, VirtualMemory};
use crate::error::Result;
use crate::kvm::exit::Exit;
use crate::kvm::vcpu_debug::control::{GuestDebug, HARDWARE_STOPS, HardwareKind, HardwareStop};
use crate::run::processor::Processor;

use super::bytes::{Code, is_hlt};
use super::choice::{self, Circumstances, Mean, StopMeans};
use super::course::Stopping;
use super::exits::{breakpoint, linear_of, linear_rip, stepped};
use super::watches;

/// How a vCPU goes on.
pub(crate) enum Way {
    /// Into the guest.
    Enter,
    /// It is at a stop already.
    At(Exit),
    /// The run is to end.
    Kicked,
}

impl Stopping<'_> {
    /// Right before an entry, which [`leave`](Self::leave) follows if it is made.
    pub fn prepare(&mut self, processor: &mut Processor) -> Result<Way> {
        // Each of them is asked for each time.
        processor.vcpu.show_all();
        let registers = processor.vcpu.registers()?;
        let special = processor.vcpu.special_registers()?;
        let rip = linear_rip(&registers, &special);
        self.resolve(processor, &special)?;
        if self.all.left.load(Ordering::Relaxed) == 0 {
            // Another vCPU has ended the run.
            return Ok(Way::Kicked);
        }
        if processor.stops.lends_trap_flag
            && choice::place(&special) == Place::User
            && self.from.is_some_and(|from| from != rip)
        {
            // Something else ended the entry before the trap table told of the step.
            Self::take_trap_flag(processor)?;
            self.clean_pushed(processor, &special);
            return Ok(Way::At(stepped(rip)));
        }
        let is_past = processor.stops.past == Some(rip);
        let steps_all = self.steps_all(processor.index);
        let is_at_breakpoint = || {
            let mut there = self.breakpoints_at(processor, &special, rip);
            there.next().is_some()
        };
        if steps_all && !is_past && is_at_breakpoint() {
            return Ok(Way::At(breakpoint(rip)));
        }
        self.steps = steps_all || is_past;
        self.from = Some(rip);
        let index = processor.index;
        let others = (0..self.all.vcpus).filter(|vcpu| *vcpu != index);
        self.is_alone = is_past;
        let has_own = registers.rflags & RFLAGS_TF != 0 && !processor.stops.lends_trap_flag;
        if self.steps {
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
        if entered && self.steps {
            // No byte of ours is where the vCPU is.
            self.look_at_code(rip, processor, &registers, &special);
            if has_own {
                processor.stops.pushed_flags = None;
            }
        }
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

    /// Chooses the means: of a vCPU that steps only if it translates otherwise than before or is in
    /// another place; else always, as the guest may have mapped another page there.
    fn resolve(&mut self, processor: &Processor, special: &kvm_sregs) -> Result<()> {
        let paging = PagingState::new(special, processor.vcpu.paging);
        let here = choice::place(special);
        if self.steps && self.resolved == Some((paging, here)) {
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
        if self.points != points {
            self.all.gate.want(processor.index, &bytes);
            self.points = points;
        }
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
            if !processor.stops.lends_trap_flag {
                processor.stops.lends_trap_flag = true;
                // That drops an exception on its way.
                processor.vcpu.set_registers(&kvm_regs {
                    rflags: registers.rflags | RFLAGS_TF,
                    ..*registers
                })?;
            }
        } else {
            return Err(choice::no_step(place));
        }
        Ok(())
    }

    /// Notes what the instruction is, and what is watched before it.
    fn look_at_code(
        &mut self,
        rip: u64,
        processor: &mut Processor,
        registers: &kvm_regs,
        special: &kvm_sregs,
    ) {
        let memory = self.virtual_memory(processor, special);
        self.halts = self.is_alone && is_hlt(&memory, rip);
        let code = Code::at(rip, &memory, special);
        let kept = &mut processor.stops;
        kept.repeats = self.is_alone && code.repeats();
        kept.pushed_flags = code.pushed_flags(registers, special);
        kept.watched = watches::note(self.all.stops, &memory, rip, registers, special);
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
        hardware_left: HARDWARE_STOPS,
    }
}
