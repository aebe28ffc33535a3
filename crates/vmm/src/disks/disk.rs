//! A disk, apart from its virtio device.

use devices::virtio::block::Layer;

use super::config::DiskConfig;
use super::medium::Use;

/// A disk of a machine's.
#[derive(Debug)]
pub(crate) struct Disk {
    pub config: DiskConfig,
    pub bytes: u64,
    pub medium: Use,
    /// What was written to a volatile one.
    pub layer: Option<Layer>,
}
