//! All vCPUs of a machine as a value.

use serde::{Deserialize, Serialize};

use super::ProcessorState;

/// The saved state of all vCPUs.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct CrewState {
    pub boot: ProcessorState,
    pub(in crate::run) others: Vec<ProcessorState>,
    pub(in crate::run) ended_by: u32,
    /// Exits that no run has reported.
    pub(in crate::run) unreported: u64,
}

impl CrewState {
    /// How many vCPUs there are.
    pub const fn count(&self) -> u32 {
        1 + self.others.len() as u32
    }
}
