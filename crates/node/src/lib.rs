//! The seam between `crates/vmm` and JavaScript: values, threads and life cycles, and nothing else.
//!
//! No function here throws. What fails comes back as a [`Failure`](failure::Failure), and one
//! TypeScript file turns it into an exception.

// The attribute that exports to JavaScript leaves nothing to call in a test build.
#![cfg_attr(test, allow(dead_code))]

mod ask;
mod bell;
mod buffer;
mod caught;
mod config;
mod environment;
mod exit;
mod failure;
mod ffi;
mod guests;
mod host;
mod life;
mod loaded;
mod machine;
mod mailbox;
mod outcome;
mod pace;
mod patience;
mod posted;
mod registers;
mod running;
mod same_thread;
mod turn;
