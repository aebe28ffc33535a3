//! A machine on a thread of its own: that thread owns it, and gives it back with the end of its
//! run.

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use vmm::limits::MAX_VCPUS;
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
    /// Takes the requests of those devices whose bits are set, and answers them in time.
    pub serve: WeakFunction,
    /// Calls `inside` in the asynchronous context of the run.
    pub enter: WeakFunction,
}

/// A run on threads of its own, from its start to its end, pauses included.
pub struct Running {
    pub kick: KickHandle,
    /// By vCPU.
    pub mailboxes: Rc<[Arc<Mailbox>]>,
    pub callbacks: Rc<Callbacks>,
    bell: Arc<Bell>,
    /// What is left of the time.
    limits: RunLimits,
    /// Exits and time up to the last pause.
    exits: u64,
    duration: Duration,
    /// Between two pauses.
    stretch: Option<Stretch>,
}

/// A thread that has the machine, and where it leaves it.
struct Stretch {
    end: Arc<Ending>,
    worker: Worker,
}

/// Where a thread leaves the machine.
pub struct Ending {
    pub finished: Mutex<Option<Finished>>,
    /// Nothing more is left here.
    over: AtomicBool,
    /// JavaScript's thread, which alone waits for it.
    waits: Thread,
}

impl Running {
    /// A run that is to begin.
    pub fn new(
        vcpus: u32,
        kick: KickHandle,
        limits: RunLimits,
        bell: &Arc<Bell>,
        callbacks: Callbacks,
    ) -> Self {
        let mailbox = |vcpu| Arc::new(Mailbox::new(kick.clone(), vcpu));
        Self {
            mailboxes: (0..vcpus).map(mailbox).collect(),
            kick,
            callbacks: Rc::new(callbacks),
            bell: Arc::clone(bell),
            limits,
            exits: 0,
            duration: Duration::ZERO,
            stretch: None,
        }
    }

    /// Gives the machine to a thread, at the beginning and after a pause; the machine is returned
    /// if none can start.
    pub fn proceed(
        &mut self,
        machine: Box<Machine>,
        posted: &Posted,
    ) -> Result<(), (Option<Box<Machine>>, Error)> {
        let announced = self
            .mailboxes
            .first()
            .map(|mailbox| posted.announce(announcer(Arc::clone(mailbox), Arc::clone(&self.bell))));
        if let Some(Err(error)) = announced {
            return Err((Some(machine), error));
        }
        let remotes = machine.remotes();
        if !remotes.ends.is_empty() {
            let bell = Arc::clone(&self.bell);
            remotes.bell.hang(move || bell.ring());
        }
        // The machine waits here for its thread, so that it comes back if none can be had. Not in
        // `end`: another machine's bell may look there before this thread runs.
        let waiting = Arc::new(Mutex::new(Some(machine)));
        let end = Arc::new(Ending::new());
        let feeds = posted.feeds();
        let handler = |mailbox| {
            AcrossThreads::new(
                Arc::clone(mailbox),
                Arc::clone(&self.bell),
                Arc::clone(&feeds),
            )
        };
        let run = run_thread(
            Arc::clone(&waiting),
            Arc::clone(&end),
            self.kick.clone(),
            self.limits,
            self.mailboxes.iter().map(handler).collect(),
        );
        match Worker::start(Box::new(run)) {
            Ok(worker) => {
                self.stretch = Some(Stretch { end, worker });
                Ok(())
            }
            Err(error) => Err((take(&waiting), Error::thread(&error))),
        }
    }

    /// What a look at a vCPU finds while it waits for the answer to a question, by its ticket.
    pub fn while_asked<T>(&self, ticket: u32, look: impl FnOnce() -> Option<T>) -> Option<T> {
        let mailbox = self.mailboxes.get((ticket % MAX_VCPUS) as usize)?;
        mailbox.while_asked(ticket, look)
    }

    /// Whether a thread has left the machine.
    pub fn is_finished(&self) -> bool {
        let mut stretch = self.stretch.iter();
        stretch.any(|stretch| lock(&stretch.end.finished).is_some())
    }

    /// The machine and what the run came to, if a thread has left it: its end, with all that was
    /// before it, or a pause.
    pub fn take_finished(&mut self) -> Option<Finished> {
        let (machine, outcome) = take(&self.stretch.as_ref()?.end.finished)?;
        if let Some(Stretch { worker, .. }) = self.stretch.take() {
            release(worker, &outcome);
        }
        Some((machine, outcome.map(|outcome| self.sum_up(outcome))))
    }

    fn sum_up(&mut self, mut outcome: Outcome) -> Outcome {
        if let Some(timeout) = &mut self.limits.timeout {
            *timeout = timeout.saturating_sub(outcome.duration);
        }
        if let Some(steps) = &mut self.limits.steps {
            steps.count = steps.count.saturating_sub(outcome.instructions);
        }
        self.exits += outcome.exits;
        self.duration += outcome.duration;
        (outcome.exits, outcome.duration) = (self.exits, self.duration);
        outcome
    }

    /// Waits for the end, which a kick has brought about. `None` after a panic, which is reported
    /// where it happened.
    pub fn join(mut self) -> Option<Finished> {
        self.stretch.as_ref()?.end.wait();
        let finished = self.take_finished();
        if let Some(Stretch { worker, .. }) = self.stretch.take() {
            worker.end();
        }
        finished
    }

    /// What JavaScript has yet to answer is not asked any more.
    pub fn forget_questions(&self) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.forget());
    }
}

/// The thread may have another run, unless a fault of ours may have left anything.
pub fn release(worker: Worker, outcome: &Result<Outcome>) {
    if matches!(outcome, Err(error) if error.code == ErrorCode::Internal) {
        worker.end();
    } else {
        worker.keep();
    }
}

impl Ending {
    pub fn new() -> Self {
        Self {
            finished: Mutex::default(),
            over: AtomicBool::new(false),
            waits: std::thread::current(),
        }
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    pub fn wait(&self) {
        while !self.is_over() {
            std::thread::park();
        }
    }
}

/// The run's thread has come to its end, perhaps by a panic.
pub struct Over(pub Arc<Ending>);

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

pub fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    lock(slot).take()
}
