//! How the host's end is told that something waits.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
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
}
