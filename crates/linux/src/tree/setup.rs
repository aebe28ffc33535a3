//! What a tree is made of.

use crate::host::HostRoot;

/// Where something comes from that a program finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A directory in memory.
    Memory,
    /// A file in memory, with these contents at first. It is the program's own copy.
    File(Vec<u8>),
    /// A directory or a file of the host.
    Host(HostRoot),
}

/// Something that a program finds at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Absolute, in the program's name space.
    pub path: Vec<u8>,
    /// What is there.
    pub source: Source,
    /// The program cannot change it.
    pub read_only: bool,
}

/// What a tree is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// In any order. A mount hides what lies at its path; `/dev` and `/proc` are the engine's own.
    pub mounts: Vec<Mount>,
    /// Where relative paths begin; `/` if it is empty.
    pub directory: Vec<u8>,
    /// The program's arguments, its name first.
    pub arguments: Vec<Vec<u8>>,
    /// Its environment, each `NAME=value`.
    pub environment: Vec<Vec<u8>>,
    /// The path of its image.
    pub program: Vec<u8>,
}

/// Why there is no such tree: one sentence, with the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeError(pub String);

impl std::fmt::Display for TreeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TreeError {}
