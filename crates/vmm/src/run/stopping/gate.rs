//! Bytes that stand in the guest's code while a vCPU is inside it, and only then: a look at memory
//! from outside finds what the guest has put there.
//!
//! A vCPU that has been told of a breakpoint executes its instruction with no byte in place. The
//! others, which would miss theirs, are outside meanwhile.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::kvm::kick::KickHandle;
use crate::kvm::memory::GuestMemory;

/// After this time a vCPU looks again whether the run is to end, and whether others are outside.
const LOOK: Duration = Duration::from_millis(5);

/// A byte in place of another one.
#[derive(Clone, Copy, Debug)]
struct Patch {
    byte: u8,
    /// What the guest has there, while ours is.
    hidden: Option<u8>,
    /// The vCPUs that want it, a bit for each.
    wanted_by: u64,
}

#[derive(Debug, Default)]
struct State {
    /// By guest physical address.
    patches: BTreeMap<u64, Patch>,
    /// vCPUs inside.
    inside: u32,
    /// One is inside with no byte in place, or waits for the others to leave.
    is_claimed: bool,
}

/// What the vCPUs of one run go through on their way into the guest.
#[derive(Debug)]
pub(crate) struct Gate<'a> {
    memory: &'a GuestMemory,
    kick: &'a KickHandle,
    state: Mutex<State>,
    changed: Condvar,
}

impl<'a> Gate<'a> {
    pub fn new(memory: &'a GuestMemory, kick: &'a KickHandle) -> Self {
        Self {
            memory,
            kick,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Has a vCPU, which is outside, want these bytes and no others.
    pub fn want(&self, vcpu: u32, wanted: &[(u64, u8)]) {
        let mut state = self.state();
        let bit = 1 << vcpu;
        for patch in state.patches.values_mut() {
            patch.wanted_by &= !bit;
        }
        let is_in_place = state.inside > 0 && !state.is_claimed;
        for &(gpa, byte) in wanted {
            let patch = state.patches.entry(gpa).or_insert(Patch {
                byte,
                hidden: None,
                wanted_by: 0,
            });
            patch.wanted_by |= bit;
            if is_in_place && patch.hidden.is_none() {
                put(self.memory, gpa, patch);
            }
        }
        state.patches.retain(|gpa, patch| {
            let is_wanted = patch.wanted_by != 0;
            if !is_wanted {
                take(self.memory, *gpa, patch);
            }
            is_wanted
        });
    }

    /// Whether a vCPU goes on to the guest; else the run is to end.
    pub fn enter(&self) -> bool {
        let Some(mut state) = self.unclaimed() else {
            return false;
        };
        if state.inside == 0 {
            for (gpa, patch) in &mut state.patches {
                put(self.memory, *gpa, patch);
            }
        }
        state.inside += 1;
        true
    }

    /// The same, for one instruction with no byte in place.
    pub fn enter_alone(&self, others: impl Iterator<Item = u32> + Clone) -> bool {
        let Some(mut state) = self.unclaimed() else {
            return false;
        };
        state.is_claimed = true;
        while state.inside > 0 {
            if self.kick.requested().is_some() {
                state.is_claimed = false;
                self.changed.notify_all();
                return false;
            }
            // Under its own lock, which no vCPU holds while it waits for ours.
            drop(state);
            others.clone().for_each(|vcpu| self.kick.poke(vcpu));
            state = self.state();
            if state.inside > 0 {
                state = self.wait(state);
            }
        }
        true
    }

    /// A vCPU has left the guest.
    pub fn leave(&self, was_alone: bool) {
        let mut state = self.state();
        if was_alone {
            state.is_claimed = false;
        } else {
            state.inside = state.inside.saturating_sub(1);
            if state.inside == 0 {
                for (gpa, patch) in &mut state.patches {
                    take(self.memory, *gpa, patch);
                }
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Whether a byte is one that vCPUs want there.
    pub fn has(&self, gpa: u64, byte: u8) -> bool {
        let state = self.state();
        state
            .patches
            .get(&gpa)
            .is_some_and(|patch| patch.byte == byte)
    }

    /// Waits until no vCPU is inside alone, or wants to be; none if the run is to end.
    fn unclaimed(&self) -> Option<MutexGuard<'_, State>> {
        let mut state = self.state();
        while state.is_claimed {
            if self.kick.requested().is_some() {
                return None;
            }
            state = self.wait(state);
        }
        Some(state)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'g>(&self, state: MutexGuard<'g, State>) -> MutexGuard<'g, State> {
        let waited = self.changed.wait_timeout(state, LOOK);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Puts our byte in place.
fn put(memory: &GuestMemory, gpa: u64, patch: &mut Patch) {
    let mut byte = [0];
    let is_there = memory.read(gpa, &mut byte).is_ok() && memory.write(gpa, &[patch.byte]).is_ok();
    patch.hidden = is_there.then_some(byte[0]);
}

/// Takes it away, unless something else stands there: the guest has written.
fn take(memory: &GuestMemory, gpa: u64, patch: &mut Patch) {
    let Some(hidden) = patch.hidden.take() else {
        return;
    };
    let mut byte = [0];
    if memory.read(gpa, &mut byte).is_ok() && byte[0] == patch.byte {
        // It was written a moment ago.
        let _ = memory.write(gpa, &[hidden]);
    }
}

impl Drop for Gate<'_> {
    fn drop(&mut self) {
        // After a panic of a vCPU's thread, too.
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (gpa, patch) in &mut state.patches {
            take(self.memory, *gpa, patch);
        }
    }
}
