//! The pages of a machine's memory, numbered through all of its slots, and sets of them.

use boot::MemorySlot;

use crate::limits::PAGE_BYTES;

/// Pages in a word of a set.
pub(crate) const WORD_PAGES: usize = u64::BITS as usize;

/// Where the pages of each slot are, in the order of addresses. Each slot begins at a multiple of
/// 64 pages, so that a set has words of its own for it, as KVM's dirty log does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout(Vec<Span>);

/// The pages of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub slot: MemorySlot,
    /// The number of its first page.
    pub first: usize,
    /// Pages.
    pub count: usize,
}

/// A set of pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pages(Vec<u64>);

impl Layout {
    /// Of slots that are ordered by address.
    pub fn new(slots: &[MemorySlot]) -> Self {
        let mut first = 0;
        let span = |slot: &MemorySlot| {
            let count = (slot.bytes / PAGE_BYTES) as usize;
            let span = Span {
                slot: *slot,
                first,
                count,
            };
            first += count.next_multiple_of(WORD_PAGES);
            span
        };
        Self(slots.iter().map(span).collect())
    }

    pub fn spans(&self) -> &[Span] {
        &self.0
    }

    /// One past the number of the last page.
    pub fn end(&self) -> usize {
        let last = self.0.last();
        last.map_or(0, |last| last.first + last.words() * WORD_PAGES)
    }

    /// The slot of a page.
    pub fn find(&self, page: usize) -> Option<(usize, &Span)> {
        let after = self.0.partition_point(|span| span.first <= page);
        let index = after.checked_sub(1)?;
        let span = self.0.get(index)?;
        (page - span.first < span.count).then_some((index, span))
    }

    /// The address of a page.
    pub fn gpa(&self, page: usize) -> Option<u64> {
        let (_, span) = self.find(page)?;
        Some(span.slot.gpa + (page - span.first) as u64 * PAGE_BYTES)
    }
}

impl Span {
    /// Words that a set has for it.
    pub const fn words(&self) -> usize {
        self.count.div_ceil(WORD_PAGES)
    }

    const fn first_word(&self) -> usize {
        self.first / WORD_PAGES
    }
}

impl Pages {
    /// No page of a layout.
    pub fn none(layout: &Layout) -> Self {
        Self(vec![0; layout.end() / WORD_PAGES])
    }

    /// Whether it is of no layout.
    pub const fn is_unmade(&self) -> bool {
        self.0.is_empty()
    }

    pub fn insert(&mut self, page: usize) {
        if let Some(word) = self.0.get_mut(page / WORD_PAGES) {
            *word |= 1 << (page % WORD_PAGES);
        }
    }

    pub fn contains(&self, page: usize) -> bool {
        let word = self.0.get(page / WORD_PAGES);
        word.is_some_and(|word| word >> (page % WORD_PAGES) & 1 == 1)
    }

    /// All numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        each_page(&self.0, 0)
    }

    /// The numbers of one slot's, in order.
    pub fn of(&self, span: &Span) -> impl Iterator<Item = usize> + '_ {
        each_page(self.words(span), span.first)
    }

    /// The words of one slot.
    pub fn words(&self, span: &Span) -> &[u64] {
        let words = span.first_word()..span.first_word() + span.words();
        self.0.get(words).unwrap_or_default()
    }

    /// The words of one slot.
    pub fn words_mut(&mut self, span: &Span) -> &mut [u64] {
        let words = span.first_word()..span.first_word() + span.words();
        self.0.get_mut(words).unwrap_or_default()
    }

    /// All numbers from one on that are in this set or in another of the same layout, in order.
    pub fn iter_with<'s>(
        &'s self,
        other: &'s Self,
        from: usize,
    ) -> impl Iterator<Item = usize> + 's {
        let both = self.0.iter().zip(&other.0).map(|(one, two)| one | two);
        let words = both.zip((0..).step_by(WORD_PAGES)).skip(from / WORD_PAGES);
        words
            .flat_map(|(word, first)| each_bit(word, first))
            .filter(move |page| *page >= from)
    }

    pub fn clear(&mut self) {
        self.0.fill(0);
    }
}

/// The numbers of the pages whose bits are set.
fn each_page(words: &[u64], first: usize) -> impl Iterator<Item = usize> + '_ {
    let words = words.iter().zip((first..).step_by(WORD_PAGES));
    let some = words.filter(|(word, _)| **word != 0);
    some.flat_map(|(word, first)| each_bit(*word, first))
}

fn each_bit(mut left: u64, first: usize) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = left.trailing_zeros() as usize;
        // Without the lowest bit; of zero nothing is left.
        left &= left.checked_sub(1)?;
        Some(first + bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        let slot = |gpa, pages| MemorySlot {
            gpa,
            bytes: pages * PAGE_BYTES,
            read_only: false,
        };
        Layout::new(&[slot(0, 65), slot(0x10_0000, 1), slot(0x20_0000, 64)])
    }

    #[test]
    fn each_slot_begins_with_a_word_of_its_own() {
        let layout = layout();
        let firsts: Vec<_> = layout.spans().iter().map(|span| span.first).collect();
        assert_eq!(firsts, [0, 128, 192]);
        assert_eq!(layout.end(), 256);
        let gpas = [64, 65, 128, 129, 255, 256].map(|page| layout.gpa(page));
        let expected = [
            Some(64 << 12),
            None,
            Some(0x10_0000),
            None,
            Some(0x20_0000 + (63 << 12)),
            None,
        ];
        assert_eq!(gpas, expected);
    }

    #[test]
    fn a_set_gives_its_pages_in_order() {
        let layout = layout();
        let mut pages = Pages::none(&layout);
        for page in [255, 0, 63, 64, 128] {
            pages.insert(page);
        }
        assert_eq!(pages.iter().collect::<Vec<_>>(), [0, 63, 64, 128, 255]);
        let spans = layout.spans();
        assert_eq!(pages.of(&spans[0]).collect::<Vec<_>>(), [0, 63, 64]);
        assert_eq!(pages.of(&spans[2]).collect::<Vec<_>>(), [255]);
        assert!(pages.contains(64) && !pages.contains(65) && !pages.contains(1 << 40));
        assert_eq!(pages.words(&spans[1]), [1]);
    }
}
