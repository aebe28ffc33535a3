//! Interrupts that wait for one vCPU, to be injected by its own thread before it enters the guest.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::limits::MAX_QUEUED_VECTORS;

#[derive(Debug, Default)]
pub(crate) struct Injections {
    /// Whether there is anything; the only thing that every entry looks at.
    waiting: AtomicBool,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    nmi: bool,
    vectors: VecDeque<u8>,
}

/// What waits for one vCPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct InjectionState {
    pub nmi: bool,
    /// Oldest first.
    pub vectors: Vec<u8>,
}

/// What is to be injected next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Injection {
    Nmi,
    /// As soon as the guest takes interrupts.
    Vector(u8),
}

impl Injections {
    /// Queues an interrupt; `false` when too many wait.
    pub fn push_vector(&self, vector: u8) -> bool {
        let mut queue = self.queue();
        if queue.vectors.len() >= MAX_QUEUED_VECTORS {
            return false;
        }
        queue.vectors.push_back(vector);
        self.waiting.store(true, Ordering::SeqCst);
        true
    }

    /// Queues an NMI; a further one before the first is taken changes nothing, as on a processor.
    pub fn push_nmi(&self) {
        self.queue().nmi = true;
        self.waiting.store(true, Ordering::SeqCst);
    }

    pub fn waits(&self) -> bool {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Looks at the next one.
    pub fn first(&self) -> Option<Injection> {
        let queue = self.queue();
        if queue.nmi {
            return Some(Injection::Nmi);
        }
        queue.vectors.front().copied().map(Injection::Vector)
    }

    /// Takes away what was injected.
    pub fn remove(&self, injection: Injection) {
        let mut queue = self.queue();
        match injection {
            Injection::Nmi => queue.nmi = false,
            Injection::Vector(_) => {
                queue.vectors.pop_front();
            }
        }
        let more = queue.nmi || !queue.vectors.is_empty();
        self.waiting.store(more, Ordering::SeqCst);
    }

    /// All that waits.
    pub fn save(&self) -> InjectionState {
        let queue = self.queue();
        InjectionState {
            nmi: queue.nmi,
            vectors: queue.vectors.iter().copied().collect(),
        }
    }

    /// Has this wait, and nothing else; `false` for more than may wait, which changes nothing.
    pub fn restore(&self, state: &InjectionState) -> bool {
        if state.vectors.len() > MAX_QUEUED_VECTORS {
            return false;
        }
        let mut queue = self.queue();
        queue.nmi = state.nmi;
        queue.vectors.clear();
        queue.vectors.extend(&state.vectors);
        let waits = state.nmi || !state.vectors.is_empty();
        self.waiting.store(waits, Ordering::SeqCst);
        true
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_nmi_goes_first_and_vectors_keep_their_order() {
        let queue = Injections::default();
        assert!(!queue.waits());
        assert!(queue.push_vector(0x20) && queue.push_vector(0x21));
        queue.push_nmi();
        let mut seen = Vec::new();
        while let Some(injection) = queue.first() {
            queue.remove(injection);
            seen.push(injection);
        }
        assert_eq!(
            seen,
            [
                Injection::Nmi,
                Injection::Vector(0x20),
                Injection::Vector(0x21)
            ]
        );
        assert!(!queue.waits());
    }

    #[test]
    fn what_is_restored_waits_and_nothing_else_does() {
        let queue = Injections::default();
        queue.push_nmi();
        assert!(queue.push_vector(0x20) && queue.push_vector(0x21));
        let saved = queue.save();
        queue.remove(Injection::Nmi);
        assert!(queue.push_vector(0x22));
        for state in [saved, InjectionState::default()] {
            assert!(queue.restore(&state));
            assert_eq!(queue.save(), state);
            assert_eq!(queue.waits(), state.nmi);
        }
        let vectors = vec![0x20; MAX_QUEUED_VECTORS + 1];
        assert!(!queue.restore(&InjectionState { nmi: true, vectors }) && !queue.waits());
    }

    #[test]
    fn the_queue_is_bounded() {
        let queue = Injections::default();
        for vector in 0..=255 {
            assert!(queue.push_vector(vector));
        }
        assert!(!queue.push_vector(0));
    }
}
