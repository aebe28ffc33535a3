//! Real directories of the host, and what a program gets of them.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adversary;
mod enemy;
mod fence;
mod names;
mod read_only;
mod scratch;
mod special;
mod work;
