//! What one JavaScript environment has for all its machines: one doorbell, the list of those that
//! run, and the pump that serves them.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Instant;

use napi::Env;
use napi_derive::napi;
use vmm::Error;

use crate::caught::caught;
use crate::ffi::Doorbell;
use crate::pump::bell::Bell;
use crate::pump::patience::Patience;
use crate::pump::shared;
use crate::pump::threads;
use crate::pump::turn::{Served, Turn};

thread_local! {
    // An environment has a thread of its own: the main one, or a worker's.
    static ENVIRONMENT: RefCell<Option<Rc<Environment>>> = const { RefCell::new(None) };
}

/// Anything that JavaScript's thread has to attend to.
pub trait Attended {
    /// Whether anything waits for JavaScript.
    fn waits(&self) -> bool;
    /// Serves whatever waits, until the turn is over.
    fn attend(&self, turn: &Turn) -> Served;
    /// Whether something gathers without being announced.
    fn gathers(&self) -> bool;
    /// Notices what has gathered.
    fn look(&self);
    /// Makes JavaScript call `inside` in the asynchronous context of the run.
    fn enter(&self);
    /// Closes it and joins its thread.
    fn shut_down(&self);
    /// Closes it after a fault of vmexit's own.
    fn fail(&self, error: Error) -> Served;
}

/// What `inside` is to do in the asynchronous context of a run.
enum Errand {
    /// Serve this machine, once.
    Attend(Rc<dyn Attended>),
    /// Continue pumping.
    Pump,
}

/// The machines of this JavaScript environment that run on threads of their own.
pub struct Environment {
    env: Env,
    bell: Arc<Bell>,
    running: RefCell<Vec<Weak<dyn Attended>>>,
    /// Changes with `running`.
    generation: Cell<u64>,
    holders: Cell<u32>,
    turn: Turn,
    /// The machine that is attended to first.
    next: Cell<usize>,
    patience: Patience,
    asleep_since: Cell<Instant>,
    pumping: Cell<bool>,
    /// The address of the machine in whose context the pump is. So a machine that asks again and
    /// again has its context entered once a turn.
    home: Cell<Option<*const ()>>,
    errand: RefCell<Option<Errand>>,
    /// What the last attending came to, and the last pump.
    served: Cell<Served>,
    pumped: Cell<u32>,
}

impl Environment {
    /// This thread's, made at the first `run`.
    pub fn get(env: Env) -> Option<Rc<Self>> {
        if let Some(environment) = current() {
            return Some(environment);
        }
        let doorbell = Doorbell::new(&env, &*shared::pump()?)?;
        // Registered after the doorbell, so it runs before the doorbell goes: every thread that
        // rings is joined by then.
        env.add_env_cleanup_hook((), |()| shut_down()).ok()?;
        let environment = Rc::new(Self {
            env,
            bell: Arc::new(Bell::new(doorbell)),
            running: RefCell::default(),
            generation: Cell::new(0),
            holders: Cell::new(0),
            turn: Turn::new(),
            next: Cell::new(0),
            patience: Patience::default(),
            asleep_since: Cell::new(Instant::now()),
            pumping: Cell::new(false),
            home: Cell::new(None),
            errand: RefCell::default(),
            served: Cell::new(Served::Nothing),
            pumped: Cell::new(NativeTurn::Nothing as u32),
        });
        ENVIRONMENT.set(Some(Rc::clone(&environment)));
        Some(environment)
    }

    pub fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// Attends to a machine from now on.
    pub fn add(&self, who: Weak<dyn Attended>) {
        self.running.borrow_mut().push(who);
        self.generation.set(self.generation.get() + 1);
    }

    /// Attends to it no longer.
    pub fn remove(who: *const dyn Attended) {
        if let Some(environment) = current() {
            let mut running = environment.running.borrow_mut();
            running.retain(|weak| !std::ptr::addr_eq(weak.as_ptr(), who));
            environment.generation.set(environment.generation.get() + 1);
            if environment.home.get() == Some(who.cast()) {
                // Its next run has a context of its own.
                environment.home.set(None);
            }
        }
    }

    fn living(&self) -> Vec<Rc<dyn Attended>> {
        self.running
            .borrow()
            .iter()
            .filter_map(Weak::upgrade)
            .collect()
    }

    fn hold(&self, more: bool) {
        let before = self.holders.get();
        let after = if more {
            before + 1
        } else {
            before.saturating_sub(1)
        };
        self.holders.set(after);
        if (before == 0) != (after == 0) {
            self.bell.doorbell().hold_loop(&self.env, after > 0);
        }
    }

    fn attend(&self, fresh: bool, look: bool, home: Option<*const ()>) -> u32 {
        if self.pumping.replace(true) {
            // The pump looks again anyway.
            return NativeTurn::Nothing as u32;
        }
        if fresh {
            let now = Instant::now();
            self.turn.begin(now);
            self.patience.learn(now - self.asleep_since.get());
        }
        if look {
            self.living().iter().for_each(|who| who.look());
        }
        self.home.set(home);
        let left = self.pump();
        self.home.set(None);
        self.pumping.set(false);
        left
    }

