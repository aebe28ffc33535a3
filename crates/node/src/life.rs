//! A machine's life as JavaScript sees it. Busy is ownership: the thread that runs a machine has it, and
//! what is left here can only kick.

mod attend;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use napi::Either;
use vmm::limits::MAX_VCPUS;
use vmm::{
    Answer, Counters, Error, ErrorCode, Event, ExitHandler, GuestMemory, Interrupts, KickCause,
    KickHandle, Machine, Outcome, Placement, Result, RunLimits, SerialPort,
};

use crate::bell::Bell;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::ffi::WeakFunction;
use crate::mailbox::{AcrossThreads, Mailbox};
use crate::outcome::NativeOutcome;
use crate::posted::Posted;

/// The machine and how its run ended, handed back by the run's thread.
type Finished = (Box<Machine>, Result<Outcome>);

enum State {
    Idle(Box<Machine>),
    /// `runSync` is on this thread's stack and has the machine.
    Here(KickHandle),
    /// A thread of its own has the machine.
    There(Box<Running>),
    Closed,
}

struct Running {
    kick: KickHandle,
    /// By vCPU.
    mailboxes: Rc<[Arc<Mailbox>]>,
    finished: Arc<Mutex<Option<Finished>>>,
    thread: JoinHandle<()>,
    callbacks: Rc<Callbacks>,
}

/// Functions that TypeScript keeps alive as long as the machine is reachable.
pub struct Callbacks {
    /// Answers a question.
    pub ask: WeakFunction,
    /// Gets the end of the run.
    pub settle: WeakFunction,
    /// Calls `inside` in the asynchronous context of the run.
    pub enter: WeakFunction,
}

/// What a `NativeMachine` holds.
pub struct Life {
    state: RefCell<State>,
    /// `None` once closed, so that the memory goes then and not with the object.
    memory: RefCell<Option<Arc<GuestMemory>>>,
    /// As `memory`: what is in here keeps the VM.
    interrupts: RefCell<Option<Arc<Interrupts>>>,
    serial: RefCell<Option<Arc<SerialPort>>>,
    vcpus: u32,
    pub placement: Placement,
    pub counters: Arc<Counters>,
    /// Where posted writes wait.
    pub posted: Posted,
    /// The vCPU that is looked after first.
    next: Cell<usize>,
}

impl Life {
    pub fn new(machine: Machine) -> Self {
        Self {
            memory: RefCell::new(Some(Arc::clone(machine.memory()))),
            interrupts: RefCell::new(Some(Arc::clone(machine.interrupts()))),
            serial: RefCell::new(machine.serial()),
            vcpus: machine.vcpus(),
            placement: machine.placement().clone(),
            counters: Arc::clone(machine.counters()),
            posted: Posted::new(machine.feeds()),
            next: Cell::new(0),
            state: RefCell::new(State::Idle(Box::new(machine))),
        }
    }

    /// Lends the machine for a call that needs it idle.
    pub fn with_idle<T>(&self, call: impl FnOnce(&mut Machine) -> Result<T>) -> Result<T> {
        match &mut *self.state.borrow_mut() {
            State::Idle(machine) => call(machine),
            State::Here(_) | State::There(_) => Err(busy()),
            State::Closed => Err(closed()),
        }
    }

    /// The guest's memory, at any time until `close`.
    pub fn memory(&self) -> Result<Arc<GuestMemory>> {
        self.memory.borrow().clone().ok_or_else(closed)
    }

    /// Raises an interrupt, at any time until `close`, and makes the vCPU look at it.
    pub fn interrupt(
        &self,
        vcpu: u32,
        raise: impl FnOnce(&Interrupts) -> Result<()>,
    ) -> Result<()> {
        let interrupts = self.interrupts.borrow();
        raise(interrupts.as_ref().ok_or_else(closed)?)?;
        if let State::There(running) = &*self.state.borrow() {
            running.kick.poke(vcpu);
        }
        Ok(())
    }

    /// Sets a line of the irqchip, which wakes whom it concerns itself.
    pub fn line(&self, set: impl FnOnce(&Interrupts) -> Result<()>) -> Result<()> {
        set(self.interrupts.borrow().as_ref().ok_or_else(closed)?)
    }

    /// The host's end of COM1, until `close`.
    pub fn serial(&self) -> Option<Arc<SerialPort>> {
        self.serial.borrow().clone()
    }

    fn start(&self, next: impl FnOnce() -> State) -> Result<Box<Machine>> {
        let mut state = self.state.borrow_mut();
        match std::mem::replace(&mut *state, State::Closed) {
            State::Idle(machine) => {
                *state = next();
                Ok(machine)
            }
            other => {
                let error = if matches!(other, State::Closed) {
                    closed()
                } else {
                    busy()
                };
                *state = other;
                Err(error)
            }
        }
    }

    /// Runs on this thread.
    pub fn run_here(&self, limits: RunLimits, handler: &mut dyn ExitHandler) -> Result<Outcome> {
        let kick = KickHandle::new();
        let mut machine = self.start(|| State::Here(kick.clone()))?;
        self.posted.begin();
        let result = safely(|| machine.run(&kick, limits, handler));
        let mut state = self.state.borrow_mut();
        if matches!(*state, State::Closed) {
            return Err(closed());
        }
        *state = State::Idle(machine);
        result
    }

