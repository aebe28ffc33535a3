//! What one JavaScript environment does for all its machines: it is woken, and looks for what
//! waits.

pub mod bell;
pub mod environment;
pub mod patience;
pub mod shared;
pub mod threads;
pub mod turn;
