//! What a program's system calls reach of the machine.

use linux::Memory;

use crate::kvm::memory::GuestMemory;

/// A machine's memory.
pub(super) struct Physical<'a>(pub &'a GuestMemory);

impl Memory for Physical<'_> {
    fn read(&self, gpa: u64, bytes: &mut [u8]) -> bool {
        self.0.read(gpa, bytes).is_ok()
    }

    fn write(&self, gpa: u64, bytes: &[u8]) -> bool {
        self.0.write(gpa, bytes).is_ok()
    }
}
