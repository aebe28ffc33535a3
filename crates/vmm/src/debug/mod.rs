//! What tells why a guest failed: pure functions over its registers and readers of memory.

mod fault;

pub use fault::Fault;
pub(crate) use fault::{Caught, is_told, recognise};
