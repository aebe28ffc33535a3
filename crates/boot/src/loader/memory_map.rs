//! Which guest physical addresses are RAM: the map that a BIOS call E820 would give.

use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_MEMORY_MAP_ENTRIES;
use crate::slot::MemorySlot;

/// The extended BIOS data area, video memory and option ROMs of a PC. There is memory at these
/// addresses, and kernels take them for what they were on a PC whatever the map says.
pub(super) const LEGACY_HOLE: Range<u64> = 0x9_fc00..0x10_0000;

/// What a range is good for; the numbers are the same in E820, multiboot and PVH (ACPI 6.5 §15,
/// table 15.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    /// AddressRangeMemory.
    Ram = 1,
    /// AddressRangeReserved.
    Reserved = 2,
}

/// An entry of the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MapEntry {
    pub range: Range<u64>,
    pub usage: Usage,
}

impl MapEntry {
    pub fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }
}

/// The map of a machine, ordered, without overlaps, neighbours of one kind as one entry.
///
/// # Errors
/// `Limit` when it has more entries than a kernel takes.
pub(super) fn memory_map(slots: &[MemorySlot], reserved: &[Range<u64>]) -> Result<Vec<MapEntry>> {
    let ranges = slots.iter().map(slot_range).chain(reserved.iter().cloned());
    let mut borders: Vec<u64> = ranges
        .chain([LEGACY_HOLE])
        .filter(|range| !range.is_empty())
        .flat_map(|range| [range.start, range.end])
        .collect();
    borders.sort_unstable();
    borders.dedup();
    let mut map: Vec<MapEntry> = Vec::new();
    for pair in borders.windows(2) {
        let [start, end] = *pair else { continue };
        let Some(usage) = usage_at(start, slots, reserved) else {
            continue;
        };
        match map.last_mut() {
            Some(last) if last.usage == usage && last.range.end == start => last.range.end = end,
            _ => map.push(MapEntry {
                range: start..end,
                usage,
            }),
        }
    }
    if map.len() > MAX_MEMORY_MAP_ENTRIES {
        let got = map.len();
        return Err(Error::new(
            ErrorKind::Limit,
            format!("memory map: at most {MAX_MEMORY_MAP_ENTRIES} entries, got {got}"),
        ));
    }
    Ok(map)
}

/// Bytes of RAM from an address up to the first gap, in KiB: `mem_lower`, `mem_upper`.
pub(super) fn kib_from(gpa: u64, map: &[MapEntry]) -> u64 {
    let ram = |entry: &&MapEntry| entry.usage == Usage::Ram && entry.range.contains(&gpa);
    map.iter()
        .find(ram)
        .map_or(0, |entry| (entry.range.end - gpa) / 1024)
}

/// What the addresses from a border up to the next one are.
fn usage_at(gpa: u64, slots: &[MemorySlot], reserved: &[Range<u64>]) -> Option<Usage> {
    if reserved.iter().any(|range| range.contains(&gpa)) {
        return Some(Usage::Reserved);
    }
    let slot = slots.iter().find(|slot| slot_range(slot).contains(&gpa))?;
    let ram = !slot.read_only && !LEGACY_HOLE.contains(&gpa);
    Some(if ram { Usage::Ram } else { Usage::Reserved })
}

/// A slot's addresses; an unchecked one may claim more than there are.
pub(super) fn slot_range(slot: &MemorySlot) -> Range<u64> {
    slot.gpa..slot.gpa.saturating_add(slot.bytes)
}
