//! What the kernel gives: descriptors, memory, exits. The only code of this crate that is `unsafe`.

// Snapshots of a machine use it.
#[cfg_attr(not(test), allow(dead_code))]
pub mod chips;
pub mod exit;
pub mod host;
pub mod kick;
pub mod memory;
mod msrs;
pub mod registers;
pub mod run_page;
pub mod vcpu;
// As above.
#[cfg_attr(not(test), allow(dead_code))]
pub mod vcpu_state;
pub mod vm;
