//! The address space of a program: what is mapped where, with which rights.
//!
//! Areas are what counts. Page tables follow from them, as words that a machine has to put in
//! force; nothing reads them back.

mod access;
mod areas;
mod discard;
mod frames;
mod ground;
mod page;
mod protection;
mod tables;
mod whole;

pub use ground::{Commit, Effects, Fixed, Ground, Touch};
pub use protection::{Access, Protection};
pub use tables::Edit;
pub use whole::{MMAP_END, Space, USER_END};

#[cfg(test)]
mod tests;
