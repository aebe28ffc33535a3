//! What looks into a guest, and tells why it failed.

mod fault;
mod virtual_memory;

pub use fault::Fault;
pub(crate) use fault::{Caught, is_told, recognise};
pub use virtual_memory::VirtualMemory;
