//! Signals on their way.

use linux_raw_sys::general::{SIGBUS, SIGFPE, SIGILL, SIGRTMIN, SIGSEGV, SIGSYS, SIGTRAP};
use serde::{Deserialize, Serialize};

use super::set;
use crate::limits::PENDING_SIGNALS;

/// What comes of an instruction, before anything else.
const SYNCHRONOUS: u64 = set::of(SIGSEGV)
    | set::of(SIGBUS)
    | set::of(SIGILL)
    | set::of(SIGTRAP)
    | set::of(SIGFPE)
    | set::of(SIGSYS);

/// A signal with what `siginfo` says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Sent {
    pub signal: u32,
    /// `si_code`.
    pub code: i32,
    /// What follows it: sender and user with a value, or an address.
    pub details: [u64; 2],
}

/// Oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Pending(Vec<Sent>);

impl Pending {
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one, unless it is of those that come once; false if there are too many.
    pub fn add(&mut self, sent: Sent) -> bool {
        if sent.signal < SIGRTMIN && self.set() & set::of(sent.signal) != 0 {
            return true;
        }
        let has_room = self.0.len() < PENDING_SIGNALS;
        if has_room {
            self.0.push(sent);
        }
        has_room
    }

    /// Adds one that goes before any other of its number, whatever the bounds.
    pub fn force(&mut self, sent: Sent) {
        self.drop_all(set::of(sent.signal));
        self.0.truncate(PENDING_SIGNALS - 1);
        self.0.insert(0, sent);
    }

    /// All that wait.
    pub fn set(&self) -> u64 {
        self.0
            .iter()
            .fold(0, |all, sent| all | set::of(sent.signal))
    }

    /// Which signal of a set is the next one.
    pub fn first_of(&self, wanted: u64) -> Option<u32> {
        let waiting = self.set() & wanted;
        let first = match waiting & SYNCHRONOUS {
            0 => waiting,
            synchronous => synchronous,
        };
        (first != 0).then(|| first.trailing_zeros() + 1)
    }

    /// Takes the next one of a set out.
    pub fn take(&mut self, wanted: u64) -> Option<Sent> {
        let signal = self.first_of(wanted)?;
        let index = self.0.iter().position(|sent| sent.signal == signal)?;
        Some(self.0.remove(index))
    }

    /// Forgets those of a set.
    pub fn drop_all(&mut self, unwanted: u64) {
        self.0.retain(|sent| set::of(sent.signal) & unwanted == 0);
    }
}
