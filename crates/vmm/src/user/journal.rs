//! Which words of page tables have changed since a processor saw the first of them.

use boot::layout::USER_TABLES;
use linux::Edit;

use crate::kvm::memory::GuestMemory;

const BITS: u64 = u64::BITS as u64;

/// A bit for each word of the tables, as far as any has changed.
#[derive(Debug, Default)]
pub(super) struct Journal(Vec<u64>);

impl Journal {
    pub fn note(&mut self, edit: &Edit) {
        let first = edit.gpa.wrapping_sub(USER_TABLES.start) / 8;
        for index in first..first + edit.words.len() as u64 {
            let word = (index / BITS) as usize;
            if self.0.len() <= word {
                self.0.resize(word + 1, 0);
            }
            if let Some(bits) = self.0.get_mut(word) {
                *bits |= 1 << (index % BITS);
            }
        }
    }

    /// All of them: their addresses, and what they are.
    pub fn words(&self, memory: &GuestMemory) -> Vec<(u64, u64)> {
        let indices = self.0.iter().zip(0..).flat_map(|(bits, word)| {
            let set = (0..BITS).filter(move |bit| bits >> bit & 1 == 1);
            set.map(move |bit| word * BITS + bit)
        });
        indices
            .map(|index| USER_TABLES.start + index * 8)
            .map(|gpa| (gpa, word(memory, gpa)))
            .collect()
    }
}

/// Those that are not what they were, as they are.
pub(super) fn changed(memory: &GuestMemory, before: &[(u64, u64)]) -> Vec<Edit> {
    let now = before
        .iter()
        .map(|(gpa, was)| (*gpa, *was, word(memory, *gpa)));
    let changed = now.filter(|(_, was, is)| was != is);
    let edit = |(gpa, _, is)| Edit {
        gpa,
        words: vec![is],
        revokes: true,
    };
    changed.map(edit).collect()
}

fn word(memory: &GuestMemory, gpa: u64) -> u64 {
    let mut bytes = [0; 8];
    // Tables always have memory.
    let _ = memory.read(gpa, &mut bytes);
    u64::from_le_bytes(bytes)
}
