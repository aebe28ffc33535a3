//! What one JavaScript environment has for all its machines: the shared words, one doorbell, the list of
//! those that run, and the pump that looks after them.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use napi::Env;
use napi::bindgen_prelude::{Function, Uint32Array};
use napi_derive::napi;

use crate::bell::Bell;
use crate::ffi::{Doorbell, StrongFunction, Words};
use crate::patience::Patience;

/// The longest stay in the pump during one turn of the event loop: timers and I/O wait no longer for us.
const TURN: Duration = Duration::from_millis(1);

/// A turn of this length was a slow handler's.
const SLOW: Duration = Duration::from_millis(5);

thread_local! {
    // An environment has a thread of its own: the main one, or a worker's.
    static SHARED: RefCell<Option<(Words, Rc<StrongFunction>)>> = const { RefCell::new(None) };
    static ENVIRONMENT: RefCell<Option<Rc<Environment>>> = const { RefCell::new(None) };
}

/// Takes the eight words through which this environment's machines ask, and the function that answers the
/// doorbell by calling `attend`. Called once, at import.
#[napi]
pub fn share(
    env: Env,
    words: Uint32Array,
    #[napi(ts_arg_type = "() => void")] pump: Function<'_, (), ()>,
) -> bool {
    let shared = Words::share(&env, words).zip(StrongFunction::new(&env, &pump));
    let done = shared.is_some();
    SHARED.set(shared.map(|(words, pump)| (words, Rc::new(pump))));
    done
}

/// The words of this environment.
pub fn words() -> Option<Words> {
    SHARED.with_borrow(|shared| shared.as_ref().map(|(words, _)| *words))
}

/// What attending to somebody came to; the greatest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Served {
    Nothing,
    Something,
    /// A handler returned a promise; JavaScript must get its turn before it can settle.
    Promise,
}

/// The part of an event loop's turn that we take.
pub struct Turn(Cell<Instant>);

impl Turn {
    /// Whether it is used up: the event loop comes first.
    pub fn is_over(&self) -> bool {
        self.0.get().elapsed() > TURN
    }

    /// Serves one after the other until the turn is over; then the next turn begins with the one whose turn it is.
    pub fn each<T>(&self, next: &Cell<usize>, all: &[T], serve: impl Fn(&T) -> Served) -> Served {
        let (first, mut served) = (next.get(), Served::Nothing);
        let by_turns = (0..all.len()).map(|step| (first + step) % all.len());
        for (step, one) in by_turns.filter_map(|index| Some((index, all.get(index)?))) {
            let came_to = serve(one);
            served = served.max(came_to);
            if all.len() > 1 && came_to != Served::Nothing && self.is_over() {
                next.set(step + 1);
                break;
            }
        }
        served
    }
}

/// Somebody whom the bell calls.
pub trait Attended {
    /// Looks after whatever waits for JavaScript, until the turn is over.
    fn attend(&self, turn: &Turn) -> Served;
    /// Whether something gathers that nobody announces.
    fn gathers(&self) -> bool;
    /// Notices what has gathered.
    fn look(&self);
    /// Ends for good, and joins its thread.
    fn shut_down(&self);
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
}

impl Environment {
    /// This thread's, made at the first `run`.
    pub fn get(env: Env) -> Option<Rc<Self>> {
        if let Some(environment) = current() {
            return Some(environment);
        }
        let pump = SHARED.with_borrow(|shared| shared.as_ref().map(|(_, pump)| Rc::clone(pump)))?;
        let doorbell = Doorbell::new(&env, &pump)?;
        // Registered behind the doorbell, so it runs before the doorbell goes: every thread that rings is
        // joined by then.
        env.add_env_cleanup_hook((), |()| shut_down()).ok()?;
        let environment = Rc::new(Self {
            env,
            bell: Arc::new(Bell::new(doorbell)),
            running: RefCell::default(),
            generation: Cell::new(0),
            holders: Cell::new(0),
            turn: Turn(Cell::new(Instant::now())),
            next: Cell::new(0),
            patience: Patience::default(),
            asleep_since: Cell::new(Instant::now()),
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

    /// Does so no longer.
    pub fn remove(who: *const dyn Attended) {
        if let Some(environment) = current() {
            let mut running = environment.running.borrow_mut();
            running.retain(|weak| !std::ptr::addr_eq(weak.as_ptr(), who));
            environment.generation.set(environment.generation.get() + 1);
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

    /// The pump: attends until nothing more comes, or the turn is over; what is left to do, as `NativeTurn` says.
    fn pump(&self) -> u32 {
        self.bell.wake();
        let mut idle_since: Option<Instant> = None;
        let (mut generation, mut living) = (self.generation.get(), self.living());
        loop {
            if generation != self.generation.get() {
                (generation, living) = (self.generation.get(), self.living());
            }
            let served = self.attend_all(&living);
            let now = Instant::now();
            if now.duration_since(self.turn.0.get()) > TURN {
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

    /// The turn is over. We stay awake all the same: nobody has to ring before we come back.
    fn again(&self) -> u32 {
        let mut left = NativeTurn::Again as u32;
        if self.holders.get() > 0 {
            left |= NativeTurn::Held as u32;
        }
        if self.turn.0.get().elapsed() > SLOW {
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
        // A look that the turn's end cut short has not seen everybody.
        let stays =
            served == Served::Something || (served == Served::Promise && self.turn.is_over());
        if stays {
            self.bell.wake();
        }
        !stays
    }

    fn attend_all(&self, living: &[Rc<dyn Attended>]) -> Served {
        self.turn
            .each(&self.next, living, |who| who.attend(&self.turn))
    }
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

/// Attends to every machine that runs. `fresh` says that the event loop has turned since the last call, `look` that it is
/// time to look after what gathers. What is left to do, as `NativeTurn` says.
#[napi]
pub fn attend(fresh: bool, look: bool) -> u32 {
    let Some(environment) = current() else {
        return NativeTurn::Nothing as u32;
    };
    if fresh {
        let now = Instant::now();
        environment.turn.0.set(now);
        environment
            .patience
            .learn(now - environment.asleep_since.get());
    }
    if look {
        environment.living().iter().for_each(|who| who.look());
    }
    environment.pump()
}

/// How often the doorbell was rung.
#[napi]
pub fn doorbells() -> f64 {
    current().map_or(0.0, |environment| environment.bell.rings() as f64)
}

/// Keeps the event loop alive for somebody who waits for a run, until `releaseLoop`.
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

/// The environment goes: no JavaScript any more, and no thread may outlive it.
fn shut_down() {
    let Some(environment) = ENVIRONMENT.take() else {
        return;
    };
    for who in environment.living() {
        who.shut_down();
    }
}
