//! A native program in ring 3: how it starts, and what its exits mean.
//!
//! ```text
//! syscall ─► entry ─► KVM_RUN returns ─► judged: answered here ─► back to the program
//!                                          └──► the run ends, and the caller answers
//! ```
//!
//! Whatever the program does, it is known by where its vCPU stands (`boot::state::user`), not by
//! what it says.

mod calls;
mod config;
mod force;
mod frames;
mod host;
mod journal;
mod prepare;
mod program;
mod signals;
mod state;

pub use config::UserConfig;
pub(crate) use prepare::{UserPlan, found, install, prepare};
pub(crate) use program::User;
pub(crate) use state::{Refusal, Ruling, UserState};
pub use state::{UserProgram, UserStop};
