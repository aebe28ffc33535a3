//! What stands somewhere on the host, and what can be done there.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use linux_raw_sys::general::{O_RDONLY, O_RDWR, O_WRONLY, RENAME_EXCHANGE, RENAME_NOREPLACE};
use rustix::fs::{
    Access, AtFlags, CWD, Mode, OFlags, RenameFlags, ResolveFlags, accessat, chmodat, fstat,
    fstatfs, linkat, mkdirat, openat, openat2, readlinkat, renameat_with, symlinkat, unlinkat,
    utimensat,
};

use super::error::host_error;
use super::fence;
use super::file::HostFile;
use super::grant::Grant;
use super::inode::{PERMISSIONS, descriptor_path, kind, reopen, status, timestamps};
use super::list::{HostEntry, list};
use super::name::component;
use crate::errno::Errno;
use crate::limits::PATH_BYTES;
use crate::status::{Kind, SetTime, Status};

/// The access that `O_ACCMODE` says.
const ACCESS: u32 = 3;

/// An inode that is held: a directory, a regular file or a symbolic link. A clone is the same one.
#[derive(Clone, Debug)]
pub struct HostPlace {
    inode: Arc<OwnedFd>,
    grant: Grant,
    kind: Kind,
    device: u64,
}

/// How full a file system is (`statfs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Bytes of a block.
    pub block: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks that are free.
    pub free: u64,
    /// Blocks that are free for the host's process.
    pub available: u64,
    /// Inodes in all.
    pub inodes: u64,
    /// Inodes that are free.
    pub free_inodes: u64,
}

impl HostPlace {
    /// # Errors
    /// `EACCES` for what is no directory, file or link, or where no program may be.
    pub(super) fn checked(inode: OwnedFd, grant: Grant) -> Result<Self, Errno> {
        Self::new(inode, grant, None)
    }

    fn new(inode: OwnedFd, grant: Grant, from: Option<u64>) -> Result<Self, Errno> {
        let found = fstat(&inode).map_err(host_error)?;
        let kind = kind(&found)?;
        if !matches!(kind, Kind::Directory | Kind::File | Kind::Link) {
            return Err(Errno::EACCES);
        }
        // A file system is entered where the device changes.
        if from != Some(found.st_dev) {
            fence::check(&inode, &found)?;
        }
        Ok(Self {
            inode: Arc::new(inode),
            grant,
            kind,
            device: found.st_dev,
        })
    }

    /// The same inode, by another permission.
    pub(super) fn granted(&self, grant: Grant) -> Self {
        Self {
            grant,
            ..self.clone()
        }
    }

