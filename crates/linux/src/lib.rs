//! What a native Linux program finds in ring 3: an address space, and answers to its system calls.
//!
//! ```text
//! space ─► areas · frames · tables      what is mapped where, with which rights
//! ```
//!
//! Everything here is a value: a machine saves and restores it with the rest of its state. Memory is
//! read and written by guest physical address through [`Memory`]. The program is hostile, so that
//! nothing is decided by what it can write.
#![forbid(unsafe_code)]

mod errno;
mod memory;
mod space;

pub use errno::Errno;
pub use memory::Memory;
pub use space::{
    Access, Commit, Edit, Effects, Fixed, Ground, MMAP_END, Protection, Space, Touch, USER_END,
};
