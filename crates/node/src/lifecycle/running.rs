//! A machine on a thread of its own: that thread owns it, and gives it back with the end of its
//! run.

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;

use vmm::{Error, ErrorCode, KickHandle, Machine, Outcome, Result, RunLimits};

use crate::asking::mailbox::{AcrossThreads, Mailbox};
use crate::asking::posted::Posted;
use crate::caught::caught;
use crate::ffi::WeakFunction;
use crate::pump::bell::Bell;
use crate::pump::threads::Worker;

/// The machine and how its run ended, handed back by the run's thread.
pub type Finished = (Box<Machine>, Result<Outcome>);

/// Functions that TypeScript keeps alive as long as the machine is reachable.
pub struct Callbacks {
    /// Answers a question.
    pub ask: WeakFunction,
    /// Gets the end of the run.
    pub settle: WeakFunction,
    /// Calls `inside` in the asynchronous context of the run.
    pub enter: WeakFunction,
}

/// A run on a thread of its own.
pub struct Running {
    pub kick: KickHandle,
    /// By vCPU.
    pub mailboxes: Rc<[Arc<Mailbox>]>,
    pub callbacks: Rc<Callbacks>,
    end: Arc<Ending>,
    worker: Worker,
}

/// Where the run's thread leaves the machine.
struct Ending {
    finished: Mutex<Option<Finished>>,
    /// Nothing more is left here.
    over: AtomicBool,
    /// JavaScript's thread, which alone waits for it.
    waits: Thread,
}

impl Running {
    /// Gives the machine to a thread; the machine is returned if none can start.
    pub fn start(
        machine: Box<Machine>,
        kick: KickHandle,
        limits: RunLimits,
        bell: &Arc<Bell>,
        posted: &Posted,
        callbacks: Callbacks,
    ) -> Result<Self, (Option<Box<Machine>>, Error)> {
        let mailboxes: Rc<[_]> = (0..machine.vcpus())
            .map(|vcpu| Arc::new(Mailbox::new(kick.clone(), vcpu)))
            .collect();
        // The machine waits here for its thread, so that it comes back if none can be had. Not in
        // `end`: another machine's bell may look there before this thread runs.
        let waiting = Arc::new(Mutex::new(Some(machine)));
        let end = Arc::new(Ending::new());
        posted.begin();
        let feeds = posted.feeds();
        let handler =
            |mailbox| AcrossThreads::new(Arc::clone(mailbox), Arc::clone(bell), Arc::clone(&feeds));
        let run = run_thread(
            Arc::clone(&waiting),
            Arc::clone(&end),
            kick.clone(),
            limits,
            mailboxes.iter().map(handler).collect(),
        );
        let announced = mailboxes
            .first()
            .map(|mailbox| posted.announce(announcer(Arc::clone(mailbox), Arc::clone(bell))));
        if let Some(Err(error)) = announced {
            return Err((take(&waiting), error));
        }
        match Worker::start(Box::new(run)) {
            Ok(worker) => Ok(Self {
                kick,
                mailboxes,
                callbacks: Rc::new(callbacks),
                end,
                worker,
            }),
            Err(error) => {
                posted.end();
                Err((take(&waiting), Error::thread(&error)))
            }
        }
    }

    /// Whether the run is over, and its end not taken.
    pub fn is_finished(&self) -> bool {
        lock(&self.end.finished).is_some()
    }

    /// The machine and its run's end, once that is over.
    pub fn take_finished(&self) -> Option<Finished> {
        take(&self.end.finished)
    }

    /// The end is taken: the thread may have another run.
    pub fn release(self, outcome: &Result<Outcome>) {
        // A fault of ours may have left anything.
        if matches!(outcome, Err(error) if error.code == ErrorCode::Internal) {
            self.worker.end();
        } else {
            self.worker.keep();
        }
    }

    /// Waits for the end, which a kick has brought about. None after a panic, which is reported
    /// where it happened.
    pub fn join(self) -> Option<Finished> {
        self.end.wait();
        match self.take_finished() {
            Some((machine, outcome)) => {
                self.release(&outcome);
                Some((machine, outcome))
            }
            None => {
                self.worker.end();
                None
            }
        }
    }
}

impl Ending {
    fn new() -> Self {
        Self {
            finished: Mutex::default(),
            over: AtomicBool::new(false),
            waits: std::thread::current(),
        }
    }

    fn wait(&self) {
        while !self.over.load(Ordering::SeqCst) {
            std::thread::park();
        }
    }
}

/// The run's thread has come to its end, perhaps by a panic.
struct Over(Arc<Ending>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::SeqCst);
        self.0.waits.unpark();
    }
}

/// The function to call when the kernel has counted something.
fn announcer(mailbox: Arc<Mailbox>, bell: Arc<Bell>) -> impl Fn() + Clone + Send + 'static {
    move || {
        mailbox.announce();
        bell.ring();
    }
}

fn run_thread(
    waiting: Arc<Mutex<Option<Box<Machine>>>>,
    end: Arc<Ending>,
    kick: KickHandle,
    limits: RunLimits,
    mut handlers: Vec<AcrossThreads>,
) -> impl FnOnce() + Send + 'static {
    move || {
        let over = Over(end);
        let Some(mut machine) = take(&waiting) else {
            return;
        };
        vmm::name_thread(vmm::VCPU_THREAD);
        let result = caught(|| machine.run_together(&kick, limits, &mut handlers));
        vmm::name_thread(vmm::IDLE_THREAD);
        *lock(&over.0.finished) = Some((machine, result));
        drop(over);
        if let Some(handler) = handlers.first() {
            handler.ring();
        }
    }
}

fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    lock(slot).take()
}
