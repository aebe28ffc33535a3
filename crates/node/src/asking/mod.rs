//! Questions to JavaScript and what it answers, on its own thread and across threads.

pub mod letter;
pub mod mailbox;
pub mod pace;
pub mod posted;
pub mod same_thread;