    pub(super) fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Its type: `Directory`, `File` or `Link`.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Nothing here can be changed.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.grant.is_read_only()
    }

    /// What `stat` tells.
    ///
    /// # Errors
    /// `EIO` and the like.
    pub fn status(&self) -> Result<Status, Errno> {
        status(&fstat(&self.inode).map_err(host_error)?)
    }

    /// If the host's process may do this: `R_OK` 4, `W_OK` 2, `X_OK` 1, any of them together.
    ///
    /// # Errors
    /// `EACCES`; `EROFS` for writing.
    pub fn access(&self, mode: u32) -> Result<(), Errno> {
        let asked = Access::from_bits_truncate(mode & 7);
        if asked.contains(Access::WRITE_OK) {
            self.grant.change()?;
        }
        if self.kind == Kind::Link {
            return Ok(());
        }
        accessat(CWD, descriptor_path(&self.inode), asked, AtFlags::empty()).map_err(host_error)
    }

    /// What a link says. It is for the caller to walk, in the program's name space.
    ///
    /// # Errors
    /// `EINVAL` for what is no link.
    pub fn read_link(&self) -> Result<Vec<u8>, Errno> {
        if self.kind != Kind::Link {
            return Err(Errno::EINVAL);
        }
        let target = readlinkat(&self.inode, "", Vec::new()).map_err(host_error)?;
        Ok(target.into_bytes())
    }

    /// The child of that name; a link is the link itself.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `ENAMETOOLONG`; `EINVAL` for a name that is no child's (`..`);
    /// `EACCES` for what is neither directory, regular file nor link, and for a file system that
    /// programs never see. `ENFILE` if the host has no descriptor left.
    pub fn lookup(&self, name: &[u8]) -> Result<Self, Errno> {
        let name = component(name)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = openat(&self.inode, name, flags, Mode::empty()).map_err(host_error)?;
        Self::new(found, self.grant.clone(), Some(self.device))
    }

    /// The directory that names lead to, one after the other, at once. Nothing, if it is not there
    /// or there is a link or another mount on the way: then each is to be looked up by itself.
    #[must_use]
    pub fn descend(&self, names: &[&[u8]]) -> Option<Self> {
        if names.iter().any(|name| component(name).is_err()) {
            return None;
        }
        let path = names.join(&b'/');
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS
            | ResolveFlags::NO_XDEV;
        let found = openat2(&self.inode, path, flags, Mode::empty(), resolve).ok()?;
        Self::new(found, self.grant.clone(), Some(self.device)).ok()
    }

    /// All entries of a directory, in the host's order, without `.` and `..`.
    ///
    /// # Errors
    /// `ENOTDIR`, `EACCES`; `ENOMEM` for more than `limit`.
    pub fn list(&self, limit: usize) -> Result<Vec<HostEntry>, Errno> {
        if self.kind != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        list(&self.inode, limit, self.is_read_only())
    }

    /// Opens exactly this file. Of `flags` only the access counts: `O_RDONLY`, `O_WRONLY`,
    /// `O_RDWR`; to append, to cut and to create are the caller's.
    ///
    /// # Errors
    /// `EROFS`, `EISDIR`, `ELOOP` for a link; `EACCES` as the host says; `EAGAIN` while another
    /// process has a lease on it.
    pub fn open(&self, flags: u32) -> Result<HostFile, Errno> {
        let access = match flags & ACCESS {
            O_RDONLY => OFlags::RDONLY,
            O_WRONLY => OFlags::WRONLY,
            O_RDWR => OFlags::RDWR,
            _ => return Err(Errno::EINVAL),
        };
        match self.kind {
            Kind::File => {}
            Kind::Directory => return Err(Errno::EISDIR),
            _ => return Err(Errno::ELOOP),
        }
        if access != OFlags::RDONLY {
            self.grant.change()?;
        }
        let file = reopen(&self.inode, access, self.is_read_only())?;
        HostFile::new(file, self.grant.clone())
    }

    /// Makes a regular file here, open for reading and writing. Bits above 0o777 and those of the
    /// host's umask are left out of its mode.
    ///
    /// # Errors
    /// `EEXIST`, also for a link that leads nowhere; `EROFS`; as [`lookup`](Self::lookup).
    pub fn create(&self, name: &[u8], mode: u32) -> Result<HostFile, Errno> {
        let name = self.change(name)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::RDWR;
        let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let mode = Mode::from_raw_mode(mode & PERMISSIONS);
        let file = openat(&self.inode, name, flags, mode).map_err(host_error)?;
        HostFile::new(file, self.grant.clone())
    }

    /// Makes a directory here. As for modes, see [`create`](Self::create).
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn mkdir(&self, name: &[u8], mode: u32) -> Result<(), Errno> {
        let name = self.change(name)?;
        let mode = Mode::from_raw_mode(mode & PERMISSIONS);
        mkdirat(&self.inode, name, mode).map_err(host_error)
    }

    /// Makes a link here that says `target`. What follows it on the host follows it there.
    ///
    /// # Errors
    /// As [`create`](Self::create); `ENOENT` for an empty target, `ENAMETOOLONG`.
    pub fn symlink(&self, target: &[u8], name: &[u8]) -> Result<(), Errno> {
        let name = self.change(name)?;
        if target.len() >= PATH_BYTES {
            return Err(Errno::ENAMETOOLONG);
        }
        symlinkat(target, &self.inode, name).map_err(host_error)
    }

    /// Gives a file or a link another name here.
    ///
    /// # Errors
    /// As [`create`](Self::create); `EPERM` for a directory, `EXDEV` from another root.
    pub fn link(&self, file: &Self, name: &[u8]) -> Result<(), Errno> {
        self.grant.change_with(&file.grant)?;
        let name = component(name)?;
        if file.kind == Kind::Directory {
            return Err(Errno::EPERM);
        }
        let path = descriptor_path(&file.inode);
        let flags = AtFlags::SYMLINK_FOLLOW;
        linkat(CWD, path, &self.inode, name, flags).map_err(host_error)
    }

    /// Takes a name away, of a file or a link.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup); `EROFS`; `EISDIR`.
    pub fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        let name = self.change(name)?;
        self.lookup(name)?;
        unlinkat(&self.inode, name, AtFlags::empty()).map_err(host_error)
    }

    /// Takes an empty directory away.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup); `EROFS`; `ENOTDIR`, `ENOTEMPTY`, `EBUSY`.
    pub fn rmdir(&self, name: &[u8]) -> Result<(), Errno> {
        let name = self.change(name)?;
        self.lookup(name)?;
        unlinkat(&self.inode, name, AtFlags::REMOVEDIR).map_err(host_error)
    }

    /// Moves what is here to a place and name of the same root. `flags` are 0,
    /// `RENAME_NOREPLACE` or `RENAME_EXCHANGE`.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup), at both ends; `EROFS`; `EXDEV` to another root; `EINVAL` for
    /// other flags, and for a directory into itself; `EEXIST`, `ENOTEMPTY`, `EISDIR`, `EBUSY`.
    pub fn rename(&self, name: &[u8], to: &Self, to_name: &[u8], flags: u32) -> Result<(), Errno> {
        self.grant.change_with(&to.grant)?;
        let flags = match flags {
            0 => RenameFlags::empty(),
            RENAME_NOREPLACE => RenameFlags::NOREPLACE,
            RENAME_EXCHANGE => RenameFlags::EXCHANGE,
            _ => return Err(Errno::EINVAL),
        };
        let (name, to_name) = (component(name)?, component(to_name)?);
        self.lookup(name)?;
        match to.lookup(to_name) {
            Ok(_) | Err(Errno::ENOENT) => {}
            Err(error) => return Err(error),
        }
        renameat_with(&self.inode, name, &to.inode, to_name, flags).map_err(host_error)
    }

    /// Makes a file so large.
    ///
    /// # Errors
    /// As [`open`](Self::open) for writing, and [`HostFile::truncate`].
    pub fn truncate(&self, size: u64) -> Result<(), Errno> {
        self.open(O_WRONLY)?.truncate(size)
    }

    /// Sets the permissions, of which bits above 0o777 are left out.
    ///
    /// # Errors
    /// `EROFS`, `EPERM` if it is not the host process's own, `EOPNOTSUPP` for a link.
    pub fn set_mode(&self, mode: u32) -> Result<(), Errno> {
        self.grant.change()?;
        if self.kind == Kind::Link {
            return Err(Errno::EOPNOTSUPP);
        }
        let mode = Mode::from_raw_mode(mode & PERMISSIONS);
        let path = descriptor_path(&self.inode);
        chmodat(CWD, path, mode, AtFlags::empty()).map_err(host_error)
    }

    /// Sets the times; those of a link are its own.
    ///
    /// # Errors
    /// `EROFS`, `EPERM`, `EINVAL`.
    pub fn set_times(&self, accessed: SetTime, modified: SetTime) -> Result<(), Errno> {
        self.grant.change()?;
        let times = timestamps(accessed, modified)?;
        utimensat(&self.inode, "", &times, AtFlags::EMPTY_PATH).map_err(host_error)
    }

    /// How full the file system is that it is on.
    ///
    /// # Errors
    /// `EIO` and the like.
    pub fn space(&self) -> Result<Capacity, Errno> {
        let found = fstatfs(&self.inode).map_err(host_error)?;
        Ok(Capacity {
            block: u64::try_from(found.f_bsize).unwrap_or(0),
            blocks: found.f_blocks,
            free: found.f_bfree,
            available: found.f_bavail,
            inodes: found.f_files,
            free_inodes: found.f_ffree,
        })
    }

    fn change<'a>(&self, name: &'a [u8]) -> Result<&'a [u8], Errno> {
        self.grant.change()?;
        component(name)
    }
}
