//! A program's memory by its own addresses, as the host reads and writes it.

use super::ground::{Commit, Touch};
use super::page::PAGE;
use super::protection::{Access, Protection};
use super::whole::{Space, USER_END};
use crate::errno::Errno;
use crate::memory::Memory;

impl Space {
    /// Copies from a program's memory.
    ///
    /// # Errors
    /// `EFAULT` unless the program may read every byte; `bytes` is then of no meaning.
    pub fn read(
        &mut self,
        memory: &dyn Memory,
        address: u64,
        bytes: &mut [u8],
    ) -> Result<(), Errno> {
        self.check(address, bytes.len(), Some(Access::Read))?;
        self.each(address, bytes.len(), |gpa, range| {
            bytes
                .get_mut(range)
                .is_some_and(|bytes| memory.read(gpa, bytes))
        })
    }

    /// Copies to a program's memory.
    ///
    /// # Errors
    /// `EFAULT` unless the program may write every byte; nothing is then written.
    pub fn write(&mut self, memory: &dyn Memory, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.check(address, bytes.len(), Some(Access::Write))?;
        self.copy(memory, address, bytes)
    }

    /// As [`write`](Self::write), whatever the program may do there.
    ///
    /// # Errors
    /// `EFAULT` unless every byte is mapped.
    pub fn put(&mut self, memory: &dyn Memory, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.check(address, bytes.len(), None)?;
        self.copy(memory, address, bytes)
    }

    /// How many bytes from an address on a program may access, of at most so many.
    pub fn reach(&self, address: u64, most: u64, access: Access) -> u64 {
        let end = address.saturating_add(most);
        let mut at = address;
        while at < end {
            match self.areas.area_at(at / PAGE) {
                Some((first, area)) if area.protection.allows(access) => {
                    at = (first + area.pages) * PAGE;
                }
                _ => break,
            }
        }
        at.min(end) - address
    }

    /// What a program may do at an address, if it is mapped.
    pub fn protection(&self, address: u64) -> Option<Protection> {
        self.areas
            .area_at(address / PAGE)
            .map(|(_, area)| area.protection)
    }

    /// All ranges that are mapped, each with its rights, in ascending order.
    pub fn mappings(&self) -> Vec<(std::ops::Range<u64>, Protection)> {
        let mut all: Vec<(std::ops::Range<u64>, Protection)> = Vec::new();
        for (first, area) in self.areas.overlapping(0, USER_END / PAGE) {
            let range = first * PAGE..(first + area.pages) * PAGE;
            match all.last_mut() {
                // What is committed and what is not are areas of their own.
                Some((last, protection))
                    if last.end == range.start && *protection == area.protection =>
                {
                    last.end = range.end;
                }
                _ => all.push((range, area.protection)),
            }
        }
        all
    }

    /// How many pages are mapped, and how many of them have memory.
    pub fn mapped_pages(&self) -> (u64, u64) {
        let areas = self.areas.overlapping(0, USER_END / PAGE);
        areas.fold((0, 0), |(all, present), (_, area)| {
            let has = if area.frame.is_some() { area.pages } else { 0 };
            (all + area.pages, present + has)
        })
    }

    fn copy(&mut self, memory: &dyn Memory, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.each(address, bytes.len(), |gpa, range| {
            bytes
                .get(range)
                .is_some_and(|bytes| memory.write(gpa, bytes))
        })
    }

    /// Whether a range may be accessed, and commits it.
    fn check(&mut self, address: u64, bytes: usize, access: Option<Access>) -> Result<(), Errno> {
        let end = address.checked_add(bytes as u64).ok_or(Errno::EFAULT)?;
        let mut at = address;
        while at < end {
            let Some((first, area)) = self.areas.area_at(at / PAGE) else {
                return Err(Errno::EFAULT);
            };
            if !access.is_none_or(|access| area.protection.allows(access)) {
                return Err(Errno::EFAULT);
            }
            if area.frame.is_none() {
                self.commit_at(at, first, area.pages)?;
                continue;
            }
            at = (first + area.pages) * PAGE;
        }
        Ok(())
    }

    /// Gives memory to a page, and what lies around it.
    fn commit_at(&mut self, address: u64, first: u64, pages: u64) -> Result<(), Errno> {
        if self.touch(address, Access::Read) == Touch::Mended {
            return Ok(());
        }
        // Pages that the program may not touch.
        let page = address / PAGE;
        debug_assert!((first..first + pages).contains(&page));
        self.commit(page, 1).map_err(|_| Errno::EFAULT)
    }

    /// Calls with the guest physical address of every piece of a range that is committed, and with
    /// what it is of the range.
    fn each(
        &self,
        address: u64,
        bytes: usize,
        mut copy: impl FnMut(u64, std::ops::Range<usize>) -> bool,
    ) -> Result<(), Errno> {
        let mut done = 0;
        while done < bytes {
            let at = address + done as u64;
            let (first, area) = self.areas.area_at(at / PAGE).ok_or(Errno::EFAULT)?;
            let frame = area.frame.ok_or(Errno::EFAULT)?;
            let offset = at - first * PAGE;
            let left = usize::try_from(area.pages * PAGE - offset).unwrap_or(usize::MAX);
            let count = left.min(bytes - done);
            if !copy(frame * PAGE + offset, done..done + count) {
                return Err(Errno::EFAULT);
            }
            done += count;
        }
        Ok(())
    }

    /// Maps memory and fills it, for what a program finds at its start.
    ///
    /// # Errors
    /// As [`map`](Self::map).
    pub fn fill(
        &mut self,
        memory: &dyn Memory,
        start: u64,
        bytes: &[u8],
        protection: Protection,
    ) -> Result<(), Errno> {
        self.map(start, bytes.len() as u64, protection, Commit::Now)?;
        self.put(memory, start, bytes)
    }
}
