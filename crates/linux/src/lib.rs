//! What a native Linux program finds in ring 3: an address space, and answers to its system calls.
//!
//! ```text
//! space ─► areas · frames · tables      what is mapped where, with which rights
//! load  ─► elf · start                  a program's image and first stack, put into a space
//! tree  ─►                               what is found by path
//! host  ─►                               directories of the host, one component at a time
//! calls ─► Kernel, by subject · files   a value, the program's end, or a question to the host
//! ```
//!
//! Everything here is a value: a machine saves and restores it with the rest of its state. Memory
//! is read and written by guest physical address through [`Memory`]. The program is hostile, so
//! that nothing is decided by what it can write.
#![forbid(unsafe_code)]

mod calls;
mod elf;
mod errno;
mod error;
mod files;
mod host;
pub mod limits;
mod load;
mod memory;
mod names;
mod program;
mod space;
mod start;
mod status;
mod tree;

pub use calls::{
    Answer, Call, Clock, Delivery, HostFacts, Kernel, Registers, Thread, Trap, WatchedCalls, World,
};
pub use errno::Errno;
pub use error::{LoadError, LoadErrorKind};
pub use host::{Capacity, HostEntry, HostFile, HostPlace, HostRoot};
pub use load::{interpreter, load};
pub use memory::Memory;
pub use names::system_calls;
pub use program::{Loaded, Program};
pub use space::{
    Access, Commit, Edit, Effects, Fixed, Ground, MMAP_END, Protection, Space, Touch, USER_END,
};
pub use status::{Kind, SetTime, Status};
pub use tree::{Entry, Mount, Setup, Source, Tree, TreeError};
