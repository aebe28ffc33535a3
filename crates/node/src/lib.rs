//! The seam between `crates/vmm` and JavaScript: values, threads and life cycles, and nothing else.
//!
//! No function here throws. What fails comes back as a [`Failure`](failure::Failure), and one
//! TypeScript file turns it into an exception.

// The attribute that exports to JavaScript leaves nothing to call in a test build.
#![cfg_attr(test, allow(dead_code))]

mod asking;
mod buffer;
mod calls;
mod caught;
mod code;
mod convert;
mod debug;
mod ffi;
mod guests;
mod lifecycle;
mod machine;
mod panel;
mod program;
mod pump;
mod registers;
mod remote;
mod runs;
mod screen;
mod snapshot;
mod vcpu_state;
