//! Random changes in memory and on the host come to what Linux itself makes of them: the same
//! values, errnos and files. `VMEXIT_SOAK=1` tries more.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use super::{Folder, file, mount};
use crate::bed::Bed;
use linux::{Setup, Source};
use linux_raw_sys::general::*;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};

struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    /// A path with few names, so that they meet, and at most three steps back.
    fn path(&mut self) -> String {
        let count = 1 + self.below(4);
        let mut names: Vec<&str> = (0..count)
            .map(|_| match self.below(12) {
                0 => "..",
                1 => ".",
                2 => "",
                _ => self.one_of(&["a", "b", "c", "d"]),
            })
            .collect();
        if names[0].is_empty() {
            names[0] = "a";
        }
        while names.iter().filter(|name| **name == "..").count() > 3 {
            names.pop();
        }
        if self.below(8) == 0 {
            names.push("");
        }
        names.join("/")
    }

    /// What a link says: never a step back, so that nothing leaves the test's directories.
    fn target(&mut self) -> String {
        let names = ["a", "b", "c", "d", "a/b", "b/a", "./c", "d/", "c/d/a"];
        self.one_of(&names).to_owned()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Mkdir(String),
    Rmdir(String),
    Unlink(String),
    Rename(String, String, u32),
    Link(String, String, bool),
    Symlink(String, String),
    Stat(String, bool),
    Readlink(String),
    Access(String, u32),
    List(String),
    Open(String, u32),
    Close(usize),
    Write(usize, u64, usize),
    Read(usize, u64, usize),
    Resize(usize, u64),
    Fstat(usize),
}

const FILES: usize = 4;
const PREFIX: &str = "/r1/r2/r3/base";

fn step(chance: &mut Chance) -> Step {
    let slot = chance.below(FILES as u64) as usize;
    let (offset, count) = (chance.below(3) * 3000, chance.below(6000) as usize);
    match chance.below(28) {
        0..=3 => Step::Mkdir(chance.path()),
        4 => Step::Rmdir(chance.path()),
        5 | 6 => Step::Unlink(chance.path()),
        7..=9 => {
            let flags = chance.one_of(&[0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE]);
            Step::Rename(chance.path(), chance.path(), flags)
        }
        10 | 11 => Step::Link(chance.path(), chance.path(), chance.below(3) == 0),
        12 | 13 => Step::Symlink(chance.target(), chance.path()),
        14 | 15 => Step::Stat(chance.path(), chance.below(2) == 0),
        16 => Step::Readlink(chance.path()),
        17 => Step::Access(chance.path(), chance.one_of(&[0, 4, 6])),
        18 | 19 => Step::List(chance.path()),
        20..=23 => {
            let mut flags = chance.one_of(&[O_RDONLY, O_RDWR, O_RDWR, O_RDWR, O_WRONLY]);
            for (flag, often) in [
                (O_CREAT, 2),
                (O_EXCL, 5),
                (O_TRUNC, 5),
                (O_NOFOLLOW, 4),
                (O_DIRECTORY, 9),
                (O_APPEND, 6),
            ] {
                if chance.below(often) == 0 {
                    flags |= flag;
                }
            }
            // Undefined without the other one.
            if flags & O_CREAT == 0 {
                flags &= !O_EXCL;
            }
            Step::Open(chance.path(), flags)
        }
        24 => match chance.below(3) {
            0 => Step::Close(slot),
            1 => Step::Fstat(slot),
            _ => Step::Resize(slot, chance.below(9000)),
        },
        25 | 26 => Step::Write(slot, offset, count),
        _ => Step::Read(slot, offset, count),
    }
}

/// What a step comes to: a value with bytes, or an errno.
type Outcome = Result<(u64, Vec<u8>), i32>;

/// Linux itself.
struct Oracle {
    base: PathBuf,
    files: [Option<std::os::fd::OwnedFd>; FILES],
}

fn outcome<T>(result: rustix::io::Result<T>, told: impl FnOnce(T) -> (u64, Vec<u8>)) -> Outcome {
    result.map(told).map_err(|error| error.raw_os_error())
}

