//! What looks into a machine.

mod profile;
mod virtual_memory;
