//! What can be wrong with an image and what is asked of it.

use std::fmt;

/// The group of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The image is broken, cut short, or does not fit where it shall lie.
    Payload,
    /// Something was given that the format has no place for.
    InvalidOption,
    /// One of the constants in [`limits`](crate::limits) is exceeded.
    Limit,
}

/// Why nothing was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The group it belongs to.
    pub kind: ErrorKind,
    /// One sentence for a person: what, at which file offset or address, and the value found there.
    pub message: String,
}

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
