//! Programs without a machine: what `load` makes of their images, and what their system calls come
//! to.
#![allow(
    non_upper_case_globals,
    missing_docs,
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod bed;
mod facts;
mod files;
mod hello;
mod hostile;
mod loading;
mod memory;
mod pipes;
mod tree;
