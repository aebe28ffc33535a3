//! Which guest physical addresses are taken while an image is loaded.

use std::borrow::Cow;
use std::ops::Range;

use super::loaded::Part;
use super::memory_map::{LEGACY_HOLE, slot_range};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::PAGE_BYTES;
use crate::slot::MemorySlot;

/// Page 0 stays free: null pointers, and what a BIOS would keep there.
const LOWEST_GPA: u64 = PAGE_BYTES;

/// Every pointer of the boot protocols fits 32 bits, as long as what we place lies below.
const POINTER_END: u64 = 1 << 32;

/// 1 MiB, where memory begins that no BIOS ever claimed.
pub(super) const HIGH_MEMORY: u64 = 1 << 20;

/// The memory of a machine, and what lies in it so far.
#[derive(Debug)]
pub(super) struct Space<'a> {
    slots: &'a [MemorySlot],
    reserved: Vec<Range<u64>>,
    pub parts: Vec<Part<'a>>,
}

impl<'a> Space<'a> {
    pub fn new(slots: &'a [MemorySlot], reserved: &[Range<u64>]) -> Self {
        let reserved = reserved.iter().filter(|range| !range.is_empty()).cloned();
        Self {
            slots,
            reserved: reserved.collect(),
            parts: Vec::new(),
        }
    }

    /// Puts a part where its image wants it: within one slot, outside reserved ranges, apart from
    /// all others.
    pub fn place(&mut self, part: Part<'a>) -> Result<()> {
        let end = part.gpa.checked_add(part.memory_bytes);
        let holds = |slot: &&MemorySlot| {
            let slot = slot_range(slot);
            part.gpa >= slot.start && end.is_some_and(|end| end <= slot.end)
        };
        let (what, bytes, gpa) = (part.what, part.memory_bytes, part.gpa);
        if bytes == 0 {
            return Err(payload(format!("{what} at gpa {gpa:#x} is empty")));
        }
        if !self.slots.iter().any(|slot| holds(&slot)) {
            let slots: Vec<_> = self
                .slots
                .iter()
                .map(|slot| show(&slot_range(slot)))
                .collect();
            return Err(payload(format!(
                "{what} of {bytes} bytes at gpa {gpa:#x} does not lie in memory ({}); raise memoryBytes or move it",
                slots.join(", ")
            )));
        }
        let range = part.range();
        let mine = show(&range);
        if let Some(other) = self.reserved.iter().find(|other| overlap(other, &range)) {
            let other = show(other);
            return Err(payload(format!(
                "{what} ({mine}) overlaps the reserved range {other}"
            )));
        }
        if let Some(other) = self.parts.iter().find(|it| overlap(&it.range(), &range)) {
            let (name, other) = (other.what, show(&other.range()));
            return Err(payload(format!(
                "{what} ({mine}) overlaps {name} ({other})"
            )));
        }
        self.parts.push(part);
        Ok(())
    }

    /// The first instruction has to lie in what is placed so far.
    pub fn check_entry(&self, gpa: u64) -> Result<()> {
        if self.parts.iter().any(|part| part.range().contains(&gpa)) {
            return Ok(());
        }
        Err(payload(format!(
            "the entry {gpa:#x} lies outside the image"
        )))
    }

    /// Puts bytes at the lowest free address from `from` on, and says where.
    pub fn place_low(
        &mut self,
        what: &'static str,
        bytes: impl Into<Cow<'a, [u8]>>,
        alignment: u64,
        from: u64,
    ) -> Result<u64> {
        let bytes = bytes.into();
        let length = bytes.len() as u64;
        let gpa = self
            .lowest(length, alignment, from)
            .ok_or_else(|| no_room(what, length))?;
        self.place_all(what, gpa, bytes)
    }

    /// Puts bytes into the highest free pages that end at or below `limit`, and says where.
    pub fn place_high(&mut self, what: &'static str, bytes: &'a [u8], limit: u64) -> Result<u64> {
        let length = bytes.len() as u64;
        let gpa = self
            .highest(length, limit, PAGE_BYTES)
            .ok_or_else(|| {
                if limit < self.main_end() {
                    return payload(format!(
                        "no room for {what} of {length} bytes below {limit:#x}, which is as high as the image allows"
                    ));
                }
                no_room(what, length)
            })?;
        self.place_all(what, gpa, bytes.into())
    }

    fn place_all(&mut self, what: &'static str, gpa: u64, bytes: Cow<'a, [u8]>) -> Result<u64> {
        let memory_bytes = bytes.len() as u64;
        self.place(Part {
            what,
            gpa,
            bytes,
            memory_bytes,
        })?;
        Ok(gpa)
    }

    /// The lowest multiple of `alignment` (a power of two) from `from` on where `length` bytes are
    /// free.
    pub fn lowest(&self, length: u64, alignment: u64, from: u64) -> Option<u64> {
        let end = self.main_end();
        let mut start = from.max(LOWEST_GPA).checked_next_multiple_of(alignment)?;
        loop {
            let range = start..start.checked_add(length).filter(|stop| *stop <= end)?;
            let Some(blocker) = self.blocker(&range) else {
                return Some(start);
            };
            start = blocker.end.checked_next_multiple_of(alignment)?;
        }
    }

    /// The highest multiple of `alignment` (a power of two) from which `length` bytes are free and
    /// end at or below `limit`.
    pub fn highest(&self, length: u64, limit: u64, alignment: u64) -> Option<u64> {
        let mut end = self.main_end().min(limit);
        loop {
            let start = end.checked_sub(length)? / alignment * alignment;
            if start < LOWEST_GPA {
                return None;
            }
            let Some(blocker) = self.blocker(&(start..start + length)) else {
                return Some(start);
            };
            end = blocker.start;
        }
    }

    /// Whether a part could be placed there.
    pub fn is_free(&self, gpa: u64, length: u64) -> bool {
        let end = gpa.checked_add(length);
        let slots = &mut self.slots.iter().map(slot_range);
        slots.any(|slot| gpa >= slot.start && end.is_some_and(|end| end <= slot.end))
            && self.blocker(&(gpa..gpa.saturating_add(length))).is_none()
    }

    /// Something that lies in a range, if anything does.
    fn blocker(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let parts = self.parts.iter().map(Part::range);
        let blocked = std::iter::once(LEGACY_HOLE).chain(self.reserved.iter().cloned());
        parts.chain(blocked).find(|other| overlap(other, range))
    }

    /// Where the writable slot at gpa 0 ends, as far as pointers of 32 bits reach.
    fn main_end(&self) -> u64 {
        let main = |slot: &&MemorySlot| slot.gpa == 0 && !slot.read_only;
        let end = self.slots.iter().find(main).map_or(0, |slot| slot.bytes);
        end.min(POINTER_END)
    }
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

fn show(range: &Range<u64>) -> String {
    format!("{:#x}..{:#x}", range.start, range.end)
}

fn no_room(what: &str, bytes: u64) -> Error {
    payload(format!(
        "no room for {what} of {bytes} bytes in the memory from gpa 0; raise memoryBytes"
    ))
}

fn payload(complaint: String) -> Error {
    Error::new(ErrorKind::Payload, format!("payload: {complaint}"))
}
