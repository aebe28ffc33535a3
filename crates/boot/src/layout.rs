//! Every guest physical address that is ours, derived by arithmetic.
//!
//! ```text
//!           0 ┌──────────────────────────┐
//!             │ slot 0: all of it is the │
//!             │ payload's                │
//!       3 GiB ├──────────────────────────┤ MAX_MEMORY_BYTES
//!             │ free for MMIO routes     │
//! 0xf000_0000 ├──────────────────────────┤ FRAMEBUFFER_START: the pixels of a screen, if any
//!             │ free for MMIO routes     │
//! 0xfe00_0000 ├──────────────────────────┤ RESERVED_START = SYSTEM_START
//!             │ GDT, TSS, traps, paging  │
//! 0xfea0_0000 ├──────────────────────────┤ USER_CODE: code for native programs, if any
//! 0xfeb0_0000 ├──────────────────────────┤ VIRTIO_START: registers of virtio devices
//! 0xfec0_0000 ├──────────────────────────┤ SYSTEM_LIMIT: IOAPIC, local APIC, KVM's own pages
//! 0xff00_0000 ├──────────────────────────┤ RESERVED_END
//!             │ free for ROM and slots   │
//! 0xffff_ffff └──────────────────────────┘ ROM_END
//! ```

use std::ops::Range;

use crate::limits::{MAX_COMMAND_LINE_BYTES, MAX_GPA, MAX_MEMORY_BYTES, MAX_VIRTIO, PAGE_BYTES};

/// Where Linux's setup code lies that starts in real mode.
pub const LINUX_SETUP: u64 = 0x9_0000;

/// The end of its heap and stack, from its first byte on; its command line follows.
pub const LINUX_SETUP_HEAP_END: u64 = 0xe000;

/// A PC's BIOS data area, which the payload may overwrite.
pub const BIOS_DATA: u64 = 0x400;

/// A PC's extended BIOS data area: the last KiB of base memory.
pub const EBDA: u64 = 0x9_fc00;

/// One past the extended BIOS data area.
pub const EBDA_END: u64 = 0xa_0000;

/// Where a PC keeps its firmware, below 1 MiB: the payload's memory in any other machine.
pub const FIRMWARE_START: u64 = 0xe_0000;

/// Intel's MP table, in the part of the firmware that kernels search for it.
pub const MP_TABLE: u64 = 0xf_0000;

/// What a PC's interrupts lead to in real mode.
pub const INTERRUPT_CODE: u64 = 0xf_f000;

/// Where real mode goes to reset a PC.
pub const RESET_ENTRY: u64 = 0xf_fff0;

/// 1 MiB.
pub const FIRMWARE_END: u64 = 0x10_0000;

/// Where a VGA adapter has its text: memory as any other here, 16,384 cells of two bytes.
pub const TEXT_MEMORY: Range<u64> = 0xb_8000..0xc_0000;

/// The pixels of a screen, in a slot of their own.
pub const FRAMEBUFFER_START: u64 = 0xf000_0000;

/// The most that pixels may take.
pub const FRAMEBUFFER_BYTES: u64 = 64 << 20;

/// The system slot: what the processor itself reads (GDT, TSS, page tables) lies out of the
/// payload's way.
pub const SYSTEM_START: u64 = 0xfe00_0000;

/// Where a native program's system slot has what ring 3 may execute of ours.
pub const USER_CODE: u64 = SYSTEM_START + (10 << 20);

/// The linear address at which such a program finds page 0 of memory, for calls into it.
pub const USER_MAILBOX: u64 = USER_CODE + PAGE_BYTES;

/// What ring 0 executes to change page tables.
pub const USER_EDIT: u64 = USER_MAILBOX + PAGE_BYTES;

/// What it changes them to.
pub const USER_EDITS: u64 = USER_EDIT + PAGE_BYTES;

/// The end of that, and of a native program's system slot.
pub const USER_SYSTEM_END: u64 = USER_EDITS + (64 << 10);

/// Page tables of a native program.
pub const USER_TABLES: Range<u64> = TOP_TABLE..USER_CODE;

/// The registers of the first virtio device of a PC.
pub const VIRTIO_START: u64 = 0xfeb0_0000;

/// From one virtio device to the next.
pub const VIRTIO_STRIDE: u64 = PAGE_BYTES;

/// The IOAPIC's page, the first that hardware claims above the system slot.
pub const SYSTEM_LIMIT: u64 = 0xfec0_0000;

/// A page that an Intel KVM keeps for itself: it maps real mode's addresses to themselves
/// (`KVM_SET_IDENTITY_MAP_ADDR`). Here QEMU has it too, so that it lies in nobody's ROM.
pub const KVM_IDENTITY_MAP: u64 = 0xfeff_c000;

/// Three pages more that an Intel KVM keeps for itself (`KVM_SET_TSS_ADDR`).
pub const KVM_TSS: u64 = KVM_IDENTITY_MAP + PAGE_BYTES;

/// From here to [`RESERVED_END`] no slot of a caller may lie.
pub const RESERVED_START: u64 = SYSTEM_START;

/// Where ROM may begin that ends at 4 GiB, below which a processor starts.
pub const RESERVED_END: u64 = ROM_END - ROM_MAX_BYTES;

