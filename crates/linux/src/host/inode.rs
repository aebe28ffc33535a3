//! What the host tells of an inode, and the way from a held one to an open one.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, openat};
use rustix::io::Errno as HostErrno;

use super::error::host_error;
use crate::errno::Errno;
use crate::status::{Kind, SetTime, Status};

/// Bits of a mode that a program sets: no set-user-ID, which would reach out of it.
pub const PERMISSIONS: u32 = 0o777;

/// The path that leads to exactly the inode of a descriptor, whatever its names are.
pub fn descriptor_path(descriptor: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd())
}

/// Opens a held inode. `is_quiet` leaves its time of access, where the host lets this process.
pub fn reopen(held: &OwnedFd, flags: OFlags, is_quiet: bool) -> Result<OwnedFd, Errno> {
    let path = descriptor_path(held);
    let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    if is_quiet {
        match openat(CWD, &path, flags | OFlags::NOATIME, Mode::empty()) {
            Err(HostErrno::PERM) => {}
            other => return other.map_err(host_error),
        }
    }
    openat(CWD, &path, flags, Mode::empty()).map_err(host_error)
}

/// # Errors
/// `EACCES` for a type that there is no name for.
pub fn kind(status: &Stat) -> Result<Kind, Errno> {
    Kind::of_mode(status.st_mode).ok_or(Errno::EACCES)
}

fn time(seconds: i64, nanoseconds: u64) -> (i64, u32) {
    (seconds, u32::try_from(nanoseconds).unwrap_or(0))
}

/// # Errors
/// As [`kind`].
pub fn status(found: &Stat) -> Result<Status, Errno> {
    Ok(Status {
        kind: kind(found)?,
        device: found.st_dev,
        inode: found.st_ino,
        mode: found.st_mode & 0o7777,
        links: found.st_nlink,
        size: u64::try_from(found.st_size).unwrap_or(0),
        blocks: u64::try_from(found.st_blocks).unwrap_or(0),
        accessed: time(found.st_atime, found.st_atime_nsec),
        modified: time(found.st_mtime, found.st_mtime_nsec),
        changed: time(found.st_ctime, found.st_ctime_nsec),
    })
}

/// # Errors
/// `EINVAL` for nanoseconds that are a second or more: some of them mean something else.
pub fn timestamps(accessed: SetTime, modified: SetTime) -> Result<Timestamps, Errno> {
    let one = |time| {
        let (tv_sec, tv_nsec) = match time {
            SetTime::Keep => (0, UTIME_OMIT),
            SetTime::Now => (0, UTIME_NOW),
            SetTime::At(seconds, nanoseconds) if nanoseconds < 1_000_000_000 => {
                (seconds, nanoseconds.into())
            }
            SetTime::At(..) => return Err(Errno::EINVAL),
        };
        Ok(Timespec { tv_sec, tv_nsec })
    };
    Ok(Timestamps {
        last_access: one(accessed)?,
        last_modification: one(modified)?,
    })
}
