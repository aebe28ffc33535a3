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
#[path = "../host/enemy.rs"]
mod enemy;
mod escape;
mod facts;
mod files;
mod hello;
mod hostile;
mod hostile_paths;
mod loading;
mod memory;
mod pipes;
#[path = "../host/scratch.rs"]
mod scratch;
mod signals;
mod tree;
