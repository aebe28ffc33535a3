//! The records of one vCPU: written by its thread alone, copied by any.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::trace::record::TELLS;

/// On a cache line of its own: another vCPU's thread writes its neighbour.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Ring {
    /// Records that are written whole, since the beginning.
    written: AtomicU64,
    /// One slot more than the capacity.
    slots: u64,
    /// Words of a slot.
    each: usize,
    words: Box<[AtomicU64]>,
}

impl Ring {
    pub fn new(capacity: usize, each: usize) -> Self {
        let slots = capacity + 1;
        Self {
            written: AtomicU64::new(0),
            slots: slots as u64,
            each,
            // Written, so that no page is missing when an exit comes.
            words: (0..slots * each).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Records that it has.
    pub fn length(&self) -> u64 {
        self.written.load(Ordering::Acquire).min(self.slots - 1)
    }

    /// Those that newer ones have overwritten.
    pub fn dropped(&self) -> u64 {
        let written = self.written.load(Ordering::Acquire);
        written.saturating_sub(self.slots - 1)
    }

    fn slot(&self, index: u64) -> &[AtomicU64] {
        let at = (index % self.slots) as usize * self.each;
        self.words.get(at..at + self.each).unwrap_or_default()
    }

    /// By the writer: a further record. What it does not have is left as it was.
    pub fn push(&self, record: &[u64], registers: &[u64]) {
        let index = self.written.load(Ordering::Relaxed);
        // A reader that sees a word of this record also sees the number before it, and with it that
        // this slot is not to be read.
        fence(Ordering::Release);
        for (slot, word) in self.slot(index).iter().zip(record.iter().chain(registers)) {
            slot.store(*word, Ordering::Relaxed);
        }
        self.written.store(index + 1, Ordering::Release);
    }

    /// By the writer: the words of its last record.
    pub fn last(&self) -> &[AtomicU64] {
        let index = self.written.load(Ordering::Relaxed).wrapping_sub(1);
        self.slot(index)
    }

    /// Appends all records to `into`, oldest first; returns how many were overwritten before.
    pub fn copy(&self, into: &mut Vec<u64>) -> u64 {
        let end = self.written.load(Ordering::Acquire);
        let first = end.saturating_sub(self.slots - 1);
        let begin = into.len();
        for index in first..end {
            let slot = self.slot(index);
            let base = into.len();
            // The last word tells whether those before it are final, so it is read first.
            let tell = slot.get(TELLS);
            let tells = tell.map_or(0, |word| word.load(Ordering::Acquire));
            into.extend(slot.iter().map(|word| word.load(Ordering::Relaxed)));
            if let Some(word) = into.get_mut(base + TELLS) {
                *word = tells;
            }
        }
        fence(Ordering::Acquire);
        // The writer may have begun the record after the last that it has published.
        let end = self.written.load(Ordering::Relaxed);
        let whole = end.saturating_sub(self.slots - 1);
        let lost = whole.saturating_sub(first) as usize * self.each;
        let lost = lost.min(into.len() - begin);
        into.drain(begin..begin + lost);
        whole.max(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    fn copied(ring: &Ring) -> (u64, Vec<u64>) {
        let mut words = Vec::new();
        let dropped = ring.copy(&mut words);
        (dropped, words)
    }

    #[test]
    fn the_newest_records_take_the_place_of_the_oldest() {
        let ring = Ring::new(3, 8);
        for number in 1..=5 {
            ring.push(&[number; 8], &[]);
        }
        let (dropped, words) = copied(&ring);
        let first: Vec<u64> = words
            .chunks(8)
            .filter_map(|it| it.first().copied())
            .collect();
        assert_eq!((dropped, first), (2, vec![3, 4, 5]));
        assert_eq!((ring.length(), ring.dropped()), (3, 2));
    }

    #[test]
    fn a_copy_made_while_records_are_written_has_whole_ones_in_a_row() {
        let ring = Ring::new(7, 8);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut number = 0;
                while !over.load(Ordering::Relaxed) {
                    number += 1;
                    ring.push(&[number; 8], &[]);
                }
            });
            while ring.dropped() == 0 {
                std::thread::yield_now();
            }
            let copies: Vec<_> = (0..20_000).map(|_| copied(&ring)).collect();
            over.store(true, Ordering::Relaxed);
            let mut seen = 0;
            for (dropped, words) in copies {
                for (record, number) in words.chunks(8).zip(dropped + 1..) {
                    assert_eq!(record, [number; 8]);
                    seen += 1;
                }
            }
            assert!(seen > 0);
        });
    }
}
