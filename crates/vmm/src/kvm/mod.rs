//! What the kernel gives: descriptors, memory, exits. The only code of this crate that is `unsafe`.

pub mod exit;
pub mod host;
pub mod kick;
pub mod memory;
pub mod registers;
pub mod run_page;
pub mod vcpu;
pub mod vm;
