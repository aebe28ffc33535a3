//! Stops of a vCPU on its way through a run: what it enters the guest with, and what an exit comes
//! to.
//!
//! ```text
//! prepare ─► enter ─► leave ─► canonical ─► hits, which the loop asks about ─► settled
//! ```
//! However a stop shows, it is told as [`Exit::Debug`]: vector 3 for an instruction that is next,
//! vector 1 for one that was executed. RIP is then where a breakpoint is, with no byte of ours.

mod choice;
mod course;
mod entering;
mod exits;
mod gate;
mod hits;
mod judge;
mod kept;
mod leaving;
mod stoppers;
mod watches;

pub use choice::StopMeans;
pub(crate) use course::Stopping;
pub(crate) use entering::{Way, stop_means};
pub(crate) use kept::StopMemory;
pub(crate) use stoppers::Stoppers;
