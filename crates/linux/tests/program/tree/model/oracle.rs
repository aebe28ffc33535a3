//! What Linux itself makes of a step.

use std::path::PathBuf;

use super::{FILES, Outcome, Step, told};
use linux_raw_sys::general::{S_IFMT, S_IFREG};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};

/// Linux itself.
pub struct Oracle {
    pub base: PathBuf,
    pub files: [Option<std::os::fd::OwnedFd>; FILES],
}

fn outcome<T>(result: rustix::io::Result<T>, told: impl FnOnce(T) -> (u64, Vec<u8>)) -> Outcome {
    result.map(told).map_err(|error| error.raw_os_error())
}

fn of_stat(found: rustix::fs::Stat) -> (u64, Vec<u8>) {
    (0, told(found.st_mode, found.st_nlink, found.st_size as u64))
}

impl Oracle {
    fn path(&self, path: &str) -> PathBuf {
        // Joining would leave slashes at the end out.
        PathBuf::from(format!("{}/{path}", self.base.display()))
    }

    pub fn run(&mut self, step: &Step) -> Outcome {
        use rustix::fs as host;
        let nothing = |()| (0, Vec::new());
        match step {
            Step::Mkdir(path) => outcome(host::mkdirat(CWD, self.path(path), Mode::RWXU), nothing),
            Step::Rmdir(path) => {
                let flags = AtFlags::REMOVEDIR;
                outcome(host::unlinkat(CWD, self.path(path), flags), nothing)
            }
            Step::Unlink(path) => outcome(
                host::unlinkat(CWD, self.path(path), AtFlags::empty()),
                nothing,
            ),
            Step::Rename(from, to, flags) => {
                let flags = RenameFlags::from_bits_retain(*flags);
                let (from, to) = (self.path(from), self.path(to));
                outcome(host::renameat_with(CWD, from, CWD, to, flags), nothing)
            }
            Step::Link(from, to, follows) => {
                let flags = match follows {
                    true => AtFlags::SYMLINK_FOLLOW,
                    false => AtFlags::empty(),
                };
                let (from, to) = (self.path(from), self.path(to));
                outcome(host::linkat(CWD, from, CWD, to, flags), nothing)
            }
            Step::Symlink(target, path) => {
                outcome(host::symlinkat(target, CWD, self.path(path)), nothing)
            }
            Step::Stat(path, stays) => {
                let flags = match stays {
                    true => AtFlags::SYMLINK_NOFOLLOW,
                    false => AtFlags::empty(),
                };
                outcome(host::statat(CWD, self.path(path), flags), of_stat)
            }
            Step::Readlink(path) => {
                let target = host::readlinkat(CWD, self.path(path), Vec::new());
                outcome(target, |target| {
                    let bytes = target.into_bytes();
                    (bytes.len() as u64, bytes)
                })
            }
            Step::Access(path, mode) => {
                let mode = host::Access::from_bits_retain(*mode);
                let flags = AtFlags::empty();
                outcome(host::accessat(CWD, self.path(path), mode, flags), nothing)
            }
            Step::Open(path, flags) => {
                let flags = OFlags::from_bits_retain(*flags);
                let opened = host::openat(CWD, self.path(path), flags, Mode::RWXU);
                outcome(opened, |opened| {
                    let is_file = host::fstat(&opened).unwrap().st_mode & S_IFMT == S_IFREG;
                    let slot = self.files.iter().position(Option::is_none);
                    if let (true, Some(slot)) = (is_file, slot) {
                        self.files[slot] = Some(opened);
                    }
                    (0, Vec::new())
                })
            }
            other => self.on_file(other),
        }
    }

    /// What is done with what is open, or opened for it.
    fn on_file(&mut self, step: &Step) -> Outcome {
        use rustix::fs as host;
        let nothing = |()| (0, Vec::new());
        match step {
            Step::Close(slot) => {
                self.files[*slot] = None;
                Ok((0, Vec::new()))
            }
            Step::Write(slot, offset, count) => match &self.files[*slot] {
                Some(file) => outcome(
                    rustix::io::pwrite(file, &vec![7; *count], *offset),
                    |count| (count as u64, Vec::new()),
                ),
                None => Ok((0, Vec::new())),
            },
            Step::Read(slot, offset, count) => match &self.files[*slot] {
                Some(file) => {
                    let mut bytes = vec![0; *count];
                    let read = rustix::io::pread(file, &mut *bytes, *offset);
                    outcome(read, |count| (count as u64, bytes[..count].to_vec()))
                }
                None => Ok((0, Vec::new())),
            },
            Step::Resize(slot, size) => match &self.files[*slot] {
                Some(file) => outcome(host::ftruncate(file, *size), nothing),
                None => Ok((0, Vec::new())),
            },
            Step::Fstat(slot) => match &self.files[*slot] {
                Some(file) => outcome(host::fstat(file), of_stat),
                None => Ok((0, Vec::new())),
            },
            Step::List(path) => {
                let flags = OFlags::DIRECTORY;
                let opened = host::openat(CWD, self.path(path), flags, Mode::empty());
                let listed = opened.map(|opened| {
                    let directory = host::Dir::new(opened).unwrap();
                    let names = directory.map(|entry| {
                        let entry = entry.unwrap();
                        entry.file_name().to_string_lossy().into_owned()
                    });
                    let mut names: Vec<String> = names.collect();
                    names.sort();
                    names.join(" ").into_bytes()
                });
                outcome(listed, |names| (0, names))
            }
            _ => Ok((0, Vec::new())),
        }
    }
}
