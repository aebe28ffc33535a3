//! A program that wants out of the directories it was given, by every call that takes a path.
//! Outside of them is a canary, which is never read, listed or changed.

mod calls;
mod fuzz;
mod mounts;
mod read_only;
mod spellings;

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;

use linux::limits::PAGE;
use linux::{Answer, HostRoot, Mount, Setup, Source};
use linux_raw_sys::general::*;

use crate::bed::Bed;
use crate::scratch::{SECRET, Scratch};

/// The current directory, as a descriptor says it.
pub const HERE: u64 = AT_FDCWD.cast_unsigned() as u64;

/// A program whose root is the scratch directory's.
pub struct Cell {
    pub bed: Bed,
    pub scratch: Scratch,
    /// Inodes of the canary, and of what it is in.
    outside: BTreeSet<(u64, u64)>,
    /// Pages for paths and for results.
    pub at: u64,
    pub to: u64,
}

pub fn host(path: &str, root: HostRoot, read_only: bool) -> Mount {
    Mount {
        path: path.into(),
        source: Source::Host(root),
        read_only,
    }
}

impl Cell {
    pub fn new(scratch: Scratch) -> Self {
        let root = host("/", scratch.open(false), false);
        Self::with(scratch, vec![root])
    }

    pub fn with(scratch: Scratch, mounts: Vec<Mount>) -> Self {
        let mut bed = Bed::with_tree(Setup {
            mounts,
            program: b"/program".to_vec(),
            ..Setup::default()
        });
        let outside = ["", "secret", "deep", "deep/secret", ".."].map(|path| {
            let status = std::fs::metadata(scratch.outside(path)).unwrap();
            (status.dev(), status.ino())
        });
        Self {
            at: bed.pages(8),
            to: bed.pages(16),
            outside: outside.into(),
            bed,
            scratch,
        }
    }

    /// Puts a path, or two, into the program's memory. Returns where.
    pub fn put(&mut self, path: &[u8]) -> u64 {
        let (at, text) = (self.at, [path, b"\0"].concat());
        self.bed.write(at, &text);
        at
    }

    /// See [`put`](Self::put); at another place.
    pub fn put_other(&mut self, path: &[u8]) -> u64 {
        let (at, text) = (self.at + 4 * PAGE, [path, b"\0"].concat());
        self.bed.write(at, &text);
        at
    }

    /// A value, or a negative errno. None of these calls is the host's to answer.
    pub fn call(&mut self, number: u32, arguments: &[u64]) -> i64 {
        match self.bed.answer(number, arguments) {
            Answer::Value(value) => value.cast_signed(),
            other => panic!("call {number} with {arguments:x?}: {other:?}"),
        }
    }

    pub fn open(&mut self, path: &[u8], flags: u32) -> i64 {
        let at = self.put(path);
        self.call(__NR_open, &[at, flags.into(), 0o600])
    }

    /// All that can be learnt from a descriptor is not of the canary.
    pub fn look_at(&mut self, file: i64, how: &[u8]) {
        let how = String::from_utf8_lossy(how).into_owned();
        let file = file.cast_unsigned();
        self.look_into(file, &how);
        let listed = self.call(__NR_getdents64, &[file, self.to, 16 * PAGE]);
        if listed > 0 {
            let bytes = self.bed.read(self.to, listed as usize);
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let inode = u64::from_le_bytes(rest[..8].try_into().unwrap());
                let is_outside = self.outside.iter().any(|(_, outside)| inode == *outside);
                assert!(!is_outside, "{how} lists {inode}");
                rest = &rest[usize::from(u16::from_le_bytes([rest[16], rest[17]]))..];
            }
        }
        // What has the canary's directory has its files.
        for name in [b"secret".as_slice(), b"../secret", b"deep/secret"] {
            let at = self.put(name);
            let child = self.call(__NR_openat, &[file, at, 0]);
            if child >= 0 {
                self.look_into(child.cast_unsigned(), &how);
                self.call(__NR_close, &[child.cast_unsigned()]);
            }
        }
    }

    fn look_into(&mut self, file: u64, how: &str) {
        let to = self.to;
        let count = self.call(__NR_pread64, &[file, to, 4 * PAGE, 0]);
        if count > 0 {
            let bytes = self.bed.read(to, count as usize);
            let found = bytes.windows(SECRET.len()).any(|part| part == SECRET);
            assert!(!found, "{how}");
        }
        if self.call(__NR_fstat, &[file, to]) == 0 {
            self.check_status(how);
        }
    }

    /// The `stat` at `to` is not of the canary.
    pub fn check_status(&mut self, how: &str) {
        let (device, inode) = (self.bed.word(self.to), self.bed.word(self.to + 8));
        assert!(!self.outside.contains(&(device, inode)), "{how}");
    }

    /// Closes all but the standard streams.
    pub fn close(&mut self) {
        self.call(__NR_close_range, &[3, u32::MAX.into(), 0]);
    }
}
