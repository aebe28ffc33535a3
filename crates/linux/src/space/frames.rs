//! Which pages of guest physical memory are taken.

use serde::{Deserialize, Serialize};

/// Pages of one large page.
pub(super) const LARGE: u64 = 512;

const BITS: u64 = u64::BITS as u64;

/// Frames, by number: a set bit is one that is taken.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Frames {
    taken: Vec<u64>,
    end: u64,
    free: u64,
    /// Where the search goes on.
    next: u64,
}

impl Frames {
    /// All of `first..end` are free.
    pub fn new(first: u64, end: u64) -> Self {
        let first = first.min(end);
        let mut frames = Self {
            taken: vec![0; end.div_ceil(BITS) as usize],
            end,
            free: end - first,
            next: first,
        };
        frames.mark(0, first, true);
        frames
    }

    /// How many there are.
    pub const fn all(&self) -> u64 {
        self.end
    }

    /// How many are free.
    pub const fn free(&self) -> u64 {
        self.free
    }

    /// Takes frames in a row, as many as are wanted or fewer; the first, and how many. Whole large
    /// pages get frames that lie as `page` does.
    pub fn take(&mut self, page: u64, wanted: u64) -> Option<(u64, u64)> {
        let found = self.find(page, wanted).or_else(|| {
            let mut fewer = wanted / 2;
            loop {
                if fewer == 0 {
                    return None;
                }
                match self.find(page, fewer) {
                    None => fewer /= 2,
                    found => return found,
                }
            }
        });
        let (first, count) = found?;
        self.mark(first, count, true);
        self.free -= count;
        self.next = first + count;
        Some((first, count))
    }

    /// Gives them back.
    pub fn give(&mut self, first: u64, count: u64) {
        self.mark(first, count, false);
        self.free += count;
        self.next = self.next.min(first);
    }

    fn find(&self, page: u64, count: u64) -> Option<(u64, u64)> {
        if count > self.free {
            return None;
        }
        let step = if count >= LARGE { LARGE } else { 1 };
        let first = self.run(self.next, count, page, step);
        let first = first.or_else(|| self.run(0, count, page, step));
        // Where no such run is left, any will do.
        let first = first.or_else(|| self.run(0, count, page, 1))?;
        Some((first, count))
    }

    /// The first run of free frames that begins at `page` modulo `step`.
    fn run(&self, from: u64, count: u64, page: u64, step: u64) -> Option<u64> {
        let align = |at: u64| at + (page % step + step - at % step) % step;
        let mut first = align(from);
        while first + count <= self.end {
            match self.last_taken(first, count) {
                None => return Some(first),
                Some(taken) => first = align(taken + 1),
            }
        }
        None
    }

    /// The last frame of a range that is taken.
    fn last_taken(&self, first: u64, count: u64) -> Option<u64> {
        let mut at = first + count;
        while at > first {
            let word = (at - 1) / BITS;
            let begin = (word * BITS).max(first);
            let bits = self.taken[word as usize] & mask(begin - word * BITS, at - word * BITS);
            if bits != 0 {
                return Some(word * BITS + BITS - 1 - u64::from(bits.leading_zeros()));
            }
            at = begin;
        }
        None
    }

    fn mark(&mut self, first: u64, count: u64, is_taken: bool) {
        let (mut at, end) = (first, first + count);
        while at < end {
            let word = at / BITS;
            let to = end.min((word + 1) * BITS);
            let bits = mask(at - word * BITS, to - word * BITS);
            let word = &mut self.taken[word as usize];
            *word = if is_taken {
                *word | bits
            } else {
                *word & !bits
            };
            at = to;
        }
    }
}

/// Bits `from..to` of a word.
const fn mask(from: u64, to: u64) -> u64 {
    below(to) & !below(from)
}

const fn below(bit: u64) -> u64 {
    if bit >= BITS {
        u64::MAX
    } else {
        (1 << bit) - 1
    }
}
