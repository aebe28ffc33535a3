//! What of `KVM_SET_GUEST_DEBUG` and of the processor's own traps happens on this KVM, found out by
//! small guests: KVM takes all of it without an error, and leaves out much.

mod place;
mod probe;
mod subject;

use std::sync::OnceLock;

use crate::error::Result;
use crate::kvm::host::Host;
use crate::kvm::vcpu_debug;
pub use place::{Int3, Means, Place};

/// What works on this KVM, by place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DebugMeans([Means; Place::ALL.len()]);

impl DebugMeans {
    /// Found out once in a process, which takes some milliseconds.
    ///
    /// # Errors
    /// `KvmUnavailable`, `KvmCapability` or `KvmIoctl` when no machine can be made. That is not
    /// kept.
    pub fn get() -> Result<&'static Self> {
        static KNOWN: OnceLock<DebugMeans> = OnceLock::new();
        if let Some(known) = KNOWN.get() {
            return Ok(known);
        }
        let found = probe::all(Host::get()?)?;
        vcpu_debug::let_steps_last(found.steps_last);
        Ok(KNOWN.get_or_init(|| Self(found.means)))
    }

    /// What works there.
    pub const fn at(&self, place: Place) -> &Means {
        let [real, protected, long, user] = &self.0;
        match place {
            Place::Real => real,
            Place::Protected => protected,
            Place::Long => long,
            Place::User => user,
        }
    }
}

#[cfg(test)]
mod tests;
