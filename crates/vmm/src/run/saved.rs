//! The saved state of a vCPU between its entries.

use kvm_bindings::{kvm_regs, kvm_sregs};

use crate::error::Result;
use crate::run::processor::{Pending, Processor};

/// One vCPU.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ProcessorState {
    pub regs: kvm_regs,
    pub sregs: kvm_sregs,
}

impl Processor {
    /// What it would need to go on elsewhere.
    pub(crate) fn save(&mut self) -> Result<ProcessorState> {
        self.complete()?;
        Ok(ProcessorState {
            regs: self.vcpu.registers()?,
            sregs: self.vcpu.special_registers()?,
        })
    }

    /// Lets KVM forget what it waits for.
    pub(crate) fn settle(&mut self) -> Result<()> {
        self.complete()?;
        self.pending = Pending::Nothing;
        Ok(())
    }

    /// Goes on as the one that saved this.
    pub(crate) fn restore(&mut self, state: &ProcessorState) -> Result<()> {
        self.vcpu.set_special_registers(&state.sregs)?;
        self.vcpu.set_registers(&state.regs)
    }
}
