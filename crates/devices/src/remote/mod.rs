//! Devices whose host's end is answered from outside of this process's Rust: requests wait here
//! until somebody takes them, and answers until the device does.

mod bell;
mod disk;
mod nic;
mod port;

use std::sync::Arc;

pub use bell::{HostBell, Waker};
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

impl Remotes {
    /// The addresses of the network cards.
    pub fn macs(&self) -> Vec<[u8; 6]> {
        let macs = self.ends.iter().filter_map(|end| match end {
            Remote::Nic(nic) => Some(nic.mac()),
            _ => None,
        });
        macs.collect()
    }

    /// The names of the console ports beside the console, if there is one.
    pub fn port_names(&self) -> Option<Vec<String>> {
        let mut names = self.ends.iter().filter_map(|end| match end {
            Remote::Port(port) => Some(port.name().to_string()),
            _ => None,
        });
        names.next().map(|_console| names.collect())
    }
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
