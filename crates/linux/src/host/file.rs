//! An open file of the host.

use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};

use rustix::fs::{Mode, OFlags, fchmod, fcntl_getfl, fstat, fsync, ftruncate, futimens};
use rustix::io::{ReadWriteFlags, pread, pwrite, pwritev2, retry_on_intr, write};

use super::error::host_error;
use super::grant::Grant;
use super::inode::{PERMISSIONS, kind, reopen, status, timestamps};
use crate::errno::Errno;
use crate::status::{Kind, SetTime, Status};

/// A regular file, open for what it was opened for. It has no position and no path: it goes on
/// after its last name is gone. A clone is the same open file.
#[derive(Clone, Debug)]
pub struct HostFile {
    file: Arc<OwnedFd>,
    /// The same inode, opened to append when that is first done.
    end: Arc<OnceLock<Option<OwnedFd>>>,
    grant: Grant,
}

impl PartialEq for HostFile {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.file, &other.file)
    }
}

impl Eq for HostFile {}

impl HostFile {
    /// # Errors
    /// `EACCES` if it is no regular file after all.
    pub(super) fn new(file: OwnedFd, grant: Grant) -> Result<Self, Errno> {
        let found = fstat(&file).map_err(host_error)?;
        if kind(&found)? != Kind::File {
            return Err(Errno::EACCES);
        }
        Ok(Self {
            file: Arc::new(file),
            end: Arc::default(),
            grant,
        })
    }

    /// What `stat` tells.
    ///
    /// # Errors
    /// `EIO` and the like.
    pub fn status(&self) -> Result<Status, Errno> {
        status(&fstat(&self.file).map_err(host_error)?)
    }

    /// Copies from `offset` on; returns how many bytes there were, 0 at the end.
    ///
    /// # Errors
    /// `EBADF` if it is not open for reading, `EINVAL` for an offset above 2⁶³.
    pub fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
        retry_on_intr(|| pread(&self.file, &mut *bytes, offset)).map_err(host_error)
    }

    /// Copies to `offset` and on; returns how many bytes.
    ///
    /// # Errors
    /// `EBADF` if it is not open for writing, `EINVAL`, `EFBIG`, `ENOSPC`.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        self.grant.change()?;
        retry_on_intr(|| pwrite(&self.file, bytes, offset)).map_err(host_error)
    }

    /// Copies to the end, wherever that is by then; returns how many bytes, and the file's size.
    ///
    /// # Errors
    /// As [`write_at`](Self::write_at).
    pub fn append(&self, bytes: &[u8]) -> Result<(usize, u64), Errno> {
        self.grant.change()?;
        let access = fcntl_getfl(&self.file).map_err(host_error)?;
        if access & OFlags::ACCMODE == OFlags::RDONLY {
            return Err(Errno::EBADF);
        }
        // Not by a flag of the call alone: 9p looks for the end when a file is opened.
        let flags = OFlags::WRONLY | OFlags::APPEND;
        let end = self
            .end
            .get_or_init(|| reopen(&self.file, flags, false).ok());
        let count = match end {
            Some(end) => retry_on_intr(|| write(end, bytes)),
            // A file that this process could not open again.
            None => {
                let all = [IoSlice::new(bytes)];
                retry_on_intr(|| pwritev2(&self.file, &all, 0, ReadWriteFlags::APPEND))
            }
        };
        let count = count.map_err(host_error)?;
        Ok((count, self.status()?.size))
    }

    /// Makes it so large.
    ///
    /// # Errors
    /// `EROFS`, `EINVAL` if it is not open for writing, `EFBIG`.
    pub fn truncate(&self, size: u64) -> Result<(), Errno> {
        self.grant.change()?;
        if i64::try_from(size).is_err() {
            return Err(Errno::EINVAL);
        }
        retry_on_intr(|| ftruncate(&self.file, size)).map_err(host_error)
    }

    /// Waits until the host has stored it.
    ///
    /// # Errors
    /// `EIO`, `ENOSPC`.
    pub fn sync(&self) -> Result<(), Errno> {
        retry_on_intr(|| fsync(&self.file)).map_err(host_error)
    }

    /// Sets its permissions, of which bits above 0o777 are left out.
    ///
    /// # Errors
    /// `EROFS`, `EPERM` if it is not the host process's own.
    pub fn set_mode(&self, mode: u32) -> Result<(), Errno> {
        self.grant.change()?;
        let mode = Mode::from_raw_mode(mode & PERMISSIONS);
        fchmod(&self.file, mode).map_err(host_error)
    }

    /// Sets its times.
    ///
    /// # Errors
    /// As [`set_mode`](Self::set_mode); `EINVAL`.
    pub fn set_times(&self, accessed: SetTime, modified: SetTime) -> Result<(), Errno> {
        self.grant.change()?;
        futimens(&self.file, &timestamps(accessed, modified)?).map_err(host_error)
    }
}
