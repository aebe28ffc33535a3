//! What is in a directory of the host.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, OFlags, RawDir, statat};

use super::error::host_error;
use super::inode::{kind, reopen};
use crate::errno::Errno;
use crate::status::Kind;

/// An entry, also of what a program cannot open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostEntry {
    /// Its name, without a slash or a zero; never `.` and `..`.
    pub name: Vec<u8>,
    /// Its number in the directory's file system.
    pub inode: u64,
    /// Its type, as it was then.
    pub kind: Kind,
}

/// Bytes that one `getdents64` fills.
const BUFFER_BYTES: usize = 32 << 10;

fn kind_of(directory: &OwnedFd, name: &std::ffi::CStr, kind_told: FileType) -> Option<Kind> {
    let known = match kind_told {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Link,
        FileType::Fifo => Kind::Pipe,
        FileType::Socket => Kind::Socket,
        FileType::CharacterDevice => Kind::Device,
        FileType::BlockDevice => Kind::Block,
        // Some file systems do not tell. An entry that has gone meanwhile is left out.
        FileType::Unknown => {
            let status = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
            return kind(&status).ok();
        }
    };
    Some(known)
}

/// All entries of a held directory, in the host's order.
///
/// # Errors
/// `ENOMEM` for more than `limit`; as `open` and `getdents`.
pub fn list(held: &OwnedFd, limit: usize, is_quiet: bool) -> Result<Vec<HostEntry>, Errno> {
    let directory = reopen(held, OFlags::RDONLY | OFlags::DIRECTORY, is_quiet)?;
    let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
    let mut raw = RawDir::new(&directory, &mut buffer);
    let mut entries = Vec::new();
    while let Some(entry) = raw.next() {
        let entry = entry.map_err(host_error)?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if entries.len() == limit {
            return Err(Errno::ENOMEM);
        }
        if let Some(kind) = kind_of(&directory, name, entry.file_type()) {
            entries.push(HostEntry {
                name: name.to_bytes().to_vec(),
                inode: entry.ino(),
                kind,
            });
        }
    }
    Ok(entries)
}
