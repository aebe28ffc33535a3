//! Disks (virtio 1.2, §5.2): native ones, whose bytes are a file's or lie over one, and remote
//! ones, which somebody else answers.

mod layout;
mod native;
mod overlay;
mod remote;
mod request;
mod serve;
mod storage;

#[cfg(test)]
mod tests;

pub use layout::Geometry;
pub use native::Block;
pub use overlay::{Clusters, Layer, Overlay, are_clusters_of};
pub use remote::RemoteBlock;
pub use serve::{Generation, Native};
pub use storage::Storage;

/// What saved states call it.
const NAME: &str = "virtio-blk";

/// The only queue.
const REQUESTS: usize = 0;
