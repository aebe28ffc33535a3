//! What system calls of a program make of a step.

use super::{FILES, Outcome, PREFIX, Step, told};
use crate::bed::Bed;
use linux::Setup;
use linux_raw_sys::general::*;

/// A program that makes the same changes by system calls.
pub struct Subject {
    bed: Bed,
    at: u64,
    files: [Option<u64>; FILES],
}

pub const PATH: u64 = 0;
const OTHER: u64 = 0x1000;
const DATA: u64 = 0x2000;
const HERE: u64 = AT_FDCWD.cast_unsigned() as u64;

impl Subject {
    pub fn new(mounts: Vec<linux::Mount>) -> Self {
        let mut bed = Bed::with_tree(Setup {
            mounts,
            ..Setup::default()
        });
        let at = bed.pages(8);
        Self {
            bed,
            at,
            files: [None; FILES],
        }
    }

    pub fn put(&mut self, at: u64, path: &str) -> u64 {
        let text = format!("{PREFIX}/{path}\0");
        self.bed.write(self.at + at, text.as_bytes());
        self.at + at
    }

    pub fn call(&mut self, number: u32, arguments: &[u64]) -> Result<u64, i32> {
        let value = self.bed.value(number, arguments);
        u64::try_from(value).map_err(|_| -value as i32)
    }

    fn told(&mut self) -> Vec<u8> {
        let at = self.at + DATA;
        let mode = self.bed.word(at + 24) as u32;
        let (links, size) = (self.bed.word(at + 16), self.bed.word(at + 48));
        told(mode, links, size)
    }

    fn names(&mut self, directory: u64) -> Vec<u8> {
        let at = self.at + DATA;
        let mut names = Vec::new();
        loop {
            let count = self.call(__NR_getdents64, &[directory, at, 100]).unwrap();
            if count == 0 {
                break;
            }
            let bytes = self.bed.read(at, count as usize);
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let length = usize::from(u16::from_le_bytes([rest[16], rest[17]]));
                let name = rest[19..length].split(|byte| *byte == 0).next().unwrap();
                names.push(String::from_utf8(name.to_vec()).unwrap());
                rest = &rest[length..];
            }
        }
        names.sort();
        names.join(" ").into_bytes()
    }

    pub fn run(&mut self, step: &Step) -> Outcome {
        let data = self.at + DATA;
        let plain = |value: Result<u64, i32>| value.map(|value| (value, Vec::new()));
        match step {
            Step::Mkdir(path) => {
                let at = self.put(PATH, path);
                plain(self.call(__NR_mkdir, &[at, 0o700]))
            }
            Step::Rmdir(path) => {
                let at = self.put(PATH, path);
                plain(self.call(__NR_rmdir, &[at]))
            }
            Step::Unlink(path) => {
                let at = self.put(PATH, path);
                plain(self.call(__NR_unlink, &[at]))
            }
            Step::Rename(from, to, flags) => {
                let (from, to) = (self.put(PATH, from), self.put(OTHER, to));
                plain(self.call(__NR_renameat2, &[HERE, from, HERE, to, u64::from(*flags)]))
            }
            Step::Link(from, to, follows) => {
                let (from, to) = (self.put(PATH, from), self.put(OTHER, to));
                let flags = if *follows { AT_SYMLINK_FOLLOW } else { 0 };
                plain(self.call(__NR_linkat, &[HERE, from, HERE, to, flags.into()]))
            }
            Step::Symlink(target, path) => {
                let path = self.put(PATH, path);
                self.bed.write(data, format!("{target}\0").as_bytes());
                plain(self.call(__NR_symlink, &[data, path]))
            }
            Step::Stat(path, stays) => {
                let at = self.put(PATH, path);
                let number = if *stays { __NR_lstat } else { __NR_stat };
                self.call(number, &[at, data])?;
                Ok((0, self.told()))
            }
            Step::Readlink(path) => {
                let at = self.put(PATH, path);
                let count = self.call(__NR_readlink, &[at, data, 4096])?;
                Ok((count, self.bed.read(data, count as usize)))
            }
            Step::Access(path, mode) => {
                let at = self.put(PATH, path);
                plain(self.call(__NR_access, &[at, u64::from(*mode)]))
            }
            Step::List(path) => {
                let at = self.put(PATH, path);
                let directory = self.call(__NR_open, &[at, O_DIRECTORY.into()])?;
                let names = self.names(directory);
                self.call(__NR_close, &[directory]).unwrap();
                Ok((0, names))
            }
            Step::Open(path, flags) => {
                let at = self.put(PATH, path);
                let opened = self.call(__NR_open, &[at, u64::from(*flags), 0o700])?;
                self.call(__NR_fstat, &[opened, data]).unwrap();
                let is_file = self.bed.word(data + 24) as u32 & S_IFMT == S_IFREG;
                let slot = self.files.iter().position(Option::is_none);
                match slot {
                    Some(slot) if is_file => self.files[slot] = Some(opened),
                    _ => self.call(__NR_close, &[opened]).map(|_| ()).unwrap(),
                }
                Ok((0, Vec::new()))
            }
            other => self.on_file(other),
        }
    }

    /// What is done with what is open.
    fn on_file(&mut self, step: &Step) -> Outcome {
        let plain = |value: Result<u64, i32>| value.map(|value| (value, Vec::new()));
        let data = self.at + DATA;
        match step {
            Step::Close(slot) => {
                if let Some(file) = self.files[*slot].take() {
                    self.call(__NR_close, &[file]).unwrap();
                }
                Ok((0, Vec::new()))
            }
            Step::Write(slot, offset, count) => match self.files[*slot] {
                Some(file) => {
                    self.bed.write(data, &vec![7; *count]);
                    plain(self.call(__NR_pwrite64, &[file, data, *count as u64, *offset]))
                }
                None => Ok((0, Vec::new())),
            },
            Step::Read(slot, offset, count) => match self.files[*slot] {
                Some(file) => {
                    let count = self.call(__NR_pread64, &[file, data, *count as u64, *offset])?;
                    Ok((count, self.bed.read(data, count as usize)))
                }
                None => Ok((0, Vec::new())),
            },
            Step::Resize(slot, size) => match self.files[*slot] {
                Some(file) => plain(self.call(__NR_ftruncate, &[file, *size])),
                None => Ok((0, Vec::new())),
            },
            Step::Fstat(slot) => match self.files[*slot] {
                Some(file) => {
                    self.call(__NR_fstat, &[file, data])?;
                    Ok((0, self.told()))
                }
                None => Ok((0, Vec::new())),
            },
            _ => Ok((0, Vec::new())),
        }
    }
}
