//! What the kernel gives: descriptors, memory, exits. The only code of this crate that is `unsafe`.

pub mod anchor;
pub mod chips;
pub mod disk_file;
pub mod exit;
pub mod host;
pub mod image;
pub mod kick;
pub mod memory;
pub mod origin;
pub mod registers;
pub mod run_page;
pub mod vcpu;
pub mod vcpu_debug;
pub mod vcpu_state;
pub mod vm;
