//! Which addresses the guest is told are RAM, as PVH's map says it.

use std::ops::Range;

use boot::limits::MAX_MEMORY_MAP_ENTRIES;
use boot::{ErrorKind, LoadRequest, MemorySlot};

use crate::images::{assert_refused, part, pvh, ram, request, u32_at, u64_at};

const RAM: u32 = 1;
const RESERVED: u32 = 2;

/// Start, end and type of each entry.
fn map(slots: &[MemorySlot], reserved: &[Range<u64>]) -> Vec<(u64, u64, u32)> {
    let image = pvh();
    let loaded = boot::load(&LoadRequest {
        slots,
        reserved,
        ..request(&image)
    })
    .unwrap();
    let entry = |it: &[u8]| (u64_at(it, 0), u64_at(it, 0) + u64_at(it, 8), u32_at(it, 16));
    part(&loaded, "memory-map")
        .bytes
        .chunks(24)
        .map(entry)
        .collect()
}

const LOW: (u64, u64, u32) = (0, 0x9_fc00, RAM);
const HOLE: (u64, u64, u32) = (0x9_fc00, 0x10_0000, RESERVED);

#[test]
fn memory_is_ram_but_for_the_hole_of_a_pc() {
    assert_eq!(
        map(&[ram(0, 32 << 20)], &[]),
        [LOW, HOLE, (0x10_0000, 32 << 20, RAM)]
    );
}

#[test]
fn the_hole_is_reserved_only_where_there_is_memory() {
    let kernel = ram(0x100_0000, 0x1000);
    assert_eq!(
        map(&[ram(0, 0xa_0000), kernel], &[]),
        [
            LOW,
            (0x9_fc00, 0xa_0000, RESERVED),
            (0x100_0000, 0x100_1000, RAM)
        ]
    );
    assert_eq!(
        map(&[ram(0, 0x8_0000), kernel], &[]),
        [(0, 0x8_0000, RAM), (0x100_0000, 0x100_1000, RAM)]
    );
}

#[test]
fn adjacent_slots_are_one_entry_and_read_only_ones_are_reserved() {
    let rom = MemorySlot {
        read_only: true,
        ..ram(0x300_0000, 0x1_0000)
    };
    let slots = [
        ram(5 << 30, 0x1000),
        ram(0, 32 << 20),
        ram(32 << 20, 0x1000),
        rom,
    ];
    assert_eq!(
        map(&slots, &[]),
        [
            LOW,
            HOLE,
            (0x10_0000, (32 << 20) + 0x1000, RAM),
            (0x300_0000, 0x301_0000, RESERVED),
            (5 << 30, (5 << 30) + 0x1000, RAM)
        ]
    );
}

#[test]
fn reserved_ranges_are_cut_out_of_ram_and_named_without_it() {
    let reserved = [
        0xf_0000..0x10_1000,
        0x10_0800..0x10_2000,
        0xfe00_0000..0xfe00_1000,
        0x50_0000..0x50_0000,
    ];
    assert_eq!(
        map(&[ram(0, 32 << 20)], &reserved),
        [
            LOW,
            (0x9_fc00, 0x10_2000, RESERVED),
            (0x10_2000, 32 << 20, RAM),
            (0xfe00_0000, 0xfe00_1000, RESERVED)
        ]
    );
}

#[test]
fn a_map_of_more_entries_than_a_kernel_takes_is_refused() {
    let image = pvh();
    let apart = |count: u64| -> Vec<_> {
        (0..count)
            .map(|i| (i + 5) << 30)
            .map(|gpa| gpa..gpa + 1)
            .collect()
    };
    // RAM, hole and RAM are three.
    let most = apart(MAX_MEMORY_MAP_ENTRIES as u64 - 3);
    assert_eq!(
        map(&crate::images::MEMORY, &most).len(),
        MAX_MEMORY_MAP_ENTRIES
    );
    let more = apart(MAX_MEMORY_MAP_ENTRIES as u64 - 2);
    let request = LoadRequest {
        reserved: &more,
        ..request(&image)
    };
    assert_refused(&request, ErrorKind::Limit, &["memory map", "128", "129"]);
}
