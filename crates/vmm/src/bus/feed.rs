//! Where posted writes wait for their consumer: the ring of a `queue` or `coalesce` route, the
//! count of an `event` route.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use vmm_sys_util::eventfd::EventFd;

use crate::bus::ring::{PostedRing, PostedWrite};
use crate::error::{Error, Result};

/// Where posted writes wait for a consumer, who may take them at any time.
#[derive(Clone, Debug)]
pub enum Feed {
    /// The writes of a `queue` or `coalesce` route.
    Ring(Arc<PostedRing>),
    /// The count of an `event` route.
    Count(Arc<EventCount>),
}

impl Feed {
    /// What an `event` route has counted since the last call.
    pub fn take_count(&self) -> u64 {
        match self {
            Self::Count(count) => count.take(),
            Self::Ring(_) => 0,
        }
    }

    /// The writes of a ring, oldest first.
    pub fn drain(&self) -> Vec<PostedWrite> {
        match self {
            Self::Ring(ring) => ring.drain(),
            Self::Count(_) => Vec::new(),
        }
    }

    /// The write of a ring that holds no other.
    pub fn take_lone(&self) -> Option<PostedWrite> {
        match self {
            Self::Ring(ring) => ring.take_lone(),
            Self::Count(_) => None,
        }
    }

    /// Whether something waits. For a count this is a system call.
    pub fn waits(&self) -> bool {
        match self {
            Self::Ring(ring) => !ring.is_empty(),
            Self::Count(count) => count.look(),
        }
    }

    /// Whether something waits, as far as it was noticed: without a system call if nothing was
    /// noticed.
    pub fn noticed(&self) -> bool {
        match self {
            Self::Ring(ring) => !ring.is_empty(),
            Self::Count(count) => count.held() || (count.take_ready() && count.look()),
        }
    }

    /// What waits now, to ask [`reached`](Self::reached) later whether it was taken; `None` if
    /// nothing does.
    pub fn mark(&self) -> Option<u64> {
        match self {
            Self::Ring(ring) => ring.mark(),
            Self::Count(count) => count.mark(),
        }
    }

    /// Whether everything was taken that waited when this mark was made.
    pub fn reached(&self, mark: u64) -> bool {
        match self {
            Self::Ring(ring) => ring.reached(mark),
            Self::Count(count) => count.reached(mark),
        }
    }

    /// Whether each write of a ring is announced by
    /// [`ExitHandler::posted`](crate::ExitHandler::posted), not only many. After turning this on,
    /// the caller checks whether something [`waits`](Self::waits).
    pub fn set_eager(&self, eager: bool) {
        if let Self::Ring(ring) = self {
            ring.set_eager(eager);
        }
    }
}

/// What the kernel has counted for an `event` route.
#[derive(Debug)]
pub struct EventCount {
    fd: EventFd,
    /// Taken from the descriptor, and not by the consumer yet.
    held: AtomicU64,
    /// How often the consumer has come.
    takes: AtomicU64,
    /// The descriptor was seen to hold something.
    ready: AtomicBool,
}

impl EventCount {
    pub(crate) fn new() -> Result<Self> {
        let fd = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)
            .map_err(|error| Error::call("eventfd", error.raw_os_error().unwrap_or(0)))?;
        Ok(Self {
            fd,
            held: AtomicU64::new(0),
            takes: AtomicU64::new(0),
            ready: AtomicBool::new(false),
        })
    }

    pub(crate) const fn fd(&self) -> &EventFd {
        &self.fd
    }

    pub(crate) fn set_ready(&self) {
        self.ready.store(true, Ordering::SeqCst);
    }

    fn take_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed) && self.ready.swap(false, Ordering::SeqCst)
    }

    fn held(&self) -> bool {
        self.held.load(Ordering::SeqCst) > 0
    }

    /// Asks the kernel; whether there is something to take.
    fn look(&self) -> bool {
        // The descriptor is non-blocking: an error is "nothing".
        let count = self.fd.read().unwrap_or(0);
        self.held.fetch_add(count, Ordering::SeqCst) + count > 0
    }

    fn take(&self) -> u64 {
        // Before looking: what is added from here on belongs to this take, or waits for the next.
        self.takes.fetch_add(1, Ordering::SeqCst);
        self.look();
        self.held.swap(0, Ordering::SeqCst)
    }

    /// What [`take`](Self::take) would give. It stays where it is, so that a watch still sees it.
    pub(crate) fn save(&self) -> u64 {
        let count = look_into(&self.fd);
        self.held.load(Ordering::SeqCst) + count
    }

    /// Holds this count instead of its own, while neither guest nor consumer is at it. The consumer
    /// has yet to be told; a mark that was made before counts as reached.
    pub(crate) fn restore(&self, count: u64) {
        self.fd.read().ok();
        self.held.store(count, Ordering::SeqCst);
        self.takes.fetch_add(1, Ordering::SeqCst);
    }

    fn mark(&self) -> Option<u64> {
        self.look()
            .then(|| self.takes.load(Ordering::SeqCst).wrapping_add(1))
    }

    fn reached(&self, mark: u64) -> bool {
        !self.held() || self.takes.load(Ordering::SeqCst) >= mark
    }
}

/// What a non-blocking descriptor has counted, which stays there and stays readable.
pub(crate) fn look_into(fd: &EventFd) -> u64 {
    // An error is "nothing".
    let count = fd.read().unwrap_or(0);
    if count > 0 {
        fd.write(count).ok();
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_somebody_looked_at_is_still_there_to_be_taken() {
        let count = EventCount::new().unwrap();
        assert!(!count.look());
        assert_eq!(count.mark(), None);
        count.fd().write(3).unwrap();
        let mark = count.mark().unwrap();
        count.fd().write(2).unwrap();
        assert!(!count.reached(mark));
        assert_eq!((count.take(), count.take()), (5, 0));
        count.fd().write(1).unwrap();
        assert!(count.look() && count.reached(mark));
    }

    #[test]
    fn what_is_restored_is_taken_once_and_nothing_else_is() {
        let count = EventCount::new().unwrap();
        count.fd().write(3).unwrap();
        assert!(count.look());
        count.fd().write(2).unwrap();
        assert_eq!((count.save(), count.save()), (5, 5));
        let mark = count.mark().unwrap();
        count.fd().write(4).unwrap();
        for saved in [5, 0, 2] {
            count.restore(saved);
            assert!(
                count.reached(mark),
                "whoever waits for it waits for nothing"
            );
            assert_eq!(
                count.held(),
                saved > 0,
                "it is noticed without being announced"
            );
            assert_eq!(
                (count.save(), count.take(), count.take()),
                (saved, saved, 0)
            );
        }
    }

    #[test]
    fn a_count_is_noticed_only_when_somebody_said_so() {
        let count = Arc::new(EventCount::new().unwrap());
        let feed = Feed::Count(Arc::clone(&count));
        count.fd().write(1).unwrap();
        assert!(!feed.noticed());
        count.set_ready();
        assert!(feed.noticed() && feed.noticed());
        assert_eq!(feed.take_count(), 1);
        assert!(!feed.noticed());
    }
}