    /// The pump: attends until nothing more comes, or the turn is over. Returns what is left to do,
    /// a `NativeTurn`.
    fn pump(&self) -> u32 {
        self.bell.wake();
        let mut idle_since: Option<Instant> = None;
        let (mut generation, mut living) = (self.generation.get(), self.living());
        loop {
            if generation != self.generation.get() {
                (generation, living) = (self.generation.get(), self.living());
            }
            if self.home.get().is_none()
                && let Some(who) = living.iter().find(|who| who.waits())
            {
                self.home.set(Some(Rc::as_ptr(who).cast()));
                self.enter(who, Errand::Pump);
                self.home.set(None);
                return self.pumped.get();
            }
            let served = self.attend_all(&living);
            let now = Instant::now();
            if self.turn.is_over_at(now) {
                return self.again();
            }
            match (served, idle_since) {
                (Served::Something, _) => idle_since = None,
                (Served::Nothing, None) if !living.is_empty() => idle_since = Some(now),
                (Served::Nothing, Some(since)) if self.patience.lasts(now - since) => {
                    std::thread::yield_now();
                }
                (Served::Nothing | Served::Promise, _) => {
                    if self.leave(&living) {
                        return self.look_later();
                    }
                    if self.turn.is_over() {
                        return self.again();
                    }
                }
            }
        }
    }

    /// The turn is over. The thread stays awake all the same: no bell is needed before it comes
    /// back.
    fn again(&self) -> u32 {
        let mut left = NativeTurn::Again as u32;
        if self.holders.get() > 0 {
            left |= NativeTurn::Held as u32;
        }
        if self.turn.is_slow() {
            left |= NativeTurn::Slow as u32;
        }
        left
    }

    fn look_later(&self) -> u32 {
        if self.living().iter().any(|who| who.gathers()) {
            NativeTurn::Look as u32
        } else {
            NativeTurn::Nothing as u32
        }
    }

    /// Goes to sleep; `false` when the last look found something, and the thread is awake again.
    fn leave(&self, living: &[Rc<dyn Attended>]) -> bool {
        self.asleep_since.set(Instant::now());
        self.bell.sleep();
        let served = self.attend_all(living);
        // A look that the turn's end cut short has not seen every machine.
        let stays =
            served == Served::Something || (served == Served::Promise && self.turn.is_over());
        if stays {
            self.bell.wake();
        }
        !stays
    }

    fn attend_all(&self, living: &[Rc<dyn Attended>]) -> Served {
        self.turn.each(&self.next, living, |who| {
            if self.home.get() == Some(Rc::as_ptr(who).cast()) {
                return look_after(who, &self.turn);
            }
            if !who.waits() {
                return Served::Nothing;
            }
            self.enter(who, Errand::Attend(Rc::clone(who)));
            self.served.get()
        })
    }

    fn enter(&self, who: &Rc<dyn Attended>, errand: Errand) {
        self.served.set(Served::Nothing);
        self.pumped.set(NativeTurn::Nothing as u32);
        self.errand.replace(Some(errand));
        who.enter();
        // Still to be done if no machine is left to enter that context.
        self.inside();
    }

    fn inside(&self) {
        // Taken before anything else happens, as there may be another one in there.
        let errand = self.errand.take();
        match errand {
            Some(Errand::Attend(who)) => self.served.set(look_after(&who, &self.turn)),
            Some(Errand::Pump) => self.pumped.set(self.pump()),
            None => {}
        }
    }
}

/// A fault of vmexit's own ends the machine, not the process.
fn look_after(who: &Rc<dyn Attended>, turn: &Turn) -> Served {
    caught(|| Ok(who.attend(turn))).unwrap_or_else(|error| who.fail(error))
}

fn current() -> Option<Rc<Environment>> {
    ENVIRONMENT.with_borrow(Clone::clone)
}

/// What `attend` leaves to do, added up.
#[napi]
pub enum NativeTurn {
    /// Nothing until the bell rings.
    Nothing = 0,
    /// Call again in the next turn of the event loop.
    Again = 1,
    /// The event loop is held meanwhile.
    Held = 2,
    /// This turn took long: timers come before the next call.
    Slow = 4,
    /// Call again in two milliseconds, for what gathers meanwhile.
    Look = 8,
}

/// Attends to every machine that runs. `fresh` says that the event loop has turned since the last
/// call, `look` that it is time to take what has gathered. Returns what is left to do, a
/// `NativeTurn`.
#[napi]
pub fn attend(fresh: bool, look: bool) -> u32 {
    current().map_or(NativeTurn::Nothing as u32, |environment| {
        environment.attend(fresh, look, None)
    })
}

/// As `attend`, called in the asynchronous context of one who has just been answered.
pub fn attend_from(who: *const ()) -> u32 {
    current().map_or(NativeTurn::Nothing as u32, |environment| {
        environment.attend(false, false, Some(who))
    })
}

/// Goes on with what is to be done in the asynchronous context of a run; to be called by the
/// `enter` of `NativeMachine.start`, and to be returned by it.
#[napi]
pub fn inside() -> u32 {
    if let Some(environment) = current() {
        environment.inside();
    }
    0
}

/// Makes the doorbell, if there is none yet, in the asynchronous context of the caller, which is
/// kept for ever.
#[napi]
pub fn hang_bell(env: Env) -> bool {
    Environment::get(env).is_some()
}

/// How often the doorbell was rung.
#[napi]
pub fn doorbells() -> f64 {
    current().map_or(0.0, |environment| environment.bell.rings() as f64)
}

/// Keeps the event loop alive for an awaited run, until `releaseLoop`.
#[napi]
pub fn hold_loop(env: Env) {
    if let Some(environment) = Environment::get(env) {
        environment.hold(true);
    }
}

/// Takes back one `holdLoop`.
#[napi]
pub fn release_loop(env: Env) {
    if let Some(environment) = Environment::get(env) {
        environment.hold(false);
    }
}

/// The environment ends: JavaScript is not called any more, and no thread may outlive it.
fn shut_down() {
    let Some(environment) = ENVIRONMENT.take() else {
        return;
    };
    for who in environment.living() {
        // There is no JavaScript left to report to.
        let _ = caught(|| {
            who.shut_down();
            Ok(())
        });
    }
    threads::end_all();
}
