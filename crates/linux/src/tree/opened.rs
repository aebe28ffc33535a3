//! What has been opened by its path.

use std::sync::Arc;

use super::ground::Ground;
use super::nodes::Time;
use super::own::Device;
use super::place::Entry;
use crate::errno::Errno;
use crate::host::HostFile;
use crate::status::Status;

/// What there is to read and to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A regular file in memory, by its node and its mount.
    Node(u32, u32),
    /// A regular file of the host.
    Host(HostFile),
    /// A directory, with what was in it when its listing began.
    Directory(Option<Arc<[Entry]>>),
    /// A device of the engine's own.
    Device(Device, Status),
    /// What a file of the engine's own said when it was opened.
    Text(Arc<[u8]>, Status),
    /// Nothing: it only stands for its path (`O_PATH`).
    Path,
}

/// Something that has been opened by its path.
///
/// A directory is its path: what is relative to it is walked to from the root again, so that a
/// directory that was moved is no longer found. A file is its node, whatever becomes of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Canonical, as it was then.
    pub path: Vec<u8>,
    pub content: Content,
}

impl Content {
    /// Copies from `offset` on; chance is not among it.
    pub fn read(&self, ground: &Ground, offset: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::Node(id, _) => Ok(ground.nodes.file(*id)?.read(offset, bytes)),
            Self::Host(file) => file.read_at(offset, bytes),
            Self::Directory(_) => Err(Errno::EISDIR),
            Self::Device(Device::Null, _) => Ok(0),
            Self::Device(..) => {
                bytes.fill(0);
                Ok(bytes.len())
            }
            Self::Text(text, _) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let text = text.get(start..).unwrap_or_default();
                let count = text.len().min(bytes.len());
                for (to, from) in bytes.iter_mut().zip(text) {
                    *to = *from;
                }
                Ok(count)
            }
            Self::Path => Err(Errno::EBADF),
        }
    }

    /// Copies to `offset` and on, or to the end if there is none; how many bytes, and where they
    /// end.
    pub fn write(
        &self,
        ground: &mut Ground,
        offset: Option<u64>,
        bytes: &[u8],
        now: Time,
    ) -> Result<(usize, u64), Errno> {
        let end = |offset: u64, count: usize| (count, offset.saturating_add(count as u64));
        match self {
            Self::Node(id, _) => {
                let size = ground.nodes.file(*id)?.size();
                let offset = offset.unwrap_or(size);
                let count = ground.nodes.write(*id, offset, bytes, now)?;
                Ok(end(offset, count))
            }
            Self::Host(file) => match offset {
                Some(offset) => Ok(end(offset, file.write_at(offset, bytes)?)),
                None => file.append(bytes),
            },
            Self::Directory(_) | Self::Path | Self::Text(..) => Err(Errno::EBADF),
            Self::Device(Device::Full, _) => Err(Errno::ENOSPC),
            Self::Device(..) => Ok(end(0, bytes.len())),
        }
    }

    /// Makes a file so large.
    ///
    /// # Errors
    /// `EINVAL` for what has no size; as `ftruncate`.
    pub fn resize(&self, ground: &mut Ground, size: u64, now: Time) -> Result<(), Errno> {
        match self {
            Self::Node(id, _) => ground.nodes.resize(*id, size, now),
            Self::Host(file) => file.truncate(size),
            Self::Path => Err(Errno::EBADF),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Whether it is a regular file.
    pub const fn is_regular(&self) -> bool {
        matches!(self, Self::Node(..) | Self::Host(_) | Self::Text(..))
    }

    /// The size of what has one.
    pub fn size(&self, ground: &Ground) -> Result<Option<u64>, Errno> {
        match self {
            Self::Node(id, _) => Ok(Some(ground.nodes.file(*id)?.size())),
            Self::Host(file) => Ok(Some(file.status()?.size)),
            Self::Text(text, _) => Ok(Some(text.len() as u64)),
            Self::Directory(_) | Self::Device(..) | Self::Path => Ok(None),
        }
    }

    /// What `fstat` tells; `None` of what has to be found again.
    pub fn status(&self, ground: &Ground) -> Option<Result<Status, Errno>> {
        match self {
            Self::Node(id, mount) => Some(ground.status_of(*id, *mount)),
            Self::Host(file) => Some(file.status()),
            Self::Device(_, status) => Some(Ok(*status)),
            Self::Text(_, status) => Some(Ok(*status)),
            Self::Directory(_) | Self::Path => None,
        }
    }

    /// Bytes that are held of what was read at once: a listing, a text.
    pub fn held_bytes(&self) -> usize {
        match self {
            Self::Directory(Some(entries)) => entries.iter().map(Entry::bytes).sum(),
            Self::Text(text, _) => text.len(),
            _ => 0,
        }
    }
}
