//! Programs without a machine: what `load` makes of their images, and what their system calls come
//! to.
#![allow(
    missing_docs,
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod bed;
mod hello;
mod loading;
