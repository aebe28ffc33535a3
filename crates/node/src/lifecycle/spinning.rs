//! A vCPU that looks for calls on a thread of its own, so that they need no exit.
//!
//! ```text
//! JavaScript's thread         the guest
//! arguments, ASKED = n ─────► sees n, calls
//!                      ◄───── results, DONE = n
//! ```
//!
//! What the host decides by is its own: whether the thread has left the machine, what the machine
//! says then, and the time. A guest that forges `DONE` gets the results that it has forged.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vmm::{Error, ExitHandler, KickCause, KickHandle, Machine, Reply, RunLimits};

use super::running::{Ending, Finished, Over, lock, release, take};
use crate::caught::caught;
use crate::pump::threads::Worker;

/// A guest that looks for calls longer than it was told is stopped after about so long.
const LEAST_WATCH: Duration = Duration::from_millis(20);

/// How a call is made.
pub struct SpinLimits {
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// How long the guest looks for the next one.
    pub patience: Duration,
}

/// A run on a thread of its own that nothing but calls has to do with.
pub struct Spinning {
    pub kick: KickHandle,
    pub end: Arc<Ending>,
    worker: Worker,
    watch: Arc<Watch>,
}

/// What the run's thread knows of calls.
#[derive(Default)]
struct Watch {
    calling: AtomicBool,
    calls: AtomicU32,
}

/// Ends the run of a guest that nothing has called for long.
struct Watcher {
    watch: Arc<Watch>,
    kick: KickHandle,
    seen: u32,
}

impl ExitHandler for Watcher {
    fn tick(&mut self) -> Reply<()> {
        let calls = self.watch.calls.load(Ordering::SeqCst);
        let is_idle = calls == self.seen && !self.watch.calling.load(Ordering::SeqCst);
        self.seen = calls;
        if is_idle {
            self.kick.kick(KickCause::Stop);
        }
        Ok(())
    }
}

impl Spinning {
    /// Gives the machine to a thread; it is returned if none can start.
    pub fn start(
        machine: Box<Machine>,
        kick: KickHandle,
        patience: Duration,
    ) -> std::result::Result<Self, (Option<Box<Machine>>, Error)> {
        let waiting = Arc::new(Mutex::new(Some(machine)));
        let end = Arc::new(Ending::new());
        let watch = Arc::new(Watch::default());
        watch.calling.store(true, Ordering::SeqCst);
        let mut watchers = [Watcher {
            watch: Arc::clone(&watch),
            kick: kick.clone(),
            seen: 0,
        }];
        let limits = RunLimits {
            tick: Some(LEAST_WATCH.max(patience * 2)),
            ..RunLimits::default()
        };
        let (theirs, handle, over) = (Arc::clone(&waiting), kick.clone(), Arc::clone(&end));
        let run = move || {
            let over = Over(over);
            let Some(mut machine) = take(&theirs) else {
                return;
            };
            vmm::name_thread(vmm::VCPU_THREAD);
            let result = caught(|| machine.run_together(&handle, limits, &mut watchers));
            vmm::name_thread(vmm::IDLE_THREAD);
            *lock(&over.0.finished) = Some((machine, result));
        };
        match Worker::start(Box::new(run)) {
            Ok(worker) => Ok(Self {
                kick,
                end,
                worker,
                watch,
            }),
            Err(error) => Err((take(&waiting), Error::thread(&error))),
        }
    }

    /// A call is made, by its number.
    pub fn calls(&self, number: u32) {
        self.watch.calling.store(true, Ordering::SeqCst);
        self.watch.calls.store(number, Ordering::SeqCst);
    }

    /// The call is done, and the vCPU looks for the next one.
    pub fn called(&self) {
        self.watch.calling.store(false, Ordering::SeqCst);
    }

    /// Waits for its end, which something has brought about. `None` after a panic outside the
    /// machine.
    pub fn join(self) -> Option<Finished> {
        self.end.wait();
        let finished = take(&self.end.finished);
        match &finished {
            Some((_, outcome)) => release(self.worker, outcome),
            None => self.worker.end(),
        }
        finished
    }
}
