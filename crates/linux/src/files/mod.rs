//! Descriptors, and what they lead to. None is a descriptor of the host.

mod object;
mod pipe;
mod slots;
mod table;
mod transfer;

pub use object::Object;
pub use table::Files;
pub use transfer::{Step, read, resize, size, write};
