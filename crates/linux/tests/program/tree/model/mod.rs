//! Random changes in memory and on the host come to what Linux itself makes of them: the same
//! values, errnos and files. `VMEXIT_SOAK=1` tries more.

mod oracle;
mod subject;

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use super::{Folder, file, mount};
use linux::Source;
use linux_raw_sys::general::*;
use oracle::Oracle;
use subject::{PATH, Subject};

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

/// Type and rights, and of a regular file its links and size.
fn told(mode: u32, links: u64, size: u64) -> Vec<u8> {
    let is_file = mode & S_IFMT == S_IFREG;
    let more = if is_file { (links, size) } else { (0, 0) };
    format!("{mode:o} {} {}", more.0, more.1).into_bytes()
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
