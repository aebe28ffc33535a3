//! What `stat` tells of a file, wherever it is.

use linux_raw_sys::general::{
    DT_BLK, DT_CHR, DT_DIR, DT_FIFO, DT_LNK, DT_REG, DT_SOCK, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO,
    S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK,
};

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A character device. One of the host is never opened.
    Device,
    /// A block device, which is only ever listed.
    Block,
    /// A pipe. One of the host, a FIFO, is never opened.
    Pipe,
    /// A socket, which is only ever listed.
    Socket,
}

impl Kind {
    /// What `st_mode` says (`S_IFMT`); nothing for a value that means nothing.
    #[must_use]
    pub fn of_mode(mode: u32) -> Option<Self> {
        Some(match mode & S_IFMT {
            S_IFDIR => Self::Directory,
            S_IFREG => Self::File,
            S_IFLNK => Self::Link,
            S_IFCHR => Self::Device,
            S_IFBLK => Self::Block,
            S_IFIFO => Self::Pipe,
            S_IFSOCK => Self::Socket,
            _ => return None,
        })
    }

    /// Its bits in `st_mode`.
    #[must_use]
    pub fn mode(self) -> u32 {
        match self {
            Self::Directory => S_IFDIR,
            Self::File => S_IFREG,
            Self::Link => S_IFLNK,
            Self::Device => S_IFCHR,
            Self::Block => S_IFBLK,
            Self::Pipe => S_IFIFO,
            Self::Socket => S_IFSOCK,
        }
    }

    /// Its number in a directory's entry (`d_type`).
    #[must_use]
    pub fn entry(self) -> u8 {
        let number = match self {
            Self::Directory => DT_DIR,
            Self::File => DT_REG,
            Self::Link => DT_LNK,
            Self::Device => DT_CHR,
            Self::Block => DT_BLK,
            Self::Pipe => DT_FIFO,
            Self::Socket => DT_SOCK,
        };
        u8::try_from(number).unwrap_or(0)
    }
}

/// What `stat` tells, but for owners: everything is the program's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its type.
    pub kind: Kind,
    /// The file system that it is on (`st_dev`).
    pub device: u64,
    /// Its number there (`st_ino`).
    pub inode: u64,
    /// Permission bits, 0 to 0o7777, without the type.
    pub mode: u32,
    /// How many names it has.
    pub links: u64,
    /// Bytes.
    pub size: u64,
    /// Room that it takes, in units of 512 bytes.
    pub blocks: u64,
    /// Seconds since 1970, and nanoseconds: when it was last read.
    pub accessed: (i64, u32),
    /// When its contents last changed.
    pub modified: (i64, u32),
    /// When this status last changed.
    pub changed: (i64, u32),
}

/// A time of a file that is set (`utimensat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// It stays (`UTIME_OMIT`).
    Keep,
    /// The host's time (`UTIME_NOW`).
    Now,
    /// Seconds since 1970, and nanoseconds below 10⁹.
    At(i64, u32),
}
