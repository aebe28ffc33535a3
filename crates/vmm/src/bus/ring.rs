//! Posted writes on their way to their consumer: a bounded ring with one producer, the thread that
//! runs the vCPU, and one consumer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::limits::{MAX_QUEUED_EVENTS, QUEUE_BELL_EVENTS};

/// One posted write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct PostedWrite {
    /// Distance from the route's first port or address.
    pub offset: u32,
    /// 1, 2, 4 or 8 bytes.
    pub size: u8,
    /// The bytes, little-endian, zero-extended.
    pub value: u64,
}

/// Offset and size in one word, the value in the other.
#[derive(Debug, Default)]
struct Slot {
    place: AtomicU64,
    value: AtomicU64,
}

impl Slot {
    fn event(&self) -> PostedWrite {
        let place = self.place.load(Ordering::Relaxed);
        PostedWrite {
            offset: (place >> 8) as u32,
            size: place as u8,
            value: self.value.load(Ordering::Relaxed),
        }
    }
}

/// A ring of [`MAX_QUEUED_EVENTS`]. Nothing is lost: a full ring refuses, and the producer waits.
#[derive(Debug)]
pub struct PostedRing {
    slots: Box<[Slot]>,
    /// Events taken out so far; the consumer's.
    head: AtomicU64,
    /// Events put in so far; the producer's.
    tail: AtomicU64,
    /// The bell was rung, and the consumer has not come yet.
    belled: AtomicBool,
    /// A lone event rings the bell, too.
    eager: AtomicBool,
    /// What a run's end had no room for, at most what the kernel's ring holds. Until it is taken
    /// the ring counts as full.
    spilled: Mutex<Vec<PostedWrite>>,
    has_spilled: AtomicBool,
}

impl Default for PostedRing {
    fn default() -> Self {
        Self {
            slots: (0..MAX_QUEUED_EVENTS).map(|_| Slot::default()).collect(),
            head: AtomicU64::new(0),
            tail: AtomicU64::new(0),
            belled: AtomicBool::new(false),
            eager: AtomicBool::new(false),
            spilled: Mutex::default(),
            has_spilled: AtomicBool::new(false),
        }
    }
}

impl PostedRing {
    /// Puts an event in; `false` when the ring is full.
    pub(crate) fn push(&self, event: PostedWrite) -> bool {
        let tail = self.tail.load(Ordering::Relaxed);
        if self.has_spilled.load(Ordering::Acquire) {
            return false;
        }
        if tail.wrapping_sub(self.head.load(Ordering::Acquire)) >= MAX_QUEUED_EVENTS as u64 {
            return false;
        }
        if let Some(slot) = self.slot(tail) {
            slot.place.store(
                u64::from(event.offset) << 8 | u64::from(event.size),
                Ordering::Relaxed,
            );
            slot.value.store(event.value, Ordering::Relaxed);
        }
        self.tail.store(tail.wrapping_add(1), Ordering::SeqCst);
        true
    }

    /// Puts an event in whatever the cost: for a run's end, when no vCPU can wait.
    pub(crate) fn push_or_spill(&self, event: PostedWrite) {
        if !self.push(event) {
            self.spilled
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(event);
            self.has_spilled.store(true, Ordering::Release);
        }
    }

    /// Whether to ring the bell after a push, once until the consumer comes: for each event, or
    /// when enough have gathered.
    pub(crate) fn wants_bell(&self) -> bool {
        (self.eager.load(Ordering::SeqCst) || self.len() >= QUEUE_BELL_EVENTS)
            && !self.belled.load(Ordering::SeqCst)
            && !self.belled.swap(true, Ordering::SeqCst)
    }

    /// Whether a lone event rings. After turning this on, the caller looks into the ring: what came
    /// before did not ring.
    pub(crate) fn set_eager(&self, eager: bool) {
        self.eager.store(eager, Ordering::SeqCst);
    }

    /// Where the ring's end is, unless it is empty.
    pub(crate) fn mark(&self) -> Option<u64> {
        (!self.is_empty()).then(|| self.tail.load(Ordering::SeqCst))
    }

    /// Whether everything before this mark was taken out.
    pub(crate) fn reached(&self, mark: u64) -> bool {
        self.head.load(Ordering::SeqCst) >= mark
    }

    /// Takes out an event that is alone.
    pub(crate) fn take_lone(&self) -> Option<PostedWrite> {
        if self.len() != 1 || self.has_spilled.load(Ordering::Acquire) {
            return None;
        }
        // As in `drain`.
        self.belled.store(false, Ordering::SeqCst);
        let head = self.head.load(Ordering::Relaxed);
        let event = self.slot(head).map(Slot::event);
        self.head.store(head.wrapping_add(1), Ordering::SeqCst);
        event
    }

    /// Takes out what is there, oldest first.
    pub fn drain(&self) -> Vec<PostedWrite> {
        // Before looking: what fills the ring from here on rings again.
        self.belled.store(false, Ordering::SeqCst);
        let head = self.head.load(Ordering::Relaxed);
        let tail = self.tail.load(Ordering::SeqCst);
        let events = (head..tail)
            .filter_map(|index| self.slot(index))
            .map(Slot::event);
        let mut events: Vec<_> = events.collect();
        self.head.store(tail, Ordering::SeqCst);
        if self.has_spilled.load(Ordering::Acquire) {
            let mut spilled = self.spilled.lock().unwrap_or_else(PoisonError::into_inner);
            events.append(&mut spilled);
            self.has_spilled.store(false, Ordering::Release);
        }
        events
    }

