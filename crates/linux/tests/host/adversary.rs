//! A host that changes everything while a program walks: what is outside stays outside.
//! `VMEXIT_SOAK=1` goes on for a minute.

use std::fs;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use linux::{Errno, HostPlace, Kind, SetTime};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, ResolveFlags, makedev, mkdirat, mknodat,
    openat, openat2, renameat_with, symlinkat, unlinkat,
};
use rustix::io::Result;

use crate::scratch::{SECRET, Scratch};

/// Names that are fought for, each in two directories.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end).unwrap()
    }

    fn name(&mut self) -> &'static str {
        NAMES[self.below(4)]
    }
}

/// A directory of the root, if it is one by now. The adversary itself follows no link.
fn directory(root: &OwnedFd, chance: &mut Chance) -> Result<OwnedFd> {
    let path = [".", "sub", "a", "sub/b"][chance.below(4)];
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat2(root, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
}

/// Puts something else where something was. Whatever fails, the next one may not.
fn disturb(scratch: &Scratch, root: &OwnedFd, chance: &mut Chance) -> Result<()> {
    let (from, to) = (directory(root, chance)?, directory(root, chance)?);
    let (name, other) = (chance.name(), chance.name());
    let way_out = ["..", "../..", "../../..", "../outside", "../../outside"];
    let mode = Mode::RWXU;
    match chance.below(12) {
        0 => unlinkat(from, name, AtFlags::empty()),
        1 => {
            let _ = fs::remove_dir_all(scratch.at(name));
            Ok(())
        }
        2 => renameat_with(from, name, to, other, RenameFlags::empty()),
        3 => symlinkat(scratch.outside("secret"), from, name),
        4 => symlinkat(scratch.outside(""), from, name),
        5 => symlinkat(scratch.outside("deep"), from, name),
        6 => symlinkat(way_out[chance.below(5)], from, name),
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

/// Does whatever a place lets it do. Returns what it got hold of.
fn use_it(from: &HostPlace, chance: &mut Chance) -> std::result::Result<bool, Errno> {
    let (name, other) = (chance.name().as_bytes(), chance.name().as_bytes());
    let times = SetTime::At(12_345, 0);
    match chance.below(10) {
        0 => from.unlink(name)?,
        1 => from.rename(name, from, other, [0, 1, 2][chance.below(3)])?,
        2 => {
            from.create(name, 0o600)?.write_at(0, b"created")?;
        }
        3 => from.mkdir(name, 0o700)?,
        4 => from.symlink(b"../../outside/secret", name)?,
        5 => from.link(&from.lookup(name)?, other)?,
        6 => from.rmdir(name)?,
        _ => {
            let found = from.lookup(name)?;
            assert!(
                matches!(found.kind(), Kind::File | Kind::Directory | Kind::Link),
                "{found:?}"
            );
            found.status()?;
            match found.kind() {
                Kind::Directory => {
                    let list = found.list(1000)?;
                    assert!(list.iter().all(|entry| entry.name != b"secret"), "{list:?}");
                    assert_eq!(found.lookup(b"secret").err(), Some(Errno::ENOENT));
                    let _ = use_it(&found, chance);
                }
                Kind::File => {
                    let file = found.open([0, 2][chance.below(2)])?;
                    let mut bytes = [0; 64];
                    let count = file.read_at(0, &mut bytes)?;
                    assert!(!bytes[..count].starts_with(SECRET));
                    assert!(count < 64, "a device was opened");
                    let _ = file.write_at(0, b"changed");
                    let _ = file.append(b"+");
                    file.truncate(10)?;
                    file.set_mode(0o600)?;
                    file.set_times(times, times)?;
                    found.set_mode(0o600)?;
                    found.truncate(5)?;
                }
                _ => {
                    found.read_link()?;
                    found.set_times(times, times)?;
                }
            }
        }
    }
    Ok(true)
}

#[test]
fn what_is_outside_stays_outside_while_the_host_changes_everything() {
    let time = match std::env::var("VMEXIT_SOAK") {
        Ok(_) => Duration::from_secs(60),
        Err(_) => Duration::from_secs(2),
    };
    let scratch = Scratch::new();
    fs::create_dir(scratch.at("sub")).unwrap();
    let before = scratch.canary();
    let place = scratch.writable();
    let is_over = AtomicBool::new(false);
    let (mut done, mut failed) = (0_u64, 0_u64);
    thread::scope(|scope| {
        for seed in [0x5eed, 0xbad] {
            let (scratch, is_over) = (&scratch, &is_over);
            scope.spawn(move || {
                let mut chance = Chance(seed);
                let flags = OFlags::PATH | OFlags::CLOEXEC;
                let root = openat(CWD, scratch.at(""), flags, Mode::empty()).unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    let _ = disturb(scratch, &root, &mut chance);
                }
            });
        }
        let mut chance = Chance(0xface);
        let start = Instant::now();
        let walk = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            while start.elapsed() < time {
                let sub = place.lookup(b"sub").unwrap();
                let from = [&place, &sub][chance.below(2)];
                match use_it(from, &mut chance) {
                    Ok(_) => done += 1,
                    Err(_) => failed += 1,
                }
            }
        }));
        is_over.store(true, Ordering::Relaxed);
        walk.unwrap();
    });
    assert_eq!(scratch.canary(), before);
    assert!(done > 100 && failed > 100, "{done} done, {failed} failed");
    println!("{done} done, {failed} failed");
}
