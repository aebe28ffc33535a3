//! Paths at random, while the host puts links, pipes and directories into each other's places.
//! `VMEXIT_SOAK=1` goes on for a minute.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use linux_raw_sys::general::{__NR_mkdir, O_DIRECTORY};

use super::calls::{ask, change, go};
use super::{Cell, HERE};
use crate::enemy::{Chance, Enemy};
use crate::scratch::Scratch;

const PARTS: [&str; 24] = [
    "a",
    "b",
    "c",
    "d",
    "sub",
    "a",
    "b",
    "sub",
    "..",
    "..",
    ".",
    "",
    "outside",
    "secret",
    "deep",
    "proc",
    "self",
    "root",
    "cwd",
    "fd",
    "3",
    "dev",
    "x",
    "proc/self/root",
];

fn path(chance: &mut Chance) -> Vec<u8> {
    let mut path = String::new();
    if chance.below(3) == 0 {
        path.push('/');
    }
    for part in 0..=chance.below(5) {
        if part > 0 {
            path.push('/');
        }
        path.push_str(PARTS[chance.below(PARTS.len() as u64)]);
    }
    if chance.below(8) == 0 {
        path.push('/');
    }
    path.into_bytes()
}

/// What a host that is busy takes for as much as it should, at most.
const GRACE: Duration = Duration::from_secs(300);

#[test]
fn no_path_leads_out_while_the_host_changes_everything() {
    let time = match std::env::var("VMEXIT_SOAK") {
        Ok(_) => Duration::from_secs(60),
        Err(_) => Duration::from_secs(3),
    };
    let scratch = Scratch::new();
    fs::create_dir(scratch.at("sub")).unwrap();
    let mut cell = Cell::new(scratch);
    let before = cell.scratch.canary();
    let is_over = AtomicBool::new(false);
    let mut turns = 0_u64;
    thread::scope(|scope| {
        for seed in [0x5eed, 0xbad] {
            let mut enemy = Enemy::new(&cell.scratch, seed);
            let is_over = &is_over;
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    enemy.disturb();
                }
            });
        }
        let mut chance = Chance(0xface);
        let start = Instant::now();
        let walk = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            while start.elapsed() < time || turns <= 50 {
                assert!(start.elapsed() < time + GRACE);
                let one = path(&mut chance);
                match chance.below(4) {
                    0 => go(&mut cell, &one),
                    1 => change(&mut cell, HERE, &one, &path(&mut chance)),
                    _ => {
                        // The program may have taken it away itself.
                        let at = cell.put(b"sub");
                        cell.call(__NR_mkdir, &[at, 0o700]);
                        let directory = cell.open(b"sub", O_DIRECTORY).cast_unsigned();
                        ask(&mut cell, directory, &one);
                        cell.close();
                    }
                }
                turns += 1;
            }
        }));
        is_over.store(true, Ordering::Relaxed);
        walk.unwrap();
    });
    assert_eq!(cell.scratch.canary(), before);
    assert!(turns > 50, "{turns} turns");
    println!("{turns} turns");
}
