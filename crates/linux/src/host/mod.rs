//! Files and directories of the host, one component of a path at a time.
//!
//! ```text
//! HostRoot ──place──► HostPlace ──lookup(name)──► HostPlace ──open──► HostFile
//!   what was given      an inode, held              its child          its bytes
//! ```
//!
//! A place holds its inode by an `O_PATH` descriptor, so that nothing is ever found twice: what
//! was checked is what is opened, however the host's names change meanwhile. A name is one
//! component and never `..`, and a link is never followed here, so that no lookup leaves the root.
//! What moves out of the root while it is held is still held.

mod error;
mod fence;
mod file;
mod grant;
mod inode;
mod list;
mod name;
mod place;
mod root;

pub use file::HostFile;
pub use list::HostEntry;
pub use place::{Capacity, HostPlace};
pub use root::HostRoot;