/// 4 GiB.
pub const ROM_END: u64 = 1 << 32;

/// As much as the reserved range leaves; the largest flash chips that PCs boot from have it.
pub const ROM_MAX_BYTES: u64 = 16 << 20;

/// Firmware comes in parts of this size: a real-mode segment.
pub const ROM_UNIT_BYTES: u64 = 64 << 10;

/// The end of the firmware, as far as it also lies below 1 MiB, where real mode reaches it: its two
/// segments, and those of the video BIOS and other option ROMs, which SeaBIOS' larger image begins
/// in.
pub const ROM_LOW_BYTES: u64 = 256 << 10;

/// The first instruction of a processor after a reset: IP 0xfff0 in a segment with base 0xffff0000
/// (Intel SDM vol. 3A §10.1.4).
pub const RESET_VECTOR: u64 = ROM_END - 16;

/// The global descriptor table has a page of its own.
pub const GDT: u64 = SYSTEM_START;

/// The task state segment, and pages of its own up to the end of its I/O bitmap. The rest of the
/// last one has what the processor needs for faults.
pub const TSS: u64 = GDT + PAGE_BYTES;

/// A TSS without I/O bitmap: 104 bytes in 32 and in 64 bits (Intel SDM vol. 3A §8.2.1, §8.7).
pub const TSS_STATE_BYTES: u64 = 0x68;

/// A bit for each port.
pub const IO_BITMAP_BYTES: u64 = (1 << 16) / 8;

/// State, bitmap, and the byte of ones that ends it, as the processor reads two bytes of the bitmap
/// at a time (vol. 1 §19.5.2).
pub const TSS_BYTES: u64 = TSS_STATE_BYTES + IO_BITMAP_BYTES + 1;

/// The interrupt descriptor table, for the vectors of exceptions alone.
pub const IDT: u64 = (TSS + TSS_BYTES).next_multiple_of(IDT_BYTES);

/// Vectors that are the processor's own (Intel SDM vol. 3A §6.2).
pub const EXCEPTIONS: u64 = 32;

/// The table in long mode, where a gate has 16 bytes; in 32 bits the half of it.
pub const IDT_BYTES: u64 = EXCEPTIONS * 16;

/// What its gates lead to.
pub const STUBS: u64 = IDT + IDT_BYTES;

/// From one stub to the next.
pub const STUB_BYTES: u64 = 16;

/// The end of long mode's stack for faults, which begins after the stubs. Nothing but the
/// processor's own frame of six words ever lies on it.
pub const FAULT_STACK_END: u64 = TOP_TABLE;

/// PML4 (long mode) or page directory (paged32).
pub const TOP_TABLE: u64 = (TSS + TSS_BYTES).next_multiple_of(PAGE_BYTES);

/// The one page-directory-pointer table of long mode.
pub const PDPT: u64 = TOP_TABLE + PAGE_BYTES;

/// The first page directory of long mode; one for each GiB follows.
pub const DIRECTORIES: u64 = PDPT + PAGE_BYTES;

/// Guest memory that one page directory of long mode maps.
pub const DIRECTORY_SPAN: u64 = 1 << 30;

/// GiBs that are mapped whatever the machine's size, so that 32-bit MMIO can be reached.
pub const MIN_DIRECTORIES: u64 = 4;

/// Page directories that map everything below `top`.
pub const fn directories(top: u64) -> u64 {
    let wanted = top.div_ceil(DIRECTORY_SPAN);
    if wanted < MIN_DIRECTORIES {
        MIN_DIRECTORIES
    } else {
        wanted
    }
}

/// Bytes of the system slot of a long-mode machine that ends at `top`; other modes need no more.
pub const fn system_bytes(top: u64) -> u64 {
    DIRECTORIES - SYSTEM_START + directories(top) * PAGE_BYTES
}

const _: () = {
    assert!(LINUX_SETUP + LINUX_SETUP_HEAP_END + (MAX_COMMAND_LINE_BYTES as u64) < EBDA);
    assert!(MAX_MEMORY_BYTES <= FRAMEBUFFER_START);
    assert!(FRAMEBUFFER_START + FRAMEBUFFER_BYTES <= RESERVED_START);
    assert!(SYSTEM_START.is_multiple_of(2 << 20));
    assert!(SYSTEM_START + system_bytes(MAX_GPA) <= VIRTIO_START);
    assert!(USER_CODE.is_multiple_of(2 << 20) && USER_SYSTEM_END <= VIRTIO_START);
    assert!(VIRTIO_START + MAX_VIRTIO as u64 * VIRTIO_STRIDE <= SYSTEM_LIMIT);
    assert!(MAX_GPA / DIRECTORY_SPAN <= 512);
    assert!(GDT + PAGE_BYTES <= TSS && TSS + TSS_BYTES <= IDT);
    assert!(STUBS + EXCEPTIONS * STUB_BYTES + 256 <= FAULT_STACK_END);
    assert!(FAULT_STACK_END.is_multiple_of(16));
    assert!(SYSTEM_LIMIT <= KVM_IDENTITY_MAP && KVM_TSS + 3 * PAGE_BYTES <= RESERVED_END);
};
