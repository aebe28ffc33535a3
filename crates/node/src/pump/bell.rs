//! The doorbell into JavaScript, rung only while JavaScript's thread is not looking.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::ffi::Doorbell;

/// One for each JavaScript environment, shared by the threads of all its runs.
#[derive(Debug)]
pub struct Bell {
    doorbell: Doorbell,
    /// The bell was rung and is not answered yet.
    rung: AtomicBool,
    /// JavaScript's thread is looking, or will look again by itself.
    awake: AtomicBool,
    rings: AtomicU64,
}

impl Bell {
    pub const fn new(doorbell: Doorbell) -> Self {
        Self {
            doorbell,
            rung: AtomicBool::new(false),
            awake: AtomicBool::new(false),
            rings: AtomicU64::new(0),
        }
    }

    /// Makes JavaScript's thread attend to every machine that runs.
    ///
    /// What is to be found must be in its place before: the last look comes after `sleep`.
    pub fn ring(&self) {
        if !self.awake.load(Ordering::SeqCst) && !self.rung.swap(true, Ordering::SeqCst) {
            self.rings.fetch_add(1, Ordering::Relaxed);
            self.doorbell.ring();
        }
    }

    /// JavaScript's thread answers the bell.
    pub fn wake(&self) {
        self.awake.store(true, Ordering::SeqCst);
        self.rung.store(false, Ordering::SeqCst);
    }

    /// JavaScript's thread goes to sleep, unless a last look finds something.
    pub fn sleep(&self) {
        self.awake.store(false, Ordering::SeqCst);
    }

    /// How often the bell was rung.
    pub fn rings(&self) -> u64 {
        self.rings.load(Ordering::Relaxed)
    }

    pub const fn doorbell(&self) -> &Doorbell {
        &self.doorbell
    }
}
