//! The address space of a program: what is mapped where, with which rights.
//!
//! Areas are what counts. Page tables follow from them, as words that a machine has to put in
//! force; nothing reads them back.

mod access;
mod discard;
mod frames;
mod protection;
mod tables;

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::errno::Errno;
use frames::Frames;
pub use protection::{Access, Protection};
pub use tables::Edit;
use tables::{Entry, Tables};

const PAGE_SHIFT: u32 = 12;
/// Bytes of a page.
pub(crate) const PAGE: u64 = 1 << PAGE_SHIFT;
/// One past what a program can have mapped: the lower half of the addresses, but for its last page.
pub const USER_END: u64 = (1 << 47) - PAGE;
/// One past where mappings go whose place nobody has said.
pub const MMAP_END: u64 = 0x7f00_0000_0000;
/// As Linux's `vm.mmap_min_addr`.
const USER_START: u64 = 64 << 10;
/// As Linux's `vm.max_map_count`.
const MOST_AREAS: usize = 65_530;
/// What is mapped to be committed later is committed at once up to this size: that costs less than
/// the faults.
const AT_ONCE: u64 = (1 << 20) / PAGE;
/// Where a page is touched, its large page is committed with it, if so many pages stay free.
const SPARE: u64 = 4 * frames::LARGE;

/// When pages get memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// At once.
    Now,
    /// When they are touched, at the latest.
    Later,
}

/// What an access comes to that faulted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// It is allowed now.
    Mended,
    /// It was allowed all the time.
    Stale,
    /// It is not.
    Denied,
}

/// Pages of ours, which a program finds mapped and cannot change.
#[derive(Clone, Copy, Debug)]
pub struct Fixed {
    /// The first linear address.
    pub address: u64,
    /// Bytes.
    pub bytes: u64,
    /// Where they lie.
    pub gpa: u64,
    /// What is allowed there, and whether it is to ring 3.
    pub protection: Protection,
    /// Whether it is to ring 3.
    pub user: bool,
}

/// What a space is made of.
#[derive(Clone, Debug)]
pub struct Ground {
    /// Guest physical memory that a program gets.
    pub memory: Range<u64>,
    /// Guest physical memory of page tables, the top one first; zeros.
    pub tables: Range<u64>,
    /// Linear addresses that a program cannot map.
    pub reserved: Range<u64>,
    /// What lies there.
    pub fixed: Vec<Fixed>,
}

/// What a machine has to do, in this order, after a space has changed and before the program runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Words of page tables.
    pub edits: Vec<Edit>,
    /// Guest physical memory that becomes zeros: addresses and bytes.
    pub zeros: Vec<(u64, u64)>,
}

/// Pages in a row, with frames in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Area {
    pages: u64,
    /// None until it is committed.
    frame: Option<u64>,
    protection: Protection,
}

impl Area {
    fn entry(&self) -> Entry {
        self.frame
            .map_or(Entry::ABSENT, |frame| Entry::user(frame, self.protection))
    }
}

/// An address space.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Space {
    /// By the number of their first page.
    areas: BTreeMap<u64, Area>,
    frames: Frames,
    tables: Tables,
    /// Linear addresses that are ours.
    reserved: Range<u64>,
    /// Frames that are free as soon as nothing remembers them: the first, and how many.
    leaving: Vec<(u64, u64)>,
}

impl Space {
    /// An empty one.
    ///
    /// # Errors
    /// `ENOMEM` if what is fixed needs more tables.
    pub fn new(ground: &Ground) -> Result<Self, Errno> {
        let frames = ground.memory.start.div_ceil(PAGE)..ground.memory.end / PAGE;
        let mut space = Self {
            areas: BTreeMap::new(),
            frames: Frames::new(frames.start, frames.end),
            tables: Tables::new(ground.tables.start, ground.tables.end),
            reserved: ground.reserved.clone(),
            leaving: Vec::new(),
        };
        for fixed in &ground.fixed {
            let (page, count) = (fixed.address / PAGE, fixed.bytes / PAGE);
            space.tables.check_room(page, count)?;
            let frame = fixed.gpa / PAGE;
            let entry = if fixed.user {
                Entry::user(frame, fixed.protection)
            } else {
                Entry::supervisor(frame, fixed.protection)
            };
            space.tables.set(page, count, entry, false);
        }
        Ok(space)
    }

    /// The top table's address, CR3.
    pub const fn root(&self) -> u64 {
        self.tables.root()
    }

    /// What has to be done since it was asked last.
    pub fn take_effects(&mut self) -> Effects {
        let leaving = std::mem::take(&mut self.leaving);
        for (first, count) in &leaving {
            self.frames.give(*first, *count);
        }
        let zeros = leaving.into_iter();
        Effects {
            edits: self.tables.take_edits(),
            zeros: zeros
                .map(|(first, count)| (first * PAGE, count * PAGE))
                .collect(),
        }
    }

