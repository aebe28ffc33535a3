//! A vCPU between two runs as a value: what KVM has of it, and what we keep beside.

use crate::error::{Error, ErrorCode, Result};
use crate::interrupts::InjectionState;
use crate::kvm::vcpu_state::VcpuState;
use crate::run::outcome::End;
use crate::run::processor::{Pending, Processor};

/// The state of one vCPU, for it or for the same vCPU of a machine of the same shape.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessorState {
    pub(crate) vcpu: VcpuState,
    pub(crate) interrupts: InjectionState,
    kept: Option<End>,
    nmi_sent: bool,
}

impl Processor {
    /// Its state; KVM completes what is answered.
    ///
    /// # Errors
    /// `UnansweredRead` while an instruction waits for its I/O, `KvmIoctl`.
    pub fn save(&mut self) -> Result<ProcessorState> {
        self.complete_all("save the state")?;
        Ok(ProcessorState {
            vcpu: self.vcpu.save_state(self.irqchip)?,
            interrupts: self.injections.save(),
            kept: self.kept.clone(),
            nmi_sent: self.nmi_sent,
        })
    }

    /// Goes back to a state.
    ///
    /// # Errors
    /// `UnansweredRead` while an instruction waits for its I/O, `KvmIoctl`; `Snapshot` for a state
    /// that no vCPU has been in.
    pub fn restore(&mut self, state: &ProcessorState) -> Result<()> {
        self.complete_all("restore a state")?;
        self.vcpu.restore_state(&state.vcpu)?;
        if !self.injections.restore(&state.interrupts) {
            return Err(Error::new(
                ErrorCode::Snapshot,
                "more interrupts wait in it than may wait for a vCPU",
            ));
        }
        self.kept.clone_from(&state.kept);
        self.nmi_sent = state.nmi_sent;
        self.pending = Pending::Nothing;
        Ok(())
    }
}
