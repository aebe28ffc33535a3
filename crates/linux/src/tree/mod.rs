//! What a program finds by path.

use crate::errno::Errno;

/// Where something comes from that a program finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A directory in memory.
    Memory,
    /// A file in memory, with these contents at first. It is the program's own copy.
    File(Vec<u8>),
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
    /// In any order.
    pub mounts: Vec<Mount>,
    /// Where relative paths begin.
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

/// Files and directories of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    setup: Setup,
}

impl Tree {
    /// Puts it together.
    ///
    /// # Errors
    /// A path is not absolute, or comes twice.
    pub fn new(setup: Setup) -> Result<Self, TreeError> {
        Ok(Self { setup })
    }

    /// All bytes of a regular file.
    ///
    /// # Errors
    /// As `open` and `read`.
    pub fn read_file(&mut self, path: &[u8]) -> Result<Vec<u8>, Errno> {
        let found = self.setup.mounts.iter().find(|mount| mount.path == path);
        match found.map(|mount| &mount.source) {
            Some(Source::File(bytes)) => Ok(bytes.clone()),
            _ => Err(Errno::ENOENT),
        }
    }
}
