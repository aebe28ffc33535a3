//! Reading an image that may be anything: every access is bounded, and every error names what and
//! where.

use std::fmt::Display;

use super::request::Format;
use crate::error::{Error, ErrorKind, Result};

#[cfg(test)]
thread_local! {
    /// Bytes of fields that this thread has read.
    pub(super) static READ: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// An image's bytes, little-endian.
#[derive(Clone, Copy, Debug)]
pub(super) struct Image<'a> {
    pub format: Format,
    pub bytes: &'a [u8],
}

impl<'a> Image<'a> {
    /// `length` bytes at a file offset.
    pub fn slice(&self, field: &str, offset: u64, length: u64) -> Result<&'a [u8]> {
        self.try_slice(offset, length).ok_or_else(|| {
            let (name, bytes) = (self.format.name(), self.bytes.len());
            Error::new(
                ErrorKind::Payload,
                format!(
                    "payload: {name} image ends too early: {field} needs {length} bytes at offset {offset:#x}, the image has {bytes}"
                ),
            )
        })
    }

    fn try_slice(&self, offset: u64, length: u64) -> Option<&'a [u8]> {
        // Nothing is wanted, wherever: linkers give segments without bytes any offset.
        if length == 0 {
            return Some(&[]);
        }
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(length).ok()?)?;
        self.bytes.get(start..end)
    }

    pub fn u8(&self, field: &str, offset: u64) -> Result<u8> {
        self.array(field, offset).map(|[byte]| byte)
    }

    pub fn u16(&self, field: &str, offset: u64) -> Result<u16> {
        self.array(field, offset).map(u16::from_le_bytes)
    }

    pub fn u32(&self, field: &str, offset: u64) -> Result<u32> {
        self.array(field, offset).map(u32::from_le_bytes)
    }

    pub fn u64(&self, field: &str, offset: u64) -> Result<u64> {
        self.array(field, offset).map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&self, field: &str, offset: u64) -> Result<[u8; N]> {
        #[cfg(test)]
        READ.set(READ.get() + N as u64);
        let mut array = [0; N];
        array.copy_from_slice(self.slice(field, offset, N as u64)?);
        Ok(array)
    }

    /// A field that cannot be right: its name, its file offset, what it must be, what it is.
    pub fn broken(&self, field: &str, offset: u64, must: impl Display, got: impl Display) -> Error {
        self.unfit(format!(
            "{field} at offset {offset:#x} must be {must}, got {got}"
        ))
    }

    /// An error about the image as a whole.
    pub fn unfit(&self, complaint: impl Display) -> Error {
        let name = self.format.name();
        Error::new(
            ErrorKind::Payload,
            format!("payload: {name} image: {complaint}"),
        )
    }
}
