//! What a program wants of each signal (`rt_sigaction`), and what comes of those that it has said
//! nothing of.

use std::collections::BTreeMap;

use linux_raw_sys::general::{
    SA_NOCLDSTOP, SA_NOCLDWAIT, SA_NODEFER, SA_ONSTACK, SA_RESETHAND, SA_RESTART, SA_RESTORER,
    SA_SIGINFO, SIGCHLD, SIGCONT, SIGKILL, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH,
};
use serde::{Deserialize, Serialize};

use super::set::{self, SET_BYTES, SIGNALS, UNBLOCKABLE};
use crate::calls::world::World;
use crate::errno::Errno;

/// `SIG_DFL` and `SIG_IGN`, which the headers of the crate leave out.
const DEFAULT: u64 = 0;
const IGNORE: u64 = 1;
/// The kernel drops the others.
const KNOWN_FLAGS: u64 = SA_NOCLDSTOP as u64
    | SA_NOCLDWAIT as u64
    | SA_SIGINFO as u64
    | SA_RESTORER as u64
    | SA_ONSTACK as u64
    | SA_RESTART as u64
    | SA_NODEFER as u64
    | SA_RESETHAND as u64;
/// By default nothing comes of these (signal(7)). Nothing could continue what was stopped.
const HARMLESS: [u32; 8] = [
    SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH,
];

/// A handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    pub handler: u64,
    flags: u64,
    /// Where the handler returns to.
    pub restorer: u64,
    /// What else is blocked meanwhile.
    pub mask: u64,
}

impl Action {
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag as u64 != 0
    }
}

/// What comes of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    Ignored,
    Deadly,
    Handled(Action),
}

/// By number: handler, flags, restorer, mask, as in `struct kernel_sigaction`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Actions(BTreeMap<u32, [u64; 4]>);

impl Actions {
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// `rt_sigaction`; returns the signal if it is ignored from here on.
    pub fn change(
        &mut self,
        signal: u32,
        new: u64,
        old: u64,
        bytes: u64,
        world: &mut World<'_>,
    ) -> Result<Option<u32>, Errno> {
        let is_fixed = [SIGKILL, SIGSTOP].contains(&signal) && new != 0;
        if bytes != SET_BYTES || !(1..=SIGNALS).contains(&signal) || is_fixed {
            return Err(Errno::EINVAL);
        }
        let wanted = if new == 0 {
            None
        } else {
            Some(world.words::<4>(new)?)
        };
        let before = self.0.get(&signal).copied().unwrap_or_default();
        let before: Vec<u8> = before.iter().flat_map(|word| word.to_le_bytes()).collect();
        world.write_optional(old, &before)?;
        let Some([handler, flags, restorer, mask]) = wanted else {
            return Ok(None);
        };
        let action = [handler, flags & KNOWN_FLAGS, restorer, mask & !UNBLOCKABLE];
        self.0.insert(signal, action);
        Ok((self.of(signal) == Disposition::Ignored).then_some(signal))
    }

    pub fn of(&self, signal: u32) -> Disposition {
        let word = self.0.get(&signal).copied().unwrap_or_default();
        let [handler, flags, restorer, mask] = word;
        let is_own = set::of(signal) & UNBLOCKABLE == 0;
        match handler {
            IGNORE if is_own => Disposition::Ignored,
            DEFAULT | IGNORE => Self::default_of(signal),
            _ if !is_own => Self::default_of(signal),
            _ => Disposition::Handled(Action {
                handler,
                flags,
                restorer,
                mask,
            }),
        }
    }

    fn default_of(signal: u32) -> Disposition {
        if HARMLESS.contains(&signal) {
            Disposition::Ignored
        } else {
            Disposition::Deadly
        }
    }

    /// Takes a handler away.
    pub fn reset(&mut self, signal: u32) {
        if let Some(action) = self.0.get_mut(&signal) {
            action[0] = DEFAULT;
        }
    }
}
