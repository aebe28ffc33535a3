//! Every limit, with its reason.

/// Guest memory comes in pages of this size (Intel SDM vol. 3A §5.1).
pub const PAGE_BYTES: u64 = 4096;

/// One slot from gpa 0: above 3 GiB a PC keeps its devices, and KVM its own pages.
pub const MAX_MEMORY_BYTES: u64 = 3 << 30;

/// Slots that a caller may ask for; every KVM has at least 32, and two are ours.
pub const MAX_SLOTS: usize = 16;

/// vCPUs of one machine: each is a thread, and APIC ids stay within one byte.
pub const MAX_VCPUS: u32 = 64;

/// The vCPU that starts at the payload's entry whatever the machine has.
pub const BOOT_VCPU: u32 = 0;

/// Vectors that wait to be injected into one vCPU: as many as there are.
pub const MAX_QUEUED_VECTORS: usize = 256;

/// Interrupt lines of the in-kernel irqchip: the pins of its IOAPIC, the first 16 of them the PIC's too.
pub const IRQ_LINES: u32 = 24;

/// What the page tables can map without 1 GiB pages: one page-directory-pointer table.
pub const MAX_GPA: u64 = 512 << 30;

/// Routes of one machine; a look-up stays within eight comparisons.
pub const MAX_ROUTES: usize = 256;

/// A route's `length`: offsets within it fit 32 bits.
pub const MAX_ROUTE_LENGTH: u64 = 1 << 32;

/// Console bytes kept for the result of one run; a guest that floods shall not eat the host.
pub const MAX_OUTPUT_BYTES: usize = 16 << 20;

/// Console bytes gathered before they go to the handler in one batch.
pub const CONSOLE_BATCH_BYTES: usize = 16 << 10;

/// Posted writes that wait in one route's ring: at 10 µs an exit some 40 ms, four times what JavaScript's
/// thread may be away.
pub const MAX_QUEUED_EVENTS: usize = 4096;

/// Posted writes that ring the bell: measured, fewer cost and more gain nothing.
pub const QUEUE_BELL_EVENTS: usize = 256;

/// Bytes that one read of guest memory copies.
pub const MAX_READ_BYTES: u64 = 1 << 30;

/// The longest time-out: what still fits a monotonic clock for sure, about 49 days.
pub const MAX_TIMEOUT_MS: f64 = 4_294_967_295.0;

/// Program headers of an ELF image: linkers write under twenty, and every pair of segments is compared.
pub const MAX_PROGRAM_HEADERS: u16 = 256;

/// Multiboot modules: their list and their strings have to fit below 640 KiB in a small machine.
pub const MAX_MODULES: usize = 64;

/// A kernel's command line or a module's string, without the zero at its end: twice what Linux takes.
pub const MAX_COMMAND_LINE_BYTES: usize = 4096;

/// Entries of a guest's memory map: what `boot_params` has room for (`E820_MAX_ENTRIES_ZEROPAGE`).
pub const MAX_MEMORY_MAP_ENTRIES: usize = 128;
