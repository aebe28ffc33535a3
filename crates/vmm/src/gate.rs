//! One question at a time: vCPUs that want to ask about the same route take turns.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Looks before a wait gives up its processor for longer.
const YIELDS: u32 = 100;

/// How long such a wait sleeps between looks; a kick or the end of the other's question wakes nobody.
const NAP: Duration = Duration::from_micros(200);

#[derive(Debug, Default)]
pub(crate) struct Gate(AtomicBool);

/// The turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a>(&'a Gate);

impl Gate {
    /// Waits for the turn; `None` when `give_up` says so first.
    pub fn enter(&self, give_up: impl Fn() -> bool) -> Option<Turn<'_>> {
        let mut looks = 0;
        while self.0.swap(true, Ordering::Acquire) {
            if give_up() {
                return None;
            }
            looks += 1;
            if looks < YIELDS {
                std::thread::yield_now();
            } else {
                std::thread::park_timeout(NAP);
            }
        }
        Some(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}
