//! What a vCPU keeps of its stops from one entry, and one run, to the next.

use boot::state::RFLAGS_TF;
use kvm_bindings::kvm_regs;

use crate::debug::Hit;

use super::watches::Noted;

#[derive(Debug, Default)]
pub(crate) struct StopMemory {
    /// The linear address of the instruction that it was told of: it goes on past it.
    pub(super) past: Option<u64>,
    /// What its last exit has come to, while handlers are asked.
    pub(super) hits: Vec<Hit>,
    /// The instruction that it goes on past may take several steps.
    pub(super) repeats: bool,
    /// What watchpoints need to know of the instruction before it.
    pub(super) watched: Option<Box<Noted>>,
    /// Where the instruction that it steps stores RFLAGS, in which TF is the debugger's.
    pub(super) pushed_flags: Option<u64>,
    /// RFLAGS.TF is ours.
    pub(super) lends_trap_flag: bool,
}

impl StopMemory {
    /// Takes the flag out of registers that have it for us.
    pub fn take_trap_flag(&mut self, registers: &mut kvm_regs) {
        if std::mem::take(&mut self.lends_trap_flag) {
            registers.rflags &= !RFLAGS_TF;
        }
    }

    /// As of a vCPU that was never stopped: its state is another one.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}