    /// Runs on a thread of its own; the end arrives at `settle`.
    pub fn run_there(
        self: &Rc<Self>,
        environment: &Environment,
        limits: RunLimits,
        callbacks: Callbacks,
    ) -> Result<()> {
        let kick = KickHandle::new();
        let machine = self.start(|| State::Here(kick.clone()))?;
        let mailboxes: Rc<[_]> = (0..self.vcpus)
            .map(|vcpu| Arc::new(Mailbox::new(kick.clone(), vcpu)))
            .collect();
        // The machine waits here for its thread, so that it comes back if none can be had. Not in `finished`:
        // another machine's bell may look there before this thread runs.
        let waiting = Arc::new(Mutex::new(Some(machine)));
        let finished = Arc::default();
        self.posted.begin();
        let feeds = self.posted.feeds();
        let bell = || Arc::clone(environment.bell());
        let handler = |mailbox| AcrossThreads::new(Arc::clone(mailbox), bell(), Arc::clone(&feeds));
        let run = run_thread(
            Arc::clone(&waiting),
            Arc::clone(&finished),
            kick.clone(),
            limits,
            mailboxes.iter().map(handler).collect(),
        );
        let announced = mailboxes
            .first()
            .map(|mailbox| announcer(Arc::clone(mailbox), bell()));
        if let Some(Err(error)) = announced.map(|call| self.posted.announce(call)) {
            if let Some(machine) = take(&waiting) {
                self.state.replace(State::Idle(machine));
            }
            return Err(error);
        }
        let spawned = std::thread::Builder::new()
            .name("vmexit-vcpu0".into())
            .spawn(run);
        let thread = match spawned {
            Ok(thread) => thread,
            Err(error) => {
                self.posted.end();
                if let Some(machine) = take(&waiting) {
                    self.state.replace(State::Idle(machine));
                }
                return Err(Error::call(
                    "pthread_create",
                    error.raw_os_error().unwrap_or_default(),
                ));
            }
        };
        let running = Running {
            kick,
            mailboxes,
            finished,
            thread,
            callbacks: Rc::new(callbacks),
        };
        self.state.replace(State::There(Box::new(running)));
        let weak = Rc::downgrade(self);
        environment.add(weak);
        Ok(())
    }

    /// Ends the run in progress, if there is one.
    pub fn stop(&self) {
        match &*self.state.borrow() {
            State::Here(kick) => kick.kick(KickCause::Stop),
            State::There(running) => running.kick.kick(KickCause::Stop),
            State::Idle(_) | State::Closed => {}
        }
    }

    /// Frees the machine; when this returns its thread is gone. Gives, by route, the text of the run that was cut off which its
    /// handlers have yet to get.
    pub fn close(&self) -> Vec<(usize, Vec<u8>)> {
        Environment::remove(self);
        self.memory.take();
        self.interrupts.take();
        self.serial.take();
        self.posted.end();
        let before = self.state.replace(State::Closed);
        match before {
            State::Idle(_) | State::Closed => Vec::new(),
            State::Here(kick) => {
                kick.kick(KickCause::Close);
                Vec::new()
            }
            State::There(running) => {
                running.kick.kick(KickCause::Close);
                // A panic of that thread is already caught and reported there.
                let _ = running.thread.join();
                match take(&running.finished) {
                    Some((_, Ok(outcome))) => outcome.undelivered,
                    _ => Vec::new(),
                }
            }
        }
    }

    /// Takes posted writes out of a route's ring.
    pub fn drain(&self, route: usize) -> Vec<Event> {
        let events = self.posted.drain(route);
        if let State::There(running) = &*self.state.borrow() {
            running.mailboxes.iter().for_each(|mailbox| mailbox.wake());
        }
        events
    }

    /// The answer to a promised question.
    pub fn answer(&self, ticket: u32, answer: Answer) {
        if let State::There(running) = &*self.state.borrow() {
            let vcpu = (ticket % MAX_VCPUS) as usize;
            if let Some(mailbox) = running.mailboxes.get(vcpu) {
                mailbox.answer(ticket, answer);
            }
        }
    }

    /// Whether the run was over.
    fn settle(&self) -> bool {
        let mut state = self.state.borrow_mut();
        let (outcome, callbacks) = match &*state {
            State::There(running) => match take(&running.finished) {
                Some((machine, outcome)) => {
                    let callbacks = Rc::clone(&running.callbacks);
                    // The machine is idle before anybody hears that the run is over.
                    if let State::There(running) =
                        std::mem::replace(&mut *state, State::Idle(machine))
                    {
                        let _ = running.thread.join();
                    }
                    (outcome, callbacks)
                }
                None => return false,
            },
            _ => return false,
        };
        drop(state);
        self.posted.end();
        Environment::remove(self);
        callbacks.settle.call(Some(match outcome {
            Ok(outcome) => Either::A(NativeOutcome::from(outcome)),
            Err(error) => Either::B(Failure::from(error)),
        }));
        true
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.close();
    }
}

/// What is called when the kernel has counted something.
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
        let result = safely(|| machine.run_together(&kick, limits, &mut handlers));
        *finished.lock().unwrap_or_else(PoisonError::into_inner) = Some((machine, result));
        if let Some(handler) = handlers.first() {
            handler.ring();
        }
    }
}

/// A panic in the core is a bug of ours; it shall end the run, not the process.
fn safely(run: impl FnOnce() -> Result<Outcome>) -> Result<Outcome> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        Err(Error::new(
            ErrorCode::KvmIoctl,
            "the run loop panicked; please report it",
        ))
    })
}

fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn is_full<T>(slot: &Mutex<Option<T>>) -> bool {
    slot.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .is_some()
}

fn busy() -> Error {
    Error::new(
        ErrorCode::VmBusy,
        "the machine is running; wait for its run to end, or stop() it first",
    )
}

fn closed() -> Error {
    Error::new(ErrorCode::VmClosed, "the machine is closed")
}
