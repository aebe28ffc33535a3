//! What the vCPUs of a run that has stops share.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::debug::{DebugMeans, Stop};
use crate::error::Result;
use crate::kvm::kick::KickHandle;
use crate::kvm::memory::GuestMemory;
use crate::run::clock::Steps;

use super::gate::Gate;

/// What all vCPUs of a run share.
#[derive(Debug)]
pub(crate) struct Stoppers<'a> {
    pub(super) stops: &'a [Stop],
    pub(super) steps: Option<Steps>,
    /// Instructions that the run may execute.
    pub(super) left: AtomicU64,
    pub(super) gate: Gate<'a>,
    pub(super) means: &'static DebugMeans,
    pub(super) memory: &'a GuestMemory,
    pub(super) vcpus: u32,
}

impl<'a> Stoppers<'a> {
    /// None for a run in which nothing stops.
    pub fn new(
        stops: &'a [Stop],
        steps: Option<Steps>,
        memory: &'a GuestMemory,
        kick: &'a KickHandle,
        vcpus: u32,
    ) -> Result<Option<Self>> {
        if stops.is_empty() && steps.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            stops,
            steps,
            left: AtomicU64::new(steps.map_or(u64::MAX, |steps| steps.count)),
            gate: Gate::new(memory, kick),
            means: DebugMeans::get()?,
            memory,
            vcpus,
        }))
    }

    /// One more instruction is executed; whether it is the last.
    pub(super) fn take(&self) -> bool {
        let order = Ordering::Relaxed;
        let taken = self
            .left
            .fetch_update(order, order, |left| left.checked_sub(1));
        taken.is_ok_and(|before| before == 1)
    }

    /// Instructions that were executed one by one, if they are counted.
    pub fn stepped(&self) -> u64 {
        let count = self.steps.map_or(u64::MAX, |steps| steps.count);
        count - self.left.load(Ordering::Relaxed)
    }
}
