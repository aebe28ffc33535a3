//! What of the host a program was given.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::grant::Grant;
use super::place::HostPlace;
use crate::errno::Errno;
use crate::status::Kind;

/// A directory of the host with all in it, or one regular file of it.
///
/// The inode is held: if the host puts another file in its place, the program has the first one.
/// A clone is the same root. Two that were opened are two, also of the same directory: nothing is
/// renamed or linked from one to the other.
#[derive(Clone, Debug)]
pub struct HostRoot {
    path: PathBuf,
    place: HostPlace,
}

impl PartialEq for HostRoot {
    fn eq(&self, other: &Self) -> bool {
        self.place.grant() == other.place.grant()
    }
}

impl Eq for HostRoot {}

impl HostRoot {
    /// Holds what is at `path`; links in it are followed, as the user gave it. With `read_only` no
    /// call changes what is there, whatever the host would allow.
    ///
    /// # Errors
    /// It cannot be reached, is neither a directory nor a regular file, or is in a file system
    /// that programs never see: proc, sysfs, devtmpfs and their like.
    pub fn open(path: &Path, read_only: bool) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let found = openat(CWD, path, flags, Mode::empty())?;
        let grant = Grant::new(read_only);
        let place = HostPlace::checked(found, grant)
            .map_err(|error| io::Error::from_raw_os_error(error.0))?;
        if place.kind() == Kind::Link {
            return Err(io::Error::from_raw_os_error(Errno::EACCES.0));
        }
        Ok(Self {
            path: path.to_owned(),
            place,
        })
    }

    /// The path that it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Nothing in it can be changed.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.place.grant().is_read_only()
    }

    /// The same directory or file, of which nothing can be changed: another root.
    #[must_use]
    pub fn to_read_only(&self) -> Self {
        Self {
            path: self.path.clone(),
            place: self.place.granted(Grant::new(true)),
        }
    }

    /// Where walking begins.
    #[must_use]
    pub fn place(&self) -> HostPlace {
        self.place.clone()
    }
}
