//! What a vCPU remembers of its last save or restore.

use std::sync::Arc;

/// The state that a vCPU was saved to or restored from last.
#[derive(Debug)]
pub(crate) struct Held {
    pub identity: Arc<()>,
    /// What [`GuestMemory::system_writes`] counted then.
    ///
    /// [`GuestMemory::system_writes`]: crate::kvm::memory::GuestMemory::system_writes
    pub system_writes: u64,
    /// Whether its guest stays in ring 3, once somebody has looked.
    pub is_confined: Option<bool>,
}
