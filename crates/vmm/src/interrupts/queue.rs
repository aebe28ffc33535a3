//! Interrupts that wait for one vCPU, to be injected by its own thread before it enters the guest.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits::MAX_QUEUED_VECTORS;

#[derive(Debug, Default)]
pub(crate) struct Events {
    /// Whether there is anything; the only thing that every entry looks at.
    waiting: AtomicBool,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    nmi: bool,
    vectors: VecDeque<u8>,
}

/// What is to be injected next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Nmi,
    /// As soon as the guest takes interrupts.
    Vector(u8),
}

impl Events {
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
    pub fn first(&self) -> Option<Event> {
        let queue = self.queue();
        if queue.nmi {
            return Some(Event::Nmi);
        }
        queue.vectors.front().copied().map(Event::Vector)
    }

    /// Takes away what was injected.
    pub fn remove(&self, event: Event) {
        let mut queue = self.queue();
        match event {
            Event::Nmi => queue.nmi = false,
            Event::Vector(_) => {
                queue.vectors.pop_front();
            }
        }
        let more = queue.nmi || !queue.vectors.is_empty();
        self.waiting.store(more, Ordering::SeqCst);
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
        let events = Events::default();
        assert!(!events.waits());
        assert!(events.push_vector(0x20) && events.push_vector(0x21));
        events.push_nmi();
        let mut seen = Vec::new();
        while let Some(event) = events.first() {
            events.remove(event);
            seen.push(event);
        }
        assert_eq!(seen, [Event::Nmi, Event::Vector(0x20), Event::Vector(0x21)]);
        assert!(!events.waits());
    }

    #[test]
    fn the_queue_is_bounded() {
        let events = Events::default();
        for vector in 0..=255 {
            assert!(events.push_vector(vector));
        }
        assert!(!events.push_vector(0));
    }
}