    /// Bytes of memory that nothing has taken.
    pub const fn free_bytes(&self) -> u64 {
        self.frames.free() * PAGE
    }

    /// Maps zeros in the place of what is there.
    ///
    /// # Errors
    /// `EINVAL` for a range that is no whole pages; `ENOMEM` for one that no program can have, or
    /// if memory, tables or areas are all taken. Then nothing is changed but that less may be
    /// mapped.
    pub fn map(
        &mut self,
        start: u64,
        bytes: u64,
        protection: Protection,
        commit: Commit,
    ) -> Result<(), Errno> {
        let (page, count) = self.pages(start, bytes)?;
        if protection.is_some() && count > self.frames.all() {
            // It could never be touched.
            return Err(Errno::ENOMEM);
        }
        let is_small = count <= AT_ONCE && count <= self.frames.free() / 4;
        let at_once = commit == Commit::Now || (is_small && protection.is_some());
        if at_once {
            self.tables.check_room(page, count)?;
            if count > self.frames.free() {
                return Err(Errno::ENOMEM);
            }
        }
        self.check_split(page, count)?;
        self.take_out(page, count);
        let area = Area {
            pages: count,
            frame: None,
            protection,
        };
        self.areas.insert(page, area);
        if at_once {
            self.commit(page, count)?;
        }
        Ok(())
    }

    /// Takes away what is mapped in a range.
    ///
    /// # Errors
    /// As [`map`](Self::map).
    pub fn unmap(&mut self, start: u64, bytes: u64) -> Result<(), Errno> {
        let (page, count) = self.pages(start, bytes)?;
        self.check_split(page, count)?;
        self.take_out(page, count);
        Ok(())
    }

    /// Changes the rights of a range.
    ///
    /// # Errors
    /// As [`map`](Self::map); `ENOMEM` if a page of it is not mapped.
    pub fn protect(&mut self, start: u64, bytes: u64, protection: Protection) -> Result<(), Errno> {
        let (page, count) = self.pages(start, bytes)?;
        if self.mapped(page, count).is_none() {
            return Err(Errno::ENOMEM);
        }
        self.check_split(page, count)?;
        self.split(page);
        self.split(page + count);
        for (first, area) in self.areas.range_mut(page..page + count) {
            if area.protection == protection {
                continue;
            }
            let was_present = area.entry() != Entry::ABSENT;
            area.protection = protection;
            let entry = area.entry();
            if was_present || entry != Entry::ABSENT {
                self.tables.set(*first, area.pages, entry, was_present);
            }
        }
        Ok(())
    }

    /// Moves what is mapped in a range to another place, which it takes.
    ///
    /// # Errors
    /// As [`map`](Self::map); `EFAULT` if a page of it is not mapped, `EINVAL` if the ranges
    /// overlap.
    pub fn relocate(&mut self, from: u64, bytes: u64, to: u64) -> Result<(), Errno> {
        let (page, count) = self.pages(from, bytes)?;
        let (target, _) = self.pages(to, bytes)?;
        if page < target + count && target < page + count {
            return Err(Errno::EINVAL);
        }
        if self.mapped(page, count).is_none() {
            return Err(Errno::EFAULT);
        }
        self.tables.check_room(target, count)?;
        self.check_split(page, count)?;
        self.take_out(target, count);
        for (first, area) in self.cut(page, count) {
            if area.entry() != Entry::ABSENT {
                self.tables.set(first, area.pages, Entry::ABSENT, true);
                self.tables
                    .set(first - page + target, area.pages, area.entry(), false);
            }
            self.areas.insert(first - page + target, area);
        }
        Ok(())
    }

    /// Where so many bytes are free, as high as can be below [`MMAP_END`].
    pub fn find(&self, bytes: u64) -> Option<u64> {
        let count = bytes.checked_add(PAGE - 1)? / PAGE;
        let mut end = MMAP_END / PAGE;
        let floor = self.reserved.end / PAGE;
        for (first, area) in self.areas.range(..end).rev() {
            let last = (first + area.pages).max(floor);
            if last + count <= end && count > 0 {
                return Some((end - count) * PAGE);
            }
            end = end.min(*first);
            if end <= floor {
                return None;
            }
        }
        let is_room = count > 0 && floor + count <= end;
        is_room.then(|| (end - count) * PAGE)
    }

    /// Whether a program could have this range, and nothing is mapped in it.
    pub fn is_free(&self, start: u64, bytes: u64) -> bool {
        self.pages(start, bytes)
            .is_ok_and(|(page, count)| self.overlapping(page, count).next().is_none())
    }

    /// What a program's access comes to that the processor has refused. A page that has waited for
    /// its first touch gets its memory.
    pub fn touch(&mut self, address: u64, access: Access) -> Touch {
        let page = address / PAGE;
        let Some((first, area)) = self.area_at(page) else {
            return Touch::Denied;
        };
        if !area.protection.allows(access) {
            return Touch::Denied;
        }
        if area.frame.is_some() {
            return Touch::Stale;
        }
        let end = first + area.pages;
        let block = page / frames::LARGE * frames::LARGE;
        let around = block.max(first)..(block + frames::LARGE).min(end);
        let is_roomy = self.frames.free() > SPARE && self.areas.len() < MOST_AREAS;
        let range = if is_roomy { around } else { page..page + 1 };
        match self.commit(range.start, range.end - range.start) {
            Ok(()) => Touch::Mended,
            Err(_) => Touch::Denied,
        }
    }

