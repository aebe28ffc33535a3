//! Devices whose host's end is answered from outside of this process's Rust: requests wait here
//! until somebody takes them, and answers until the device does.

mod bell;
mod disk;
mod nic;
mod port;

use std::sync::Arc;

pub use bell::HostBell;
pub use disk::{DiskAnswer, DiskAsked, DiskRequest, RemoteDisk};
pub use nic::{FRAME_BYTES, NIC_FRAMES, NicCounts, Pushed, RemoteNic};
pub use port::{PORT_BYTES, RemotePort};

/// The host's end of one such device.
#[derive(Clone, Debug)]
pub enum Remote {
    /// A disk.
    Disk(Arc<RemoteDisk>),
    /// A network card.
    Nic(Arc<RemoteNic>),
    /// A console port.
    Port(Arc<RemotePort>),
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
            Self::Nic(nic) => nic.waits(),
            Self::Port(port) => port.waits(),
        }
    }
}