    /// What [`drain`](Self::drain) would take.
    pub(crate) fn save(&self) -> Vec<PostedWrite> {
        let (head, tail) = (
            self.head.load(Ordering::SeqCst),
            self.tail.load(Ordering::SeqCst),
        );
        let events = (head..tail).filter_map(|index| self.slot(index));
        let spilled = self.spilled.lock().unwrap_or_else(PoisonError::into_inner);
        events
            .map(Slot::event)
            .chain(spilled.iter().copied())
            .collect()
    }

    /// Holds these events instead of its own, while neither producer nor consumer is at it. The
    /// consumer has yet to be told; a mark that was made before counts as reached.
    pub(crate) fn restore(&self, events: &[PostedWrite]) {
        self.head
            .store(self.tail.load(Ordering::SeqCst), Ordering::SeqCst);
        let mut spilled = self.spilled.lock().unwrap_or_else(PoisonError::into_inner);
        spilled.clear();
        drop(spilled);
        self.has_spilled.store(false, Ordering::SeqCst);
        self.belled.store(false, Ordering::SeqCst);
        events.iter().for_each(|event| self.push_or_spill(*event));
    }

    /// Events that wait.
    pub fn len(&self) -> usize {
        self.tail
            .load(Ordering::Acquire)
            .wrapping_sub(self.head.load(Ordering::Acquire)) as usize
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && !self.has_spilled.load(Ordering::Acquire)
    }

    fn slot(&self, index: u64) -> Option<&Slot> {
        self.slots.get((index % MAX_QUEUED_EVENTS as u64) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(value: u64) -> PostedWrite {
        PostedWrite {
            offset: value as u32 & 0xff,
            size: 4,
            value,
        }
    }

    #[test]
    fn a_full_ring_refuses_and_loses_nothing() {
        let ring = PostedRing::default();
        let count = MAX_QUEUED_EVENTS as u64;
        assert!((0..count).all(|value| ring.push(event(value))));
        assert!(!ring.push(event(count)));
        assert_eq!(ring.drain(), (0..count).map(event).collect::<Vec<_>>());
        assert!(ring.push(event(7)));
        assert_eq!((ring.drain(), ring.is_empty()), (vec![event(7)], true));
    }

    #[test]
    fn the_bell_rings_once_at_the_fill_level() {
        let ring = PostedRing::default();
        let rings = (0..MAX_QUEUED_EVENTS as u64).filter(|value| {
            ring.push(event(*value));
            ring.wants_bell()
        });
        assert_eq!(rings.collect::<Vec<_>>(), [QUEUE_BELL_EVENTS as u64 - 1]);
        ring.drain();
        assert!(!ring.wants_bell());
    }

    #[test]
    fn an_eager_ring_bells_for_a_lone_event_once_until_the_consumer_comes() {
        let ring = PostedRing::default();
        ring.set_eager(true);
        let push = |value| {
            ring.push(event(value));
            ring.wants_bell()
        };
        assert_eq!([push(0), push(1)], [true, false]);
        ring.drain();
        assert!(push(2));
        ring.set_eager(false);
        ring.drain();
        assert!(!push(3));
    }

    #[test]
    fn a_mark_is_reached_when_what_was_there_is_taken() {
        let ring = PostedRing::default();
        assert_eq!(ring.mark(), None);
        ring.push(event(0));
        let mark = ring.mark().unwrap();
        assert!(!ring.reached(mark));
        ring.drain();
        ring.push(event(1));
        assert!(ring.reached(mark) && !ring.reached(ring.mark().unwrap()));
    }

    #[test]
    fn an_event_that_is_alone_is_taken_and_others_are_left() {
        let ring = PostedRing::default();
        assert_eq!(ring.take_lone(), None);
        ring.push(event(0));
        assert_eq!((ring.take_lone(), ring.take_lone()), (Some(event(0)), None));
        ring.push(event(1));
        ring.push(event(2));
        assert_eq!(ring.take_lone(), None);
        assert_eq!(ring.drain(), [event(1), event(2)]);
    }

    #[test]
    fn what_spills_comes_behind_the_ring_and_before_what_follows() {
        let ring = PostedRing::default();
        let count = MAX_QUEUED_EVENTS as u64;
        (0..count + 3)
            .map(event)
            .for_each(|event| ring.push_or_spill(event));
        assert!(!ring.push(event(99)), "nothing overtakes");
        assert_eq!(ring.drain(), (0..count + 3).map(event).collect::<Vec<_>>());
        assert!(ring.is_empty() && ring.push(event(99)));
    }

    #[test]
    fn what_is_restored_comes_once_and_nothing_else_does() {
        let (ring, count) = (PostedRing::default(), MAX_QUEUED_EVENTS as u64);
        ring.set_eager(true);
        for saved in [0, 3, count + 5] {
            let events: Vec<_> = (0..saved).map(event).collect();
            ring.restore(&events);
            assert_eq!(ring.save(), events);
            ring.push_or_spill(event(99));
            let mark = ring.mark().unwrap();
            assert!(ring.wants_bell(), "the consumer has not come since");
            ring.restore(&events);
            assert!(ring.reached(mark), "whoever waits for it waits for nothing");
            assert_eq!(ring.is_empty(), saved == 0);
            assert_eq!((ring.drain(), ring.drain()), (events, vec![]));
            assert!(ring.push(event(7)) && ring.wants_bell());
        }
    }

    #[test]
    fn two_threads_lose_and_reorder_nothing() {
        const COUNT: u64 = 200_000;
        let ring = PostedRing::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for value in 0..COUNT {
                    while !ring.push(PostedWrite {
                        offset: value as u32,
                        size: 8,
                        value: value << 20,
                    }) {
                        std::thread::yield_now();
                    }
                }
            });
            let mut next = 0;
            while next < COUNT {
                for event in ring.drain() {
                    assert_eq!((u64::from(event.offset), event.value), (next, next << 20));
                    next += 1;
                }
                std::thread::yield_now();
            }
        });
    }
}
