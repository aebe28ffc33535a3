//! What an exit is in terms of stops, and how a vCPU is left at the end.

use boot::code::{HLT, INT3};
use boot::state::RFLAGS_TF;
use boot::state::traps::{BREAKPOINT, DEBUG};
use kvm_bindings::{kvm_regs, kvm_sregs};

use crate::debug::{caught_in, is_told};
use crate::error::Result;
use crate::kvm::exit::Exit;
use crate::kvm::vcpu_debug::control::GuestDebug;
use crate::run::processor::{Pending, Processor};

use super::bytes::is_hlt;
use super::course::Stopping;
use super::exits::{DR6_HARDWARE, breakpoint, linear_rip, stepped};

/// The byte of RFLAGS that has TF, and its bit there.
const TF_BYTE: u64 = 1;
const TF_BIT: u8 = (RFLAGS_TF >> 8) as u8;

impl Stopping<'_> {
    /// What an exit is in terms of stops; one that is none of ours stays what it is.
    pub fn canonical(&self, exit: Exit, processor: &mut Processor) -> Result<Exit> {
        let registers = processor.vcpu.registers()?;
        let special = processor.vcpu.special_registers()?;
        let rip = linear_rip(&registers, &special);
        match &exit {
            Exit::Debug { exception, dr6, .. } if *exception == u32::from(DEBUG) => {
                let is_hardware = dr6 & DR6_HARDWARE != 0 && !self.steps;
                if self.has_halted(rip, processor, &special) {
                    return Ok(Exit::Hlt);
                }
                if is_hardware {
                    return Ok(breakpoint(rip));
                }
                self.clean_pushed(processor, &special);
                Ok(stepped(rip))
            }
            Exit::Debug { pc, .. } => Ok(breakpoint(*pc)),
            Exit::InternalError { suberror, .. }
                if *suberror == Exit::NOT_EMULATED
                    && self.is_patched(processor, &special, rip, INT3) =>
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
            exit if processor.faults && is_told(exit) => {
                self.trapped(exit.clone(), processor, &registers, &special)
            }
            _ => Ok(exit),
        }
    }

    /// Whether KVM has told of a `hlt` as of any step, which it is to some.
    fn has_halted(&self, rip: u64, processor: &Processor, special: &kvm_sregs) -> bool {
        let before = rip.wrapping_sub(1);
        let may_be = self.steps && !processor.irqchip && self.from == Some(before);
        // Where it is not alone, there is no byte of ours.
        let halts = || match self.is_alone {
            true => self.halts,
            false => is_hlt(&self.virtual_memory(processor, special), before),
        };
        may_be && halts()
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
        let memory = self.virtual_memory(processor, special);
        let Some(mut caught) = caught_in(registers, special, &memory) else {
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
            DEBUG if lends => {
                self.clean_pushed(processor, &caught.special);
                stepped(rip)
            }
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
            Self::take_trap_flag(processor)?;
        }
        let registers = processor.vcpu.registers()?;
        let special = processor.vcpu.special_registers()?;
        let rip = linear_rip(&registers, &special);
        Ok((Some(rip) != self.from).then(|| stepped(rip)))
    }

    /// Takes the flag back, and the exception that it may have left on its way.
    pub(super) fn take_trap_flag(processor: &mut Processor) -> Result<()> {
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

    /// The guest is not to find the flag in what the instruction has pushed: `popf` would bring it
    /// back, and no stop is there for it then.
    pub(super) fn clean_pushed(&self, processor: &mut Processor, special: &kvm_sregs) {
        let Some(linear) = processor.stops.pushed_flags.take() else {
            return;
        };
        let memory = self.virtual_memory(processor, special);
        let at = linear.wrapping_add(TF_BYTE);
        let mut byte = [0];
        if memory.read(at, &mut byte).is_ok() && byte[0] & TF_BIT != 0 {
            // It was written a moment ago.
            let _ = memory.write(at, &[byte[0] & !TF_BIT]);
        }
    }

    /// At the end of the vCPU's part: KVM ends no entry any more.
    pub fn end(&self, processor: &mut Processor) -> Result<()> {
        self.all.gate.want(processor.index, &[]);
        processor.vcpu.show_few();
        if processor.stops.lends_trap_flag {
            // Else it was an access, and the run has ended with it.
            let is_untold = processor.pending.is_nothing();
            processor.complete()?;
            Self::take_trap_flag(processor)?;
            let registers = processor.vcpu.registers()?;
            let special = processor.vcpu.special_registers()?;
            let rip = linear_rip(&registers, &special);
            if is_untold && self.from.is_some_and(|from| from != rip) {
                self.clean_pushed(processor, &special);
                // The instruction was executed, and the next run tells of it.
                processor.pending = Pending::Open(stepped(rip), 0);
            }
        }
        processor.vcpu.set_debug(&GuestDebug::default())
    }
}
