//! What is mapped where.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::protection::Protection;
use super::tables::Entry;

/// Pages in a row, with frames in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Area {
    pub pages: u64,
    /// None until it is committed.
    pub frame: Option<u64>,
    pub protection: Protection,
}

impl Area {
    pub fn entry(&self) -> Entry {
        self.frame
            .map_or(Entry::ABSENT, |frame| Entry::user(frame, self.protection))
    }
}

/// By the number of their first page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Areas(BTreeMap<u64, Area>);

impl Areas {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn insert(&mut self, page: u64, area: Area) {
        self.0.insert(page, area);
    }

    /// The one that begins there.
    pub fn beginning_at(&self, page: u64) -> Option<Area> {
        self.0.get(&page).copied()
    }

    /// Those that begin below a page, from there downwards.
    pub fn below(&self, page: u64) -> impl Iterator<Item = (u64, Area)> {
        let below = self.0.range(..page).rev();
        below.map(|(first, area)| (*first, *area))
    }

    /// Those that begin in a range.
    pub fn within_mut(&mut self, page: u64, count: u64) -> impl Iterator<Item = (u64, &mut Area)> {
        let within = self.0.range_mut(page..page + count);
        within.map(|(first, area)| (*first, area))
    }

    pub fn overlapping(&self, page: u64, count: u64) -> impl Iterator<Item = (u64, Area)> {
        let before = self.0.range(..page).next_back();
        let before = before.filter(|(first, area)| **first + area.pages > page);
        let within = self.0.range(page..page + count);
        before
            .into_iter()
            .chain(within)
            .map(|(first, area)| (*first, *area))
    }

    pub fn area_at(&self, page: u64) -> Option<(u64, Area)> {
        self.overlapping(page, 1).next()
    }

    /// The areas of a range without a hole.
    pub fn mapped(&self, page: u64, count: u64) -> Option<()> {
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
    pub fn split(&mut self, page: u64) {
        let Some((first, area)) = self.area_at(page).filter(|(first, _)| *first < page) else {
            return;
        };
        let before = page - first;
        let rest = Area {
            pages: area.pages - before,
            frame: area.frame.map(|frame| frame + before),
            ..area
        };
        self.0.insert(
            first,
            Area {
                pages: before,
                ..area
            },
        );
        self.0.insert(page, rest);
    }

    /// Removes the areas of a range, and nothing else of them.
    pub fn cut(&mut self, page: u64, count: u64) -> Vec<(u64, Area)> {
        self.split(page);
        self.split(page + count);
        let all: Vec<_> = self.overlapping(page, count).collect();
        for (first, _) in &all {
            self.0.remove(first);
        }
        all
    }
}
