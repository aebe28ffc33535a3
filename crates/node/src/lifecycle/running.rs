//! A machine on a thread of its own: that thread owns it, and gives it back with the end of its
//! run.

use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use vmm::{Error, KickHandle, Machine, Outcome, Result, RunLimits};

use crate::asking::mailbox::{AcrossThreads, Mailbox};
use crate::asking::posted::Posted;
use crate::caught::caught;
use crate::ffi::WeakFunction;
use crate::pump::bell::Bell;

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
    finished: Arc<Mutex<Option<Finished>>>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Gives the machine to a new thread; the machine is returned if no thread can start.
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
        // `finished`: another machine's bell may look there before this thread runs.
        let waiting = Arc::new(Mutex::new(Some(machine)));
        let finished = Arc::default();
        posted.begin();
        let feeds = posted.feeds();
        let handler =
            |mailbox| AcrossThreads::new(Arc::clone(mailbox), Arc::clone(bell), Arc::clone(&feeds));
        let run = run_thread(
            Arc::clone(&waiting),
            Arc::clone(&finished),
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
        let spawned = std::thread::Builder::new()
            .name("vmexit-vcpu0".into())
            .spawn(run);
        match spawned {
            Ok(thread) => Ok(Self {
                kick,
                mailboxes,
                callbacks: Rc::new(callbacks),
                finished,
                thread,
            }),
            Err(error) => {
                posted.end();
                Err((take(&waiting), Error::thread(&error)))
            }
        }
    }

    /// Whether the run is over, and its end not taken.
    pub fn is_finished(&self) -> bool {
        let finished = self.finished.lock();
        finished.unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The machine and its run's end, once that is over.
    pub fn take_finished(&self) -> Option<Finished> {
        take(&self.finished)
    }

    /// Joins the thread, and returns what it left. A panic of that thread is already caught and
    /// reported there.
    pub fn join(self) -> Option<Finished> {
        let _ = self.thread.join();
        take(&self.finished)
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
    finished: Arc<Mutex<Option<Finished>>>,
    kick: KickHandle,
    limits: RunLimits,
    mut handlers: Vec<AcrossThreads>,
) -> impl FnOnce() + Send + 'static {
    move || {
        let Some(mut machine) = take(&waiting) else {
            return;
        };
        let result = caught(|| machine.run_together(&kick, limits, &mut handlers));
        *finished.lock().unwrap_or_else(PoisonError::into_inner) = Some((machine, result));
        if let Some(handler) = handlers.first() {
            handler.ring();
        }
    }
}

fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}
