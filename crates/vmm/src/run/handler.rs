//! What a machine asks of whoever runs it, and what it can hear.

use crate::bus::ring::EventRing;
use crate::kvm::exit::Exit;

/// One question; the vCPU stands still until it is answered.
#[derive(Debug)]
pub enum Question<'a> {
    /// A device shall give `size` bytes from `offset` of its route.
    Read {
        /// Index of the route.
        route: usize,
        /// Distance from the route's first port or address.
        offset: u32,
        /// 1, 2, 4 or 8.
        size: u8,
        /// Index of the vCPU that asks.
        vcpu: u32,
    },
    /// A device gets `size` bytes at `offset` of its route.
    Write {
        /// Index of the route.
        route: usize,
        /// Distance from the route's first port or address.
        offset: u32,
        /// 1, 2, 4 or 8.
        size: u8,
        /// The bytes, little-endian, zero-extended.
        value: u64,
        /// Index of the vCPU that asks.
        vcpu: u32,
    },
    /// Bytes of a console route, in the order in which the guest wrote them.
    Console {
        /// Index of the route.
        route: usize,
        /// The bytes, at least one.
        bytes: &'a [u8],
    },
    /// A port or MMIO exit that no route claims.
    Unclaimed {
        /// The exit.
        exit: &'a Exit,
        /// What the guest wrote, all items; zeros for a read.
        data: &'a [u8],
    },
    /// Posted writes wait; the handler takes them when it can, and those that wait before it answers another question.
    Posted,
    /// A ring is full: the handler answers when there is room again.
    Full {
        /// The ring.
        ring: &'a EventRing,
    },
    /// Nothing is wanted: a chance to look around while the guest makes no exits.
    Tick,
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The value of a read; of an unclaimed string read, of each of its items.
    Value(u64),
    /// The items of an unclaimed read, byte for byte.
    Bytes(Vec<u8>),
    /// Go on. As the answer to a read it is all ones, as from an empty bus.
    Done,
    /// End the run with this exit; only for [`Question::Unclaimed`].
    End,
    /// The handler failed, having seen the question: the run ends with an error.
    Failed,
    /// The handler saw the question and the run was kicked before it answered.
    Interrupted,
    /// The run was kicked before the handler saw the question.
    Withdrawn,
}

/// Whoever runs a machine answers its questions.
pub trait ExitHandler {
    /// Answers one question.
    fn answer(&mut self, question: Question<'_>) -> Answer;

    /// Whether posted writes are taken within [`Question::Posted`]. Then each is announced as soon as it is there, and an
    /// exit announces what the kernel has counted and gathered before.
    fn takes_at_once(&self) -> bool {
        false
    }
}

impl<F: FnMut(Question<'_>) -> Answer> ExitHandler for F {
    fn answer(&mut self, question: Question<'_>) -> Answer {
        self(question)
    }
}
