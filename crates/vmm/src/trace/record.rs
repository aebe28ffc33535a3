//! What a record has, and where.

use crate::kvm::exit::Exit;

/// Words of 64 bits of a record: time, time in the guest before it, time until the vCPU went on,
/// address, value, RIP, and two of small fields.
pub const RECORD_WORDS: usize = 8;

/// Words of general registers after it, in the order of `struct kvm_regs`.
pub const REGISTER_WORDS: usize = 18;

/// Bits of a record's flags.
pub mod flags {
    /// The exit is answered, or needs no answer.
    pub const ANSWERED: u16 = 1;
    /// The value is known: of a write, and of a read that is answered.
    pub const VALUE: u16 = 1 << 1;
    /// A route has claimed it.
    pub const ROUTE: u16 = 1 << 2;
    /// RIP is known, and the general registers if the trace has them.
    pub const REGISTERS: u16 = 1 << 3;
}

/// Places of a record's words.
pub(super) const HOST: usize = 2;
pub(super) const VALUE: usize = 4;
pub(super) const ROUTE: usize = 7;
/// The word with the flags, which is written last.
pub(super) const TELLS: usize = 6;
pub(super) const FLAGS_SHIFT: u32 = 16;

/// Words of a record, with registers or without.
pub(super) const fn record_words(registers: bool) -> usize {
    RECORD_WORDS + if registers { REGISTER_WORDS } else { 0 }
}

/// The number of an access's port or address.
pub(super) fn address(exit: &Exit) -> u64 {
    match exit {
        Exit::PioOut(port) | Exit::PioIn(port) => u64::from(port.port),
        Exit::MmioWrite(mmio) | Exit::MmioRead(mmio) => mmio.gpa,
        _ => 0,
    }
}

/// Bytes of an item, and items.
pub(super) fn extent(exit: &Exit) -> (u8, u32) {
    match exit {
        Exit::PioOut(port) | Exit::PioIn(port) => (port.size, port.count),
        Exit::MmioWrite(mmio) | Exit::MmioRead(mmio) => (mmio.size, 1),
        _ => (0, 0),
    }
}

/// The first item of an access's data, little-endian.
pub(super) fn value(exit: &Exit, data: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let size = usize::from(extent(exit).0).min(data.len());
    for (to, from) in bytes.iter_mut().zip(data.iter().take(size)) {
        *to = *from;
    }
    u64::from_le_bytes(bytes)
}
