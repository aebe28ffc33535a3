//! Why a program was not loaded.

use std::fmt;

/// The group of a [`LoadError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadErrorKind {
    /// The image is broken or cut short.
    Broken,
    /// The image is sound, and asks for what is not here: another processor, an interpreter,
    /// relocations.
    Unsupported,
    /// A part lies where no program may lie.
    Address,
    /// Guest memory does not suffice.
    NoMemory,
    /// One of the constants in [`limits`](crate::limits) is exceeded.
    Limit,
    /// An argument or a variable of the environment cannot be passed on.
    Argument,
}

/// Why nothing was loaded. What was mapped until then stays mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// The group it belongs to.
    pub kind: LoadErrorKind,
    /// One sentence for a person: what, where, and the value found there.
    pub message: String,
}

impl LoadError {
    pub(crate) fn new(kind: LoadErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for LoadError {}
