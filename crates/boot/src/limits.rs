//! Limits of what is loaded and where, each with its reason.

/// Guest memory comes in pages of this size (Intel SDM vol. 3A §5.1).
pub const PAGE_BYTES: u64 = 4096;

/// One slot from gpa 0: above 3 GiB a PC keeps its devices, and KVM its own pages.
pub const MAX_MEMORY_BYTES: u64 = 3 << 30;

/// What the page tables can map without 1 GiB pages: one page-directory-pointer table.
pub const MAX_GPA: u64 = 512 << 30;

/// Virtio devices of one machine: each has a line of its own.
pub const MAX_VIRTIO: usize = 12;

/// Program headers of an ELF image: linkers write under twenty, and every pair of segments is
/// compared.
pub const MAX_PROGRAM_HEADERS: u16 = 256;

/// Multiboot modules: their list and their strings have to fit below 640 KiB in a small machine.
pub const MAX_MODULES: usize = 64;

/// A kernel's command line or a module's string, without the zero at its end: twice what Linux
/// takes.
pub const MAX_COMMAND_LINE_BYTES: usize = 4096;

/// Entries of a guest's memory map: what `boot_params` has room for (`E820_MAX_ENTRIES_ZEROPAGE`).
pub const MAX_MEMORY_MAP_ENTRIES: usize = 128;
