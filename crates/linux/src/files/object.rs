//! What a descriptor leads to.

use linux_raw_sys::general::O_NONBLOCK;
use serde::{Deserialize, Serialize};

use crate::tree::{MemoryFile, Opened};

/// What a descriptor leads to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Object {
    /// The host has it, by this number; 0, 1 and 2 are the standard streams.
    Host(u32),
    /// A file in memory.
    Memory(MemoryFile),
    /// The end of a pipe that is read.
    Reader(u32),
    /// The end of a pipe that is written.
    Writer(u32),
    /// What was opened by its path. It belongs to a tree, which is stored nowhere.
    #[serde(skip)]
    Opened(Box<Opened>),
}

/// What `open` makes, and `dup` shares (`struct file` of the kernel).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Description {
    /// What it leads to.
    pub object: Object,
    /// Where the next transfer starts.
    pub offset: u64,
    /// `O_RDONLY`, `O_APPEND` and the like.
    pub flags: u32,
    pub(super) descriptors: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Descriptor {
    pub description: u32,
    pub close_on_exec: bool,
}

impl Description {
    /// What would have to wait fails.
    pub fn never_waits(&self) -> bool {
        self.flags & O_NONBLOCK != 0
    }
}
