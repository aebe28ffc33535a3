//! What a device in Rust may use of its machine.

use std::os::fd::{FromRawFd, OwnedFd};
