//! An address space.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::areas::{Area, Areas};
use super::frames::{self, Frames};
use super::ground::{Commit, Effects, Ground, Touch};
use super::page::PAGE;
use super::protection::{Access, Protection};
use super::tables::{Edit, Entry, Tables};
use crate::errno::Errno;

/// One past what a program can have mapped: the lower half of the addresses, but for its last page.
pub const USER_END: u64 = (1 << 47) - PAGE;
/// One past where mappings go for which no place is said.
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

/// An address space.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Space {
    pub(super) areas: Areas,
    pub(super) frames: Frames,
    pub(super) tables: Tables,
    /// Linear addresses that are ours.
    pub(super) reserved: Range<u64>,
    /// Frames that are free as soon as nothing remembers them: the first, and how many.
    pub(super) leaving: Vec<(u64, u64)>,
}

impl Space {
    /// An empty one.
    ///
    /// # Errors
    /// `ENOMEM` if what is fixed needs more tables.
    pub fn new(ground: &Ground) -> Result<Self, Errno> {
        let frames = ground.memory.start.div_ceil(PAGE)..ground.memory.end / PAGE;
        let mut space = Self {
            areas: Areas::default(),
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
        if self.areas.mapped(page, count).is_none() {
            return Err(Errno::ENOMEM);
        }
        self.check_split(page, count)?;
        self.areas.split(page);
        self.areas.split(page + count);
        for (first, area) in self.areas.within_mut(page, count) {
            if area.protection == protection {
                continue;
            }
            let was_present = area.entry() != Entry::ABSENT;
            area.protection = protection;
            let entry = area.entry();
            if was_present || entry != Entry::ABSENT {
                self.tables.set(first, area.pages, entry, was_present);
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
        if self.areas.mapped(page, count).is_none() {
            return Err(Errno::EFAULT);
        }
        self.tables.check_room(target, count)?;
        self.check_split(page, count)?;
        self.take_out(target, count);
        for (first, area) in self.areas.cut(page, count) {
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
        for (first, area) in self.areas.below(end) {
            let last = (first + area.pages).max(floor);
            if last + count <= end && count > 0 {
                return Some((end - count) * PAGE);
            }
            end = end.min(first);
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
            .is_ok_and(|(page, count)| self.areas.overlapping(page, count).next().is_none())
    }

    /// What a program's access comes to that the processor has refused. A page that has waited for
    /// its first touch gets its memory.
    pub fn touch(&mut self, address: u64, access: Access) -> Touch {
        let page = address / PAGE;
        let Some((first, area)) = self.areas.area_at(page) else {
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
        if let Some((first, area)) = self.areas.area_at(page) {
            self.tables.set(first, area.pages, area.entry(), true);
        }
    }

    /// Has words be written again that were changed in another way.
    pub fn rewrite(&mut self, edits: Vec<Edit>) {
        self.tables.rewrite(edits);
    }

    /// The numbers of whole pages that a program may have.
    pub(super) fn pages(&self, start: u64, bytes: u64) -> Result<(u64, u64), Errno> {
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
    pub(super) fn check_split(&self, page: u64, count: u64) -> Result<(), Errno> {
        self.check_areas()?;
        self.tables.check_room(page, 1)?;
        self.tables.check_room(page + count - 1, 1)
    }

    /// Removes the areas of a range with their entries and frames.
    fn take_out(&mut self, page: u64, count: u64) {
        for (first, area) in self.areas.cut(page, count) {
            if area.entry() != Entry::ABSENT {
                self.tables.set(first, area.pages, Entry::ABSENT, true);
            }
            if let Some(frame) = area.frame {
                self.leaving.push((frame, area.pages));
            }
        }
    }

    /// Gives memory to the pages of one area that have none.
    pub(super) fn commit(&mut self, page: u64, count: u64) -> Result<(), Errno> {
        self.tables.check_room(page, count)?;
        self.areas.split(page);
        self.areas.split(page + count);
        let mut at = page;
        while at < page + count {
            let Some(area) = self.areas.beginning_at(at) else {
                return Err(Errno::EFAULT);
            };
            if area.frame.is_none() {
                let taken = self.frames.take(at, area.pages).ok_or(Errno::ENOMEM)?;
                let (frame, pages) = taken;
                self.areas.split(at + pages);
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
