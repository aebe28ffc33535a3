//! Requests that JavaScript answers, as methods of the native class.

mod disk;
mod nic;
mod port;
