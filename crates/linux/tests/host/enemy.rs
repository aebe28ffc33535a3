//! A host that puts anything into anything's place.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, ResolveFlags, makedev, mkdirat, mknodat,
    openat, openat2, renameat_with, symlinkat, unlinkat,
};
use rustix::io::Result;

use crate::scratch::Scratch;

/// Names that are fought for, each in some directories.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// A xorshift generator: the same numbers each time.
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, end: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end).unwrap()
    }

    pub fn name(&mut self) -> &'static str {
        NAMES[self.below(4)]
    }
}

/// What changes a scratch directory while it lasts. It follows no link itself.
pub struct Enemy {
    root: OwnedFd,
    path: PathBuf,
    outside: PathBuf,
    chance: Chance,
}

impl Enemy {
    pub fn new(scratch: &Scratch, seed: u64) -> Self {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        Self {
            root: openat(CWD, scratch.at(""), flags, Mode::empty()).unwrap(),
            path: scratch.at(""),
            outside: scratch.outside(""),
            chance: Chance(seed),
        }
    }

    /// A directory of the root, if it is one by now.
    fn directory(&mut self) -> Result<OwnedFd> {
        let path = [".", "sub", "a", "sub/b"][self.chance.below(4)];
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::NO_SYMLINKS;
        openat2(&self.root, path, flags, Mode::empty(), resolve)
    }

    /// Puts something else where something was. Whatever fails, the next one may not.
    pub fn disturb(&mut self) {
        let _ = self.attempt();
    }

    fn attempt(&mut self) -> Result<()> {
        let (from, to) = (self.directory()?, self.directory()?);
        let (name, other) = (self.chance.name(), self.chance.name());
        let way_out = ["..", "../..", "../../..", "../outside", "../../outside"];
        let mode = Mode::RWXU;
        match self.chance.below(12) {
            0 => unlinkat(from, name, AtFlags::empty()),
            1 => {
                let _ = fs::remove_dir_all(self.path.join(name));
                Ok(())
            }
            2 => renameat_with(from, name, to, other, RenameFlags::empty()),
            3 => symlinkat(self.outside.join("secret"), from, name),
            4 => symlinkat(&self.outside, from, name),
            5 => symlinkat(self.outside.join("deep"), from, name),
            6 => symlinkat(way_out[self.chance.below(5)], from, name),
            7 => mknodat(from, name, FileType::Fifo, mode, 0),
            8 => mknodat(from, name, FileType::CharacterDevice, mode, makedev(1, 5)),
            9 => mkdirat(from, name, mode),
            10 => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW;
                let file = openat(from, name, flags, mode)?;
                rustix::io::write(file, b"inside").map(drop)
            }
            // At once, so that there is never nothing.
            _ => renameat_with(from, name, to, other, RenameFlags::EXCHANGE),
        }
    }
}
