//! Guest memory as devices reach it: which pages of a slot the host has written is noted in a
//! bitmap that vm-memory marks.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use vm_memory::GuestMemoryMmap;
use vm_memory::bitmap::{Bitmap, NewBitmap, RefSlice, WithBitmapSlice};

/// The memory that a device reads and writes by itself: the writable slots, but for the one that
/// holds the processor's tables.
pub type DmaMemory = GuestMemoryMmap<Written>;

/// Pages are of this size.
const PAGE_BYTES: usize = 4096;

/// Pages that one word of a bitmap has bits for.
const WORD_PAGES: usize = u64::BITS as usize;

/// The host's writes to one slot, from [`begin`](Self::begin) on; before, a write costs one load.
#[derive(Debug, Default)]
pub struct Written {
    pages: usize,
    begun: AtomicBool,
    /// From the first write after that on.
    marks: OnceLock<Marks>,
}

#[derive(Debug)]
struct Marks {
    /// A bit for each page.
    words: Box<[AtomicU64]>,
    /// A bit for each word that is not zero, so that few marks in large memory are found at once.
    index: Box<[AtomicU64]>,
}

impl Written {
    /// Notes what is written from here on.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    fn marks(&self) -> Option<&Marks> {
        if !self.begun.load(Ordering::Relaxed) {
            return None;
        }
        let zeros = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        Some(self.marks.get_or_init(|| {
            let words = self.pages.div_ceil(WORD_PAGES);
            Marks {
                words: zeros(words),
                index: zeros(words.div_ceil(WORD_PAGES)),
            }
        }))
    }

    /// Adds the marks to a set's words of this slot, and takes them away.
    pub fn take(&self, into: &mut [u64]) {
        let Some(marks) = self.marks.get() else {
            return;
        };
        for (index, some) in marks.index.iter().enumerate() {
            if some.load(Ordering::Relaxed) == 0 {
                continue;
            }
            some.store(0, Ordering::Relaxed);
            let first = index * WORD_PAGES;
            let words = marks.words.iter().zip(into.iter_mut());
            for (word, into) in words.skip(first).take(WORD_PAGES) {
                *into |= word.swap(0, Ordering::Relaxed);
            }
        }
    }
}

impl<'a> WithBitmapSlice<'a> for Written {
    type S = RefSlice<'a, Self>;
}

impl Bitmap for Written {
    fn mark_dirty(&self, offset: usize, length: usize) {
        let Some(marks) = self.marks() else {
            return;
        };
        if length == 0 {
            return;
        }
        let page = |offset: usize| offset / PAGE_BYTES;
        for page in page(offset)..=page(offset.saturating_add(length - 1)) {
            let word = marks.words.get(page / WORD_PAGES);
            let Some(word) = word.filter(|_| page < self.pages) else {
                break;
            };
            word.fetch_or(1 << (page % WORD_PAGES), Ordering::Relaxed);
            let word = page / WORD_PAGES;
            if let Some(index) = marks.index.get(word / WORD_PAGES) {
                index.fetch_or(1 << (word % WORD_PAGES), Ordering::Relaxed);
            }
        }
    }

    fn dirty_at(&self, offset: usize) -> bool {
        let page = offset / PAGE_BYTES;
        let word = self
            .marks
            .get()
            .and_then(|marks| marks.words.get(page / WORD_PAGES));
        word.is_some_and(|word| word.load(Ordering::Relaxed) >> (page % WORD_PAGES) & 1 == 1)
    }

    fn slice_at(&self, offset: usize) -> RefSlice<'_, Self> {
        RefSlice::new(self, offset)
    }
}

impl NewBitmap for Written {
    fn with_len(bytes: usize) -> Self {
        Self {
            pages: bytes.div_ceil(PAGE_BYTES),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = PAGE_BYTES;

    #[test]
    fn nothing_is_noted_before_it_begins() {
        let written = Written::with_len(2 * PAGE);
        written.mark_dirty(0, 1);
        written.begin();
        let mut words = [0];
        written.take(&mut words);
        assert_eq!(words, [0]);
    }

    #[test]
    fn each_page_that_a_write_touches_is_noted_once() {
        let written = Written::with_len(200 * PAGE);
        written.begin();
        written.mark_dirty(PAGE - 1, 2);
        written.mark_dirty(5 * PAGE, 0);
        written.mark_dirty(64 * PAGE, PAGE);
        written.slice_at(100 * PAGE).mark_dirty(99 * PAGE, 2 * PAGE);
        assert!(written.dirty_at(PAGE) && !written.dirty_at(5 * PAGE));
        let mut words = [0, 0, 0, 4];
        written.take(&mut words);
        assert_eq!(words, [0b11, 1, 0, 4 | 1 << (199 - 192)]);
        let mut again = [0; 4];
        written.take(&mut again);
        assert_eq!(again, [0; 4]);
    }
}
