//! Accesses between their exit and their end, as we keep them: KVM shows nobody what it has of
//! them.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::kvm::exit::{Exit, MmioAccess};

/// What KVM returned and has completed since, so that it is ours alone to ask.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Owed {
    pub exit: Exit,
    /// What the guest wrote, all items.
    pub data: Vec<u8>,
}

/// One instruction reads from at most so many places: two operands of 32 bytes, each cut at a page
/// border and into words of 8 bytes.
const MOST_READS: usize = 16;

/// A read from memory-mapped registers with its value.
pub(crate) type Answered = (MmioAccess, [u8; 8]);

/// The reads from memory-mapped registers that were answered since another exit came: the last ones
/// may be parts of an instruction that has more to ask.
#[derive(Clone, Debug)]
pub(crate) struct LatestReads(VecDeque<Answered>);

impl Default for LatestReads {
    fn default() -> Self {
        Self(VecDeque::with_capacity(MOST_READS))
    }
}

impl LatestReads {
    pub fn note(&mut self, access: MmioAccess, data: &[u8]) {
        if self.0.len() == MOST_READS {
            self.0.pop_front();
        }
        let mut bytes = [0; 8];
        bytes
            .iter_mut()
            .zip(data)
            .for_each(|(to, from)| *to = *from);
        self.0.push_back((access, bytes));
    }

    /// Another exit has come.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Oldest first.
    pub fn all(&self) -> Vec<Answered> {
        self.0.iter().copied().collect()
    }
}

/// An access that was not at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum HalfDone {
    /// There is none.
    #[default]
    Nothing,
    /// Writes that are yet to be asked, the first of them from this piece on. KVM has nothing of
    /// them.
    Writes(Vec<Owed>, usize),
    /// A read without its value. KVM gets it by running its instruction again.
    Read(OpenRead),
}

/// A read that waits for its value, in front of its instruction.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct OpenRead {
    pub exit: Exit,
    /// The first piece without a value; none if it ended a run and `reply` answers it.
    pub from: Option<usize>,
    /// All items, as far as they are answered.
    pub data: Vec<u8>,
    /// What was answered before it, oldest first; the last ones may be of the same instruction.
    pub before: Vec<Answered>,
}

impl OpenRead {
    /// The answers to what its instruction asks before it, if the instruction begins with this
    /// access.
    pub fn answers_from(&self, first: MmioAccess) -> Option<&[Answered]> {
        let at = self
            .before
            .iter()
            .rposition(|(access, _)| *access == first)?;
        self.before.get(at..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(gpa: u64) -> MmioAccess {
        MmioAccess { gpa, size: 1 }
    }

    #[test]
    fn of_a_loop_of_reads_the_last_round_is_of_the_instruction() {
        let mut reads = LatestReads::default();
        for round in 0..10 {
            for gpa in [1, 2] {
                reads.note(access(gpa), &[round]);
            }
        }
        reads.note(access(1), &[10]);
        reads.note(access(2), &[11]);
        let read = OpenRead {
            exit: Exit::MmioRead(access(3)),
            from: Some(0),
            data: vec![0],
            before: reads.all(),
        };
        assert_eq!(read.before.len(), MOST_READS);
        let answers = [
            (access(1), [10, 0, 0, 0, 0, 0, 0, 0]),
            (access(2), [11, 0, 0, 0, 0, 0, 0, 0]),
        ];
        assert_eq!(read.answers_from(access(1)), Some(&answers[..]));
        assert_eq!(read.answers_from(access(2)), Some(&answers[1..]));
        assert_eq!(read.answers_from(access(3)), None);
        reads.clear();
        assert_eq!(reads.all(), []);
    }
}
