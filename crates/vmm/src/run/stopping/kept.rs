//! What a vCPU keeps of its stops from one entry, and one run, to the next.

use boot::code::MAX_INSTRUCTION_BYTES;
use kvm_bindings::{kvm_regs, kvm_sregs};

use crate::debug::Hit;

/// RFLAGS.TF (Intel SDM vol. 3B §18.3.1.4).
pub(super) const RFLAGS_TF: u64 = 1 << 8;

#[derive(Debug, Default)]
pub(crate) struct StopMemory {
    /// The linear address of the instruction that it was told of: it goes on past it.
    pub(super) past: Option<u64>,
    /// What its last exit has come to, while handlers are asked.
    pub(super) hits: Vec<Hit>,
    /// What watched memory was before the instruction, by the stop's id.
    pub(super) watched: Vec<(u32, [u8; 8])>,
    /// The instruction, if memory is watched.
    pub(super) instruction: Option<Box<Instruction>>,
    /// RFLAGS.TF is ours.
    pub(super) lends_trap_flag: bool,
}

/// An instruction, and the vCPU before it.
#[derive(Debug)]
pub(super) struct Instruction {
    pub code: [u8; MAX_INSTRUCTION_BYTES],
    /// Bytes of it that memory has.
    pub length: usize,
    pub registers: kvm_regs,
    pub special: kvm_sregs,
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
