//! Who is told that something waits: the host's end by a bell, the device's by a descriptor.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

type Call = Box<dyn Fn() + Send + Sync>;

/// The bell of one machine, rung by its devices when something waits for the host's end.
#[derive(Default)]
pub struct HostBell {
    /// Nobody has looked since it was rung.
    due: AtomicBool,
    /// What hears it, while the machine runs.
    call: Mutex<Option<Call>>,
}

impl HostBell {
    /// What is to be found must be in its place before. From any thread.
    pub fn ring(&self) {
        self.due.store(true, Ordering::SeqCst);
        self.call_out();
    }

    /// `call` hears it from now on, and at once if it was rung before. It must not block.
    pub fn hang(&self, call: impl Fn() + Send + Sync + 'static) {
        *self.lock() = Some(Box::new(call));
        if self.is_due() {
            self.call_out();
        }
    }

    /// Nothing hears it; when this returns, no call is in progress.
    pub fn take_down(&self) {
        self.lock().take();
    }

    /// Whether it was rung since the last [`take_due`](Self::take_due).
    pub fn is_due(&self) -> bool {
        self.due.load(Ordering::SeqCst)
    }

    /// The same, and somebody looks now.
    pub fn take_due(&self) -> bool {
        self.due.swap(false, Ordering::SeqCst)
    }

    fn call_out(&self) {
        if let Some(call) = &*self.lock() {
            call();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Call>> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for HostBell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = formatter.debug_struct("HostBell");
        fields.field("due", &self.due).finish_non_exhaustive()
    }
}

/// Wakes what serves a device: its descriptor is readable until [`take`](Self::take).
#[derive(Clone, Debug)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    /// A waker that was not used yet.
    ///
    /// # Errors
    /// Those of eventfd(2).
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(EventFd::new(EFD_NONBLOCK)?)))
    }

    /// From any thread.
    pub fn wake(&self) {
        // It fails only when its count is full, and then it is readable.
        let _ = self.0.write(1);
    }

    /// Whether it was used since the last call.
    pub fn take(&self) -> bool {
        self.0.read().is_ok()
    }
}

impl AsRawFd for Waker {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn a_ring_that_nobody_hears_is_heard_by_the_next() {
        let (bell, heard) = (HostBell::default(), Arc::new(AtomicUsize::new(0)));
        let hear = || {
            let heard = Arc::clone(&heard);
            move || {
                heard.fetch_add(1, Ordering::SeqCst);
            }
        };
        bell.ring();
        bell.hang(hear());
        assert_eq!(heard.load(Ordering::SeqCst), 1);
        assert!(bell.take_due() && !bell.is_due());
        bell.ring();
        assert_eq!(heard.load(Ordering::SeqCst), 2);
        bell.take_down();
        bell.ring();
        assert_eq!(heard.load(Ordering::SeqCst), 2);
        assert!(bell.is_due());
    }

    #[test]
    fn a_waker_keeps_one_wake_until_it_is_taken() {
        let waker = Waker::new().unwrap();
        assert!(!waker.take());
        waker.wake();
        waker.clone().wake();
        assert!(waker.take() && !waker.take());
    }
}
