//! The devices of a machine whose host's end is answered from outside.

use std::sync::Arc;

use devices::{HostBell, Remote};

use crate::machine::Machine;

/// Their host's ends, and the bell that they ring.
#[derive(Debug, Default)]
pub(crate) struct Remotes {
    pub bell: Arc<HostBell>,
    pub ends: Vec<Remote>,
}

impl Machine {
    /// The host's ends of what is answered from outside: disks first, each kind in the order of the
    /// configuration.
    pub fn remotes(&self) -> &[Remote] {
        &self.remotes.ends
    }

    /// What they ring when something waits there.
    pub const fn host_bell(&self) -> &Arc<HostBell> {
        &self.remotes.bell
    }
}
