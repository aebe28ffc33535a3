//! What looks into a guest, and tells why it failed.

mod fault;
mod means;
mod virtual_memory;

pub use fault::Fault;
pub(crate) use fault::{Caught, is_told, recognise};
pub use means::{DebugMeans, Int3, Means, Place};
pub use virtual_memory::VirtualMemory;
