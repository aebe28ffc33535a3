//! A host that changes everything while a program walks: what is outside stays outside.
//! `VMEXIT_SOAK=1` goes on for a minute.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use linux::{Errno, HostPlace, Kind, SetTime};

use crate::enemy::{Chance, Enemy};
use crate::scratch::{SECRET, Scratch};

/// Does whatever a place lets it do. Returns what it got hold of.
fn use_it(from: &HostPlace, chance: &mut Chance) -> Result<bool, Errno> {
    let (name, other) = (chance.name().as_bytes(), chance.name().as_bytes());
    let times = SetTime::At(12_345, 0);
    let below = [name, other];
    match chance.below(11) {
        0 => from.unlink(name)?,
        1 => from.rename(name, from, other, [0, 1, 2][chance.below(3)])?,
        2 => {
            from.create(name, 0o600)?.write_at(0, b"created")?;
        }
        3 => from.mkdir(name, 0o700)?,
        4 => from.symlink(b"../../outside/secret", name)?,
        5 => from.link(&from.lookup(name)?, other)?,
        6 => from.rmdir(name)?,
        7 => {
            let found = from.descend(&below).ok_or(Errno::ENOENT)?;
            assert_eq!(found.lookup(b"secret").err(), Some(Errno::ENOENT));
        }
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

/// What a host that is busy takes for as much as it should, at most.
const GRACE: Duration = Duration::from_secs(300);

#[test]
fn what_is_outside_stays_outside_while_the_host_changes_everything() {
    let time = match std::env::var("VMEXIT_SOAK") {
        Ok(_) => Duration::from_secs(60),
        Err(_) => Duration::from_secs(2),
    };
    let scratch = Scratch::new();
    fs::create_dir(scratch.at("sub")).unwrap();
    let before = scratch.canary();
    let place = scratch.open(false).place();
    let is_over = AtomicBool::new(false);
    let (mut done, mut failed) = (0_u64, 0_u64);
    thread::scope(|scope| {
        for seed in [0x5eed, 0xbad] {
            let (mut enemy, is_over) = (Enemy::new(&scratch, seed), &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    enemy.disturb();
                }
            });
        }
        let mut chance = Chance(0xface);
        let start = Instant::now();
        let walk = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let is_little = |done, failed| done <= 100 || failed <= 100;
            while start.elapsed() < time || is_little(done, failed) {
                assert!(start.elapsed() < time + GRACE);
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
