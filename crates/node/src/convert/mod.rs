//! Values on their way between JavaScript's words and Rust's.

pub mod block;
pub mod config;
pub mod exit;
pub mod failure;
pub mod host;
pub mod loaded;
pub mod outcome;
pub mod registers;
pub mod stop;
pub mod vcpu_state;
pub mod walk;
pub mod words;
