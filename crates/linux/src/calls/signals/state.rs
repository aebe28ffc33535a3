//! What is remembered of signals.

use std::time::Duration;

use linux_raw_sys::general::{SIGRTMIN, SIGSEGV};
use serde::{Deserialize, Serialize};

use super::actions::{Actions, Disposition};
use super::pending::{Pending, Sent};
use super::set;
use super::stack::AlternateStack;
use crate::errno::Errno;

/// What sends `SIGALRM`, by the monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Timer {
    pub(super) due: Option<Duration>,
    /// How long it is between two; zero if it comes once.
    pub(super) every: Duration,
}

impl Timer {
    const OFF: Self = Self {
        due: None,
        every: Duration::ZERO,
    };
}

/// All of a program's signals.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Signals {
    pub(super) actions: Actions,
    pub(super) blocked: u64,
    /// What was blocked before a call that blocks others while it waits.
    pub(super) suspended: Option<u64>,
    /// What a call waits for, although it may be blocked.
    pub(super) awaited: u64,
    pub(super) stack: AlternateStack,
    pub(super) pending: Pending,
    pub(super) timer: Timer,
    /// Error code, vector and address of the last fault, as frames have them.
    pub(super) trap: [u64; 3],
}

/// What comes of the signals that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Nothing,
    /// The program is over.
    Deadly(u32),
    /// A handler is to be entered.
    Handled,
}

impl Signals {
    pub const fn new() -> Self {
        Self {
            actions: Actions::new(),
            blocked: 0,
            suspended: None,
            awaited: 0,
            stack: AlternateStack::NONE,
            pending: Pending::new(),
            timer: Timer::OFF,
            trap: [0; 3],
        }
    }

    /// Sends one to the program. One that is ignored is gone at once.
    ///
    /// # Errors
    /// `EAGAIN` if too many wait; the standard signals come once, and always.
    pub fn send(&mut self, sent: Sent) -> Result<(), Errno> {
        let is_open = set::of(sent.signal) & (self.blocked | self.awaited) == 0;
        if is_open && self.actions.of(sent.signal) == Disposition::Ignored {
            return Ok(());
        }
        if self.pending.add(sent) {
            return Ok(());
        }
        if sent.signal < SIGRTMIN {
            self.pending.force(sent);
            return Ok(());
        }
        Err(Errno::EAGAIN)
    }

    /// One that cannot be put off: without a handler that may run it is deadly.
    pub fn force(&mut self, sent: Sent) {
        let bit = set::of(sent.signal);
        if self.blocked & bit != 0 || !self.is_handled(sent.signal) {
            self.actions.reset(sent.signal);
            self.blocked &= !bit;
        }
        self.pending.force(sent);
    }

    /// A frame could not be written: that of SIGSEGV itself is not tried again.
    pub fn force_fault(&mut self, failed: u32, sent: Sent) {
        if failed == SIGSEGV {
            self.actions.reset(SIGSEGV);
        }
        self.force(sent);
    }

    /// Whether a handler would be entered for it at once.
    pub fn is_taken(&self, signal: u32) -> bool {
        self.blocked & set::of(signal) == 0 && self.is_handled(signal)
    }

    fn is_handled(&self, signal: u32) -> bool {
        matches!(self.actions.of(signal), Disposition::Handled(_))
    }

    /// What comes next, of all that are not blocked. What is ignored is forgotten.
    pub fn next(&mut self) -> Next {
        while let Some(signal) = self.pending.first_of(!self.blocked) {
            match self.actions.of(signal) {
                Disposition::Ignored => self.pending.drop_all(set::of(signal)),
                Disposition::Deadly => return Next::Deadly(signal),
                Disposition::Handled(_) => return Next::Handled,
            }
        }
        Next::Nothing
    }

    /// Whether a call that waits is interrupted.
    pub fn wakes(&mut self) -> bool {
        self.pending.first_of(self.awaited).is_some() || self.next() != Next::Nothing
    }

    /// Whether something is to be done before the program goes on.
    pub fn is_due(&mut self) -> bool {
        self.suspended.is_some() || self.awaited != 0 || self.next() != Next::Nothing
    }
}
