//! Memory, as a machine has it.

/// Guest physical memory.
pub trait Memory {
    /// Copies from `gpa` on; false if a byte of it has no memory.
    fn read(&self, gpa: u64, bytes: &mut [u8]) -> bool;

    /// Copies to `gpa` on; false if a byte of it has no memory, and nothing is written.
    fn write(&self, gpa: u64, bytes: &[u8]) -> bool;
}
