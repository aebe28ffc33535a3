//! Guest memory as addresses.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A range of guest physical addresses with memory (KVM API, `KVM_SET_USER_MEMORY_REGION`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct MemorySlot {
    /// First guest physical address, a multiple of 4096.
    pub gpa: u64,
    /// Size in bytes, a multiple of 4096.
    pub bytes: u64,
    /// The guest's writes exit as MMIO writes; the host can still write.
    pub read_only: bool,
}

impl MemorySlot {
    /// One past the last address.
    pub fn end(&self) -> u64 {
        self.gpa + self.bytes
    }
}

/// The addresses that a guest can write, slot by slot.
pub fn writable(slots: &[MemorySlot]) -> Vec<Range<u64>> {
    let slots = slots.iter().filter(|slot| !slot.read_only);
    slots.map(|slot| slot.gpa..slot.end()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_only_is_not_writable() {
        let slot = |gpa, read_only| MemorySlot {
            gpa,
            bytes: 4096,
            read_only,
        };
        let slots = [slot(0, false), slot(4096, true), slot(8192, false)];
        assert_eq!(writable(&slots), [0..4096, 8192..12288]);
    }
}
