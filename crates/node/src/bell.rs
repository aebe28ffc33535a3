//! What one JavaScript environment has for all its machines: the shared words, one doorbell, and the list
//! of those that run.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use napi::Env;
use napi::bindgen_prelude::Uint32Array;
use napi_derive::napi;

use crate::ffi::{Doorbell, Words};

thread_local! {
    // An environment has a thread of its own: the main one, or a worker's.
    static WORDS: Cell<Option<Words>> = const { Cell::new(None) };
    static ENVIRONMENT: RefCell<Option<Rc<Environment>>> = const { RefCell::new(None) };
}

/// Takes the eight words through which this environment's machines ask. Called once, at import.
#[napi]
pub fn share_words(env: Env, words: Uint32Array) -> bool {
    let shared = Words::share(&env, words);
    WORDS.set(shared);
    shared.is_some()
}

/// The words of this environment.
pub fn words() -> Option<Words> {
    WORDS.get()
}

/// A doorbell that is rung once until it is answered.
#[derive(Debug)]
pub struct Bell {
    doorbell: Doorbell,
    rung: AtomicBool,
}

impl Bell {
    /// Makes JavaScript's thread attend to every machine that runs.
    pub fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            self.doorbell.ring();
        }
    }
}

/// Somebody whom the bell calls.
pub trait Attended {
    /// Looks after whatever waits for JavaScript.
    fn attend(&self);
    /// Ends for good, and joins its thread.
    fn shut_down(&self);
}

/// The machines of this JavaScript environment that run on threads of their own.
pub struct Environment {
    env: Env,
    bell: Arc<Bell>,
    running: RefCell<Vec<Weak<dyn Attended>>>,
    holders: Cell<u32>,
}

impl Environment {
    /// This thread's, made at the first `run`.
    pub fn get(env: Env) -> Option<Rc<Self>> {
        if let Some(environment) = ENVIRONMENT.with_borrow(Clone::clone) {
            return Some(environment);
        }
        let doorbell = Doorbell::new(&env, attend)?;
        // Registered behind the doorbell, so it runs before the doorbell goes: every thread that rings is
        // joined by then.
        env.add_env_cleanup_hook((), |()| shut_down()).ok()?;
        let environment = Rc::new(Self {
            env,
            bell: Arc::new(Bell {
                doorbell,
                rung: AtomicBool::new(false),
            }),
            running: RefCell::default(),
            holders: Cell::new(0),
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
    }

    /// Does so no longer.
    pub fn remove(who: *const dyn Attended) {
        if let Some(environment) = ENVIRONMENT.with_borrow(Clone::clone) {
            let mut running = environment.running.borrow_mut();
            running.retain(|weak| !std::ptr::addr_eq(weak.as_ptr(), who));
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
            self.bell.doorbell.hold_loop(&self.env, after > 0);
        }
    }
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

/// The answer to the bell, on JavaScript's thread.
fn attend() {
    let Some(environment) = ENVIRONMENT.with_borrow(Clone::clone) else {
        return;
    };
    // Before looking: what is posted from here on rings again.
    environment.bell.rung.store(false, Ordering::SeqCst);
    for who in environment.living() {
        who.attend();
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
