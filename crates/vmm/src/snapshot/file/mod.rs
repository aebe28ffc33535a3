//! Snapshots in files.

mod format;
mod read;
mod write;

pub use read::LoadOptions;
pub(crate) use read::Opened;
pub(crate) use write::write;