    /// Has what a processor remembers of a page go.
    pub fn refresh(&mut self, address: u64) {
        let page = address / PAGE;
        if let Some((first, area)) = self.area_at(page) {
            self.tables.set(first, area.pages, area.entry(), true);
        }
    }

    /// Has words be written again that were changed in another way.
    pub fn rewrite(&mut self, edits: Vec<Edit>) {
        self.tables.rewrite(edits);
    }

    /// The numbers of whole pages that a program may have.
    fn pages(&self, start: u64, bytes: u64) -> Result<(u64, u64), Errno> {
        if !start.is_multiple_of(PAGE) || bytes == 0 {
            return Err(Errno::EINVAL);
        }
        let count = bytes.div_ceil(PAGE);
        let end = count
            .checked_mul(PAGE)
            .and_then(|all| start.checked_add(all));
        let end = end.ok_or(Errno::ENOMEM)?;
        let is_ours = start < self.reserved.end && self.reserved.start < end;
        if start < USER_START || end > USER_END || is_ours {
            return Err(Errno::ENOMEM);
        }
        Ok((start / PAGE, count))
    }

    /// Whether there may be a few areas more.
    fn check_areas(&self) -> Result<(), Errno> {
        if self.areas.len() + 2 > MOST_AREAS {
            return Err(Errno::ENOMEM);
        }
        Ok(())
    }

    /// Whether a range can be cut out: of a large page pages may be left.
    fn check_split(&self, page: u64, count: u64) -> Result<(), Errno> {
        self.check_areas()?;
        self.tables.check_room(page, 1)?;
        self.tables.check_room(page + count - 1, 1)
    }

    fn overlapping(&self, page: u64, count: u64) -> impl Iterator<Item = (u64, Area)> {
        let before = self.areas.range(..page).next_back();
        let before = before.filter(|(first, area)| **first + area.pages > page);
        let within = self.areas.range(page..page + count);
        before
            .into_iter()
            .chain(within)
            .map(|(first, area)| (*first, *area))
    }

    fn area_at(&self, page: u64) -> Option<(u64, Area)> {
        self.overlapping(page, 1).next()
    }

    /// The areas of a range without a hole.
    fn mapped(&self, page: u64, count: u64) -> Option<()> {
        let mut at = page;
        for (first, area) in self.overlapping(page, count) {
            if first > at {
                return None;
            }
            at = first + area.pages;
        }
        (at >= page + count).then_some(())
    }

    /// Makes an area begin at a page, if one goes across.
    fn split(&mut self, page: u64) {
        let Some((first, area)) = self.area_at(page).filter(|(first, _)| *first < page) else {
            return;
        };
        let before = page - first;
        let rest = Area {
            pages: area.pages - before,
            frame: area.frame.map(|frame| frame + before),
            ..area
        };
        self.areas.insert(
            first,
            Area {
                pages: before,
                ..area
            },
        );
        self.areas.insert(page, rest);
    }

    /// Removes the areas of a range, and nothing else of them.
    fn cut(&mut self, page: u64, count: u64) -> Vec<(u64, Area)> {
        self.split(page);
        self.split(page + count);
        let all: Vec<_> = self.overlapping(page, count).collect();
        for (first, _) in &all {
            self.areas.remove(first);
        }
        all
    }

    /// Removes the areas of a range with their entries and frames.
    fn take_out(&mut self, page: u64, count: u64) {
        for (first, area) in self.cut(page, count) {
            if area.entry() != Entry::ABSENT {
                self.tables.set(first, area.pages, Entry::ABSENT, true);
            }
            if let Some(frame) = area.frame {
                self.leaving.push((frame, area.pages));
            }
        }
    }

    /// Gives memory to the pages of one area that have none.
    fn commit(&mut self, page: u64, count: u64) -> Result<(), Errno> {
        self.tables.check_room(page, count)?;
        self.split(page);
        self.split(page + count);
        let mut at = page;
        while at < page + count {
            let Some(area) = self.areas.get(&at).copied() else {
                return Err(Errno::EFAULT);
            };
            if area.frame.is_none() {
                let taken = self.frames.take(at, area.pages).ok_or(Errno::ENOMEM)?;
                let (frame, pages) = taken;
                self.split(at + pages);
                let area = Area {
                    pages,
                    frame: Some(frame),
                    ..area
                };
                self.areas.insert(at, area);
                if area.entry() != Entry::ABSENT {
                    self.tables.set(at, pages, area.entry(), false);
                }
                at += pages;
            } else {
                at += area.pages;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
