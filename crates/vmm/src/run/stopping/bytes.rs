//! The instruction at which a vCPU is.

use boot::code::{HLT, MAX_INSTRUCTION_BYTES, MemoryAccess, accesses_until, pushed_flags, repeats};
use boot::state::EFER_LMA;
use kvm_bindings::{kvm_regs, kvm_sregs};

use crate::debug::VirtualMemory;

/// Its bytes, as far as they can be read, and the size of the code that it is.
#[derive(Debug)]
pub(super) struct Code {
    bytes: [u8; MAX_INSTRUCTION_BYTES],
    length: usize,
    bits: u32,
}

impl Code {
    pub fn at(rip: u64, memory: &VirtualMemory<'_>, special: &kvm_sregs) -> Self {
        let mut bytes = [0; MAX_INSTRUCTION_BYTES];
        let length = (1..=bytes.len()).rev().find(|length| {
            let bytes = bytes.get_mut(..*length);
            bytes.is_some_and(|bytes| memory.read(rip, bytes).is_ok())
        });
        Self {
            bytes,
            length: length.unwrap_or(0),
            bits: bits(special),
        }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Whether it may be left in the midst of what it does.
    pub fn repeats(&self) -> bool {
        repeats(self.bytes(), self.bits)
    }

    /// Where it will have stored RFLAGS, if it is `pushf`.
    pub fn pushed_flags(&self, before: &kvm_regs, special: &kvm_sregs) -> Option<u64> {
        pushed_flags(self.bytes(), self.bits, before, special)
    }

    /// Which memory it has accessed.
    pub fn accesses(
        &self,
        before: &kvm_regs,
        special: &kvm_sregs,
        after: &kvm_regs,
    ) -> Vec<MemoryAccess> {
        accesses_until(self.bytes(), self.bits, before, special, after)
    }
}

/// Whether a `hlt` is there.
pub(super) fn is_hlt(memory: &VirtualMemory<'_>, linear: u64) -> bool {
    let mut first = [0];
    memory.read(linear, &mut first).is_ok() && first == [HLT]
}

/// The size of code.
const fn bits(special: &kvm_sregs) -> u32 {
    match special {
        _ if special.efer & EFER_LMA != 0 && special.cs.l != 0 => 64,
        _ if special.cs.db != 0 => 32,
        _ => 16,
    }
}
