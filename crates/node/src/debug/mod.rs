//! What looks into a machine, as methods of the native class.

mod profile;
mod stops;
mod trace;
mod virtual_memory;
