//! Page tables of four levels as data (Intel SDM vol. 3A §5.5): which words they get, and where
//! they lie.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::frames::LARGE;
use super::page::{PAGE, PAGE_SHIFT};
use super::protection::Protection;
use crate::errno::Errno;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
/// Set from the start, so that the processor has nothing to write there.
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
/// The entry of a page directory maps 2 MiB.
const IS_LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;

/// Levels below the top one: what of a page's number tells their tables apart.
const LEVELS: [u32; 3] = [27, 18, 9];

/// Words that a table gets, in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The first of them.
    pub gpa: u64,
    /// What they become.
    pub words: Vec<u64>,
    /// Some of them allowed what they no longer do, so that what a processor remembers of them has
    /// to go.
    pub revokes: bool,
}

/// What the entries of a range of pages are: nothing, or frames in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry(u64);

impl Entry {
    pub const ABSENT: Self = Self(0);

    /// Pages of a program.
    pub const fn user(frame: u64, protection: Protection) -> Self {
        if !protection.is_some() {
            return Self::ABSENT;
        }
        Self::of(frame, protection, USER)
    }

    /// Pages of ours.
    pub const fn supervisor(frame: u64, protection: Protection) -> Self {
        Self::of(frame, protection, 0)
    }

    const fn of(frame: u64, protection: Protection, user: u64) -> Self {
        let write = if protection.write { WRITABLE } else { 0 };
        let execute = if protection.execute { 0 } else { NO_EXECUTE };
        Self(frame << PAGE_SHIFT | PRESENT | ACCESSED | DIRTY | user | write | execute)
    }

    const fn is_present(self) -> bool {
        self.0 & PRESENT != 0
    }

    /// That of a later page of the range.
    const fn at(self, index: u64) -> Self {
        if self.is_present() {
            Self(self.0 + (index << PAGE_SHIFT))
        } else {
            self
        }
    }

    /// Whether a large page can begin there.
    const fn is_aligned(self) -> bool {
        self.0 >> PAGE_SHIFT & (LARGE - 1) == 0
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Tables {
    root: u64,
    /// The next table's place.
    next: u64,
    end: u64,
    /// By level, and by the number of their first page over what they span.
    tables: [BTreeMap<u64, u64>; 3],
    /// The entries that map large pages.
    large: BTreeMap<u64, u64>,
    #[serde(skip)]
    edits: Vec<Edit>,
}

impl Tables {
    /// No page is mapped; tables lie in `start..end`, the top one first.
    pub fn new(start: u64, end: u64) -> Self {
        Self {
            root: start,
            next: start + PAGE,
            end,
            tables: Default::default(),
            large: BTreeMap::new(),
            edits: Vec::new(),
        }
    }

    pub const fn root(&self) -> u64 {
        self.root
    }

    pub fn take_edits(&mut self) -> Vec<Edit> {
        std::mem::take(&mut self.edits)
    }

    /// These edits come first.
    pub fn rewrite(&mut self, mut edits: Vec<Edit>) {
        edits.append(&mut self.edits);
        self.edits = edits;
    }

    /// Whether there are tables enough to change a range of pages in any way.
    pub fn check_room(&self, page: u64, count: u64) -> Result<(), Errno> {
        let last = page + count.max(1) - 1;
        let mut missing = 0;
        for (tables, shift) in self.tables.iter().zip(LEVELS) {
            let (first, last) = (page >> shift, last >> shift);
            let there = tables.range(first..=last).count() as u64;
            missing += last - first + 1 - there;
        }
        let left = (self.end - self.next) / PAGE;
        if missing > left {
            return Err(Errno::ENOMEM);
        }
        Ok(())
    }

    /// Sets the entries of a range of pages, for which there is room. `revokes` if one of them was
    /// present.
    pub fn set(&mut self, page: u64, count: u64, entry: Entry, revokes: bool) {
        let (mut at, end) = (page, page + count);
        while at < end {
            let block = at / LARGE;
            let to = end.min((block + 1) * LARGE);
            self.set_in_block(block, at, to - at, entry.at(at - page), revokes);
            at = to;
        }
    }

    fn set_in_block(&mut self, block: u64, page: u64, count: u64, entry: Entry, revokes: bool) {
        let has_leaf = self.tables[2].contains_key(&block);
        let was_large = self.large.get(&block).copied();
        let is_large = entry.is_present() && entry.is_aligned() && count == LARGE && !has_leaf;
        if is_large || (was_large.is_some() && count == LARGE && !entry.is_present()) {
            let word = if is_large { entry.0 | IS_LARGE } else { 0 };
            let at = self.place(1, block);
            self.edit(at, vec![word], was_large.is_some());
            match is_large {
                true => self.large.insert(block, entry.0),
                false => self.large.remove(&block),
            };
            return;
        }
        if !has_leaf {
            match was_large {
                Some(large) => self.split(block, large),
                None if !entry.is_present() => return,
                None => {}
            }
        }
        let leaf = self.table(2, block);
        let words = (0..count).map(|index| entry.at(index).0).collect();
        self.edit(leaf + page % LARGE * 8, words, revokes);
    }

    /// A large page becomes pages.
    fn split(&mut self, block: u64, large: u64) {
        self.large.remove(&block);
        let leaf = self.allocate();
        let words = (0..LARGE).map(|index| Entry(large).at(index).0).collect();
        self.edit(leaf, words, false);
        let at = self.place(1, block);
        self.edit(at, vec![leaf | PRESENT | WRITABLE | USER], true);
        self.tables[2].insert(block, leaf);
    }

    /// Where the entry of a table of the level below stands in one of this level.
    fn place(&mut self, level: usize, below: u64) -> u64 {
        self.table(level, below / LARGE) + below % LARGE * 8
    }

    /// The table of a level; it is made if there is none.
    fn table(&mut self, level: usize, index: u64) -> u64 {
        if let Some(table) = self.tables[level].get(&index) {
            return *table;
        }
        let at = match level {
            0 => self.root + index % LARGE * 8,
            _ => self.place(level - 1, index),
        };
        let table = self.allocate();
        self.edit(at, vec![table | PRESENT | WRITABLE | USER], false);
        self.tables[level].insert(index, table);
        table
    }

    /// A table of zeros.
    fn allocate(&mut self) -> u64 {
        let table = self.next;
        self.next += PAGE;
        table
    }

    fn edit(&mut self, gpa: u64, words: Vec<u64>, revokes: bool) {
        self.edits.push(Edit {
            gpa,
            words,
            revokes,
        });
    }
}