/// Type and rights, and of a regular file its links and size.
fn told(mode: u32, links: u64, size: u64) -> Vec<u8> {
    let is_file = mode & S_IFMT == S_IFREG;
    let more = if is_file { (links, size) } else { (0, 0) };
    format!("{mode:o} {} {}", more.0, more.1).into_bytes()
}

fn of_stat(found: rustix::fs::Stat) -> (u64, Vec<u8>) {
    (0, told(found.st_mode, found.st_nlink, found.st_size as u64))
}

impl Oracle {
    fn path(&self, path: &str) -> PathBuf {
        // Joining would leave slashes at the end out.
        PathBuf::from(format!("{}/{path}", self.base.display()))
    }

    fn run(&mut self, step: &Step) -> Outcome {
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
        }
    }
}

/// A program that makes the same changes by system calls.
struct Subject {
    bed: Bed,
    at: u64,
    files: [Option<u64>; FILES],
}

const PATH: u64 = 0;
const OTHER: u64 = 0x1000;
const DATA: u64 = 0x2000;
const HERE: u64 = AT_FDCWD.cast_unsigned() as u64;

impl Subject {
    fn new(mounts: Vec<linux::Mount>) -> Self {
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

    fn put(&mut self, at: u64, path: &str) -> u64 {
        let text = format!("{PREFIX}/{path}\0");
        self.bed.write(self.at + at, text.as_bytes());
        self.at + at
    }

    fn call(&mut self, number: u32, arguments: &[u64]) -> Result<u64, i32> {
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

    fn run(&mut self, step: &Step) -> Outcome {
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
        }
    }
}

fn make_base(folder: &Folder) -> PathBuf {
    let base = PathBuf::from(format!("{}{PREFIX}", folder.0.display()));
    std::fs::create_dir_all(&base).unwrap();
    base
}

/// All that is below a directory, as text.
fn dump(directory: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut waiting = vec![directory.to_path_buf()];
    while let Some(at) = waiting.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(directory).unwrap().display().to_string();
            let kind = path.symlink_metadata().unwrap().file_type();
            if kind.is_dir() {
                all.push(format!("{name}/"));
                waiting.push(path);
            } else if kind.is_symlink() {
                all.push(format!("{name} -> {}", path.read_link().unwrap().display()));
            } else {
                all.push(format!("{name}: {:?}", std::fs::read(&path).unwrap().len()));
            }
        }
    }
    all.sort();
    all
}

fn same<T: PartialEq + Debug>(seed: u64, done: &[Step], linux: &T, ours: &T, whose: &str) {
    let last: Vec<_> = done.iter().rev().take(12).rev().collect();
    assert!(
        linux == ours,
        "seed {seed}: Linux {linux:?}, {whose} {ours:?} after {last:#?}"
    );
}

fn compare(seed: u64, steps: usize) {
    let mut chance = Chance(seed | 1);
    let (theirs, shared) = (
        Folder::new(&format!("oracle-{seed}")),
        Folder::new(&format!("shared-{seed}")),
    );
    let mut oracle = Oracle {
        base: make_base(&theirs),
        files: Default::default(),
    };
    make_base(&shared);
    let at_base = format!("{PREFIX}/x");
    let mut memory = Subject::new(vec![mount("/", Source::Memory), file(&at_base, "")]);
    let at = memory.put(PATH, "x");
    memory.call(__NR_unlink, &[at]).unwrap();
    let mut host = Subject::new(vec![shared.mount("/", false)]);
    let mut done = Vec::new();
    for _ in 0..steps {
        let step = step(&mut chance);
        done.push(step.clone());
        let linux = oracle.run(&step);
        same(seed, &done, &linux, &memory.run(&step), "memory");
        same(
            seed,
            &done,
            &linux,
            &host.run(&step),
            "the host's directory",
        );
    }
    same(
        seed,
        &done,
        &dump(&theirs.0),
        &dump(&shared.0),
        "the host's directory",
    );
}

#[test]
fn random_changes_come_to_what_linux_makes_of_them() {
    let (seeds, steps) = match std::env::var("VMEXIT_SOAK") {
        Ok(_) => (500, 2000),
        Err(_) => (20, 400),
    };
    for seed in 1..=seeds {
        compare(seed * 0x9e37_79b9, steps);
    }
}
