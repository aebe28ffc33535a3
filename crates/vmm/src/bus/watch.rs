//! Notices that `event` routes have counted something while their guest makes no exit: one thread
//! for the whole process, which sleeps in `epoll_wait`. Thread and descriptor stay from the first
//! run that needs them on.

use std::collections::HashMap;
use std::fmt;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

use crate::bus::feed::{EventCount, Feed};
use crate::error::{Error, Result};

type Call = Box<dyn Fn() + Send>;

/// Descriptors whose events one `epoll_wait` gives; more come with the next.
const MOST_AT_ONCE: usize = 64;

/// Calls a function once an `event` route has counted something, until the watch is dropped; after
/// that, never.
pub struct Watch {
    id: u64,
    count: Arc<EventCount>,
    watcher: &'static Watcher,
}

impl Watch {
    /// Watches a feed; `None` for a ring. The call comes once, and again after each
    /// [`arm`](Self::arm). It must not block, and not make or drop a watch.
    ///
    /// # Errors
    /// `Limit` when the thread cannot start, `KvmIoctl` when its descriptor cannot be had.
    pub fn new(feed: &Feed, call: impl Fn() + Send + 'static) -> Result<Option<Self>> {
        let Feed::Count(count) = feed else {
            return Ok(None);
        };
        let watcher = watcher()?;
        let noticed = Arc::clone(count);
        let id = watcher.add(Box::new(move || {
            noticed.set_ready();
            call();
        }));
        let watch = Self {
            id,
            count: Arc::clone(count),
            watcher,
        };
        watch.control(ControlOperation::Add)?;
        Ok(Some(watch))
    }

    /// Calls again when there is something, or is already.
    pub fn arm(&self) {
        // The descriptor is there, so this does not fail; if it did, the tick would still look.
        let _ = self.control(ControlOperation::Modify);
    }

    fn control(&self, operation: ControlOperation) -> Result<()> {
        let event = EpollEvent::new(EventSet::IN | EventSet::ONE_SHOT, self.id);
        self.watcher
            .epoll
            .ctl(operation, self.count.fd().as_raw_fd(), event)
            .map_err(|error| call_failed("epoll_ctl", &error))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // After this lock the call is not made any more.
        self.watcher.calls().1.remove(&self.id);
        // It may never have been added.
        let _ = self.control(ControlOperation::Delete);
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Watch")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

struct Watcher {
    epoll: Epoll,
    /// The next id, and the functions to call, by id.
    calls: Mutex<(u64, HashMap<u64, Call>)>,
    has_thread: Mutex<bool>,
}

/// Kept on success only: the next run tries again.
static WATCHER: OnceLock<Watcher> = OnceLock::new();

fn watcher() -> Result<&'static Watcher> {
    let watcher = match WATCHER.get() {
        Some(watcher) => watcher,
        None => {
            let epoll = Epoll::new().map_err(|error| call_failed("epoll_create1", &error))?;
            // Of two that come at once, the second drops its own.
            WATCHER.get_or_init(|| Watcher {
                epoll,
                calls: Mutex::default(),
                has_thread: Mutex::default(),
            })
        }
    };
    let mut has_thread = lock(&watcher.has_thread);
    if !*has_thread {
        std::thread::Builder::new()
            .name("vmexit-events".into())
            .spawn(|| watcher.watch())
            .map_err(|error| Error::thread(&error))?;
        *has_thread = true;
    }
    Ok(watcher)
}

impl Watcher {
    fn add(&self, call: Call) -> u64 {
        let mut calls = self.calls();
        let id = calls.0;
        calls.0 += 1;
        calls.1.insert(id, call);
        id
    }

    fn calls(&self) -> MutexGuard<'_, (u64, HashMap<u64, Call>)> {
        lock(&self.calls)
    }

    fn watch(&self) {
        let mut events = vec![EpollEvent::default(); MOST_AT_ONCE];
        loop {
            // An error is a signal.
            let count = self.epoll.wait(-1, &mut events).unwrap_or(0);
            for event in events.iter().take(count) {
                if let Some(call) = self.calls().1.get(&event.data()) {
                    call();
                }
            }
        }
    }
}

fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

fn call_failed(call: &'static str, error: &std::io::Error) -> Error {
    Error::call(call, error.raw_os_error().unwrap_or(libc::EAGAIN))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const SOON: Duration = Duration::from_secs(300);
    const A_WHILE: Duration = Duration::from_millis(50);

    #[test]
    fn a_watch_calls_once_per_arming_and_never_after_its_end() {
        let count = Arc::new(EventCount::new().unwrap());
        let feed = Feed::Count(Arc::clone(&count));
        let (called, calls) = mpsc::channel();
        let call = move || called.send(()).unwrap();
        let watch = Watch::new(&feed, call).unwrap().unwrap();
        count.fd().write(1).unwrap();
        calls.recv_timeout(SOON).unwrap();
        count.fd().write(1).unwrap();
        assert!(calls.recv_timeout(A_WHILE).is_err(), "a flood rings once");
        watch.arm();
        calls.recv_timeout(SOON).unwrap();
        assert_eq!(feed.take_count(), 2);
        watch.arm();
        assert!(calls.recv_timeout(A_WHILE).is_err(), "nothing is there");
        drop(watch);
        count.fd().write(1).unwrap();
        // The closure is gone, and the channel with it.
        assert_eq!(
            calls.recv_timeout(SOON),
            Err(mpsc::RecvTimeoutError::Disconnected)
        );
    }
}
