//! What a program may do with a page.

use serde::{Deserialize, Serialize};

/// Rights to pages (`mmap(2)`, `prot`). The processor lets ring 3 read what it may write or
/// execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Protection {
    /// `PROT_READ`.
    pub read: bool,
    /// `PROT_WRITE`.
    pub write: bool,
    /// `PROT_EXEC`.
    pub execute: bool,
}

impl Protection {
    /// `PROT_NONE`.
    pub const NONE: Self = Self::new(false, false, false);
    /// To be read.
    pub const READ: Self = Self::new(true, false, false);
    /// To be read and written.
    pub const READ_WRITE: Self = Self::new(true, true, false);
    /// To be read and executed.
    pub const READ_EXECUTE: Self = Self::new(true, false, true);
    /// All three.
    pub const ALL: Self = Self::new(true, true, true);

    /// These rights.
    pub const fn new(read: bool, write: bool, execute: bool) -> Self {
        Self {
            read,
            write,
            execute,
        }
    }

    /// Whether anything is allowed.
    pub const fn is_some(self) -> bool {
        self.read || self.write || self.execute
    }

    /// Whether an access is.
    pub const fn allows(self, access: Access) -> bool {
        match access {
            Access::Read => self.is_some(),
            Access::Write => self.write,
            Access::Execute => self.execute,
        }
    }
}

/// What is done with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A load.
    Read,
    /// A store.
    Write,
    /// The fetch of an instruction.
    Execute,
}
