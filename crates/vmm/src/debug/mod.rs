//! What looks into a guest.

mod virtual_memory;

pub use virtual_memory::VirtualMemory;
