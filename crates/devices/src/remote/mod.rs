//! Devices whose host's end is answered from outside of this process's Rust: requests wait here
//! until somebody takes them, and answers until the device does.

mod bell;
mod disk;

use std::sync::Arc;

pub use bell::{HostBell, Waker};
pub use disk::{DiskAnswer, DiskAsked, DiskRequest, RemoteDisk};

/// The host's end of one such device.
#[derive(Clone, Debug)]
pub enum Remote {
    /// A disk.
    Disk(Arc<RemoteDisk>),
}

/// All of one machine: disks first, each kind in the order of its configuration.
#[derive(Clone, Debug, Default)]
pub struct Remotes {
    /// What they ring when something waits.
    pub bell: Arc<HostBell>,
    /// Where it waits.
    pub ends: Vec<Remote>,
}

impl Remote {
    /// Whether something waits for the host.
    pub fn waits(&self) -> bool {
        match self {
            Self::Disk(disk) => disk.waits(),
        }
    }
}
