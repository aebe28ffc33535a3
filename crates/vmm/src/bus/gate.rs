//! One question at a time: vCPUs that want to ask about the same route take turns.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::Duration;

/// A wait is ended by the turn or by a kick, which unparks every thread of the run; this is for
/// neither coming.
const NAP: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
pub(crate) struct Gate {
    taken: AtomicBool,
    /// The vCPU that has the turn through a pause, plus one.
    keeper: AtomicU32,
    /// Entries in `queue`, so that a turn without waiting vCPUs ends without a lock.
    waiting: AtomicUsize,
    queue: Mutex<Vec<Thread>>,
}

/// The turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a>(&'a Gate);

impl Gate {
    /// Waits for a vCPU's turn, unless it has kept it; `None` when `give_up` says so first.
    pub fn enter(&self, vcpu: u32, give_up: impl Fn() -> bool) -> Option<Turn<'_>> {
        if let Some(turn) = self.kept(vcpu) {
            return Some(turn);
        }
        while self.taken.swap(true, Ordering::SeqCst) {
            if give_up() {
                return None;
            }
            let me = std::thread::current();
            let id = me.id();
            self.queue().push(me);
            self.waiting.fetch_add(1, Ordering::SeqCst);
            // A turn that ended before this vCPU was counted woke none.
            if self.taken.load(Ordering::SeqCst) {
                std::thread::park_timeout(NAP);
            }
            self.queue().retain(|thread| thread.id() != id);
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
        Some(Turn(self))
    }

    /// Takes the turn if it is free.
    pub fn try_enter(&self) -> Option<Turn<'_>> {
        let is_free = !self.taken.swap(true, Ordering::SeqCst);
        is_free.then(|| Turn(self))
    }

    /// The turn that a vCPU has kept.
    pub fn kept(&self, vcpu: u32) -> Option<Turn<'_>> {
        let is_keeper = self.keeper.load(Ordering::SeqCst) == vcpu + 1;
        is_keeper.then(|| {
            self.keeper.store(0, Ordering::SeqCst);
            Turn(self)
        })
    }

    fn queue(&self) -> MutexGuard<'_, Vec<Thread>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Nobody else has a turn until this vCPU is back from a pause.
    pub fn keep(self, vcpu: u32) {
        self.0.keeper.store(vcpu + 1, Ordering::SeqCst);
        std::mem::forget(self);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::SeqCst);
        if self.0.waiting.load(Ordering::SeqCst) > 0
            && let Some(thread) = self.0.queue().first()
        {
            thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn there_is_one_turn_at_a_time() {
        let (gate, inside, turns) = (Gate::default(), AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let turn = gate.enter(0, || false);
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        turns.fetch_add(1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(turn);
                    }
                });
            }
        });
        assert_eq!(turns.into_inner(), 4000);
        assert_eq!(gate.waiting.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_wait_can_be_given_up() {
        let gate = Gate::default();
        let turn = gate.enter(0, || true);
        assert!(turn.is_some() && gate.enter(0, || true).is_none());
        assert!(gate.try_enter().is_none());
        drop(turn);
        assert!(gate.enter(0, || true).is_some());
        assert!(gate.try_enter().is_some());
    }

    #[test]
    fn a_turn_that_is_kept_is_its_keepers() {
        let gate = Gate::default();
        for _ in 0..2 {
            gate.enter(3, || true).unwrap().keep(3);
            assert!(gate.try_enter().is_none() && gate.enter(2, || true).is_none());
            assert!(gate.kept(2).is_none());
            let turn = gate.enter(3, || true);
            assert!(turn.is_some() && gate.kept(3).is_none());
        }
        gate.enter(3, || true).unwrap().keep(3);
        drop(gate.kept(3));
        assert!(gate.enter(2, || true).is_some());
    }
}
