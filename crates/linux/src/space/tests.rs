use super::page::PAGE;
use super::*;
use crate::errno::Errno;
use crate::memory::Memory;
use std::cell::RefCell;
use std::ops::Range;

const TABLES: Range<u64> = 0x100_0000..0x140_0000;

struct Plain(RefCell<Vec<u8>>);

impl Memory for Plain {
    fn read(&self, gpa: u64, bytes: &mut [u8]) -> bool {
        let all = self.0.borrow();
        let from = all.get(gpa as usize..gpa as usize + bytes.len());
        from.map(|from| bytes.copy_from_slice(from)).is_some()
    }

    fn write(&self, gpa: u64, bytes: &[u8]) -> bool {
        let mut all = self.0.borrow_mut();
        let to = all.get_mut(gpa as usize..gpa as usize + bytes.len());
        to.map(|to| to.copy_from_slice(bytes)).is_some()
    }
}

struct World {
    space: Space,
    memory: Plain,
}

impl World {
    fn new() -> Self {
        let ground = Ground {
            memory: 0x1000..0x100_0000,
            tables: TABLES,
            reserved: 0xfe00_0000..0xff00_0000,
            fixed: vec![Fixed {
                address: 0xfe00_0000,
                bytes: 0x20_0000,
                gpa: 0xfe00_0000,
                protection: Protection::ALL,
                user: false,
            }],
        };
        let mut world = Self {
            space: Space::new(&ground).unwrap(),
            memory: Plain(RefCell::new(vec![0; TABLES.end as usize])),
        };
        world.apply();
        world
    }

    fn apply(&mut self) -> bool {
        let effects = self.space.take_effects();
        let revokes = effects.edits.iter().any(|edit| edit.revokes);
        for edit in effects.edits {
            let bytes: Vec<_> = edit
                .words
                .iter()
                .flat_map(|word| word.to_le_bytes())
                .collect();
            assert!(self.memory.write(edit.gpa, &bytes));
            assert!(TABLES.contains(&edit.gpa));
        }
        for (gpa, bytes) in effects.zeros {
            assert!(self.memory.write(gpa, &vec![0; bytes as usize]));
        }
        revokes
    }

    /// Whether a page is as a model has it: what is allowed there, and its first byte.
    fn agrees(&mut self, address: u64, expected: Option<(Protection, u8)>, what: &str) {
        let found = self.walk(address);
        let Some((protection, value)) = expected else {
            assert_eq!(found, None, "{what}");
            return;
        };
        assert_eq!(self.space.protection(address), Some(protection), "{what}");
        let Some((gpa, rights)) = found else {
            let touch = self.space.touch(address, Access::Read);
            assert_eq!(touch == Touch::Denied, !protection.is_some(), "{what}");
            return;
        };
        assert_eq!(rights & 2 != 0, protection.write, "{what}");
        assert_eq!(rights >> 63 == 0, protection.execute, "{what}");
        let mut byte = [0];
        assert!(self.memory.read(gpa, &mut byte));
        assert_eq!(byte, [value], "{what}");
    }

    /// As a processor finds it: the address, and the rights of all levels.
    fn walk(&self, address: u64) -> Option<(u64, u64)> {
        let (mut table, mut rights) = (self.space.root(), 7);
        for shift in [39, 30, 21, 12] {
            let mut word = [0; 8];
            assert!(
                self.memory
                    .read(table + (address >> shift & 511) * 8, &mut word)
            );
            let word = u64::from_le_bytes(word);
            if word & 1 == 0 {
                return None;
            }
            rights &= word;
            let is_page = shift == 12 || word & 0x80 != 0;
            if is_page {
                let offset = (1 << shift) - 1;
                let base = word & 0x000f_ffff_ffff_f000 & !offset;
                return Some((base | address & offset, rights | word >> 63 << 63));
            }
            table = word & 0x000f_ffff_ffff_f000;
        }
        unreachable!()
    }
}

const USER_READ: u64 = 5 | 1 << 63;
const USER_WRITE: u64 = 7 | 1 << 63;

#[test]
fn what_is_mapped_is_what_a_processor_finds() {
    let mut world = World::new();
    let start = 0x40_0000;
    world
        .space
        .map(start, 3 * PAGE, Protection::READ_WRITE, Commit::Now)
        .unwrap();
    world
        .space
        .write(&world.memory, start + 4090, b"across pages")
        .unwrap();
    assert!(!world.apply());
    let (gpa, rights) = world.walk(start + 4090).unwrap();
    assert_eq!(rights, USER_WRITE);
    let mut bytes = [0; 6];
    assert!(world.memory.read(gpa, &mut bytes));
    assert_eq!(&bytes, b"across");
    world.space.protect(start, PAGE, Protection::READ).unwrap();
    assert!(world.apply());
    assert_eq!(world.walk(start).unwrap().1, USER_READ);
    assert_eq!(
        world.space.write(&world.memory, start, b"no"),
        Err(Errno::EFAULT)
    );
    world.space.unmap(start + PAGE, PAGE).unwrap();
    assert!(world.apply());
    assert_eq!(world.walk(start + PAGE), None);
    let mut all = [0; 3 * PAGE as usize];
    assert_eq!(
        world.space.read(&world.memory, start, &mut all),
        Err(Errno::EFAULT)
    );
    assert_eq!(
        world.space.protect(start, 3 * PAGE, Protection::ALL),
        Err(Errno::ENOMEM)
    );
}

#[test]
fn frames_come_back_as_zeros_and_not_before_they_are_forgotten() {
    let mut world = World::new();
    let (start, bytes) = (0x10_0000_0000, 12 << 20);
    for round in 0..3 {
        world
            .space
            .map(start, bytes, Protection::READ_WRITE, Commit::Now)
            .unwrap();
        let mut old = [1; 64];
        world
            .space
            .read(&world.memory, start + 5 * PAGE, &mut old)
            .unwrap();
        assert_eq!(old, [0; 64], "{round}");
        world
            .space
            .write(&world.memory, start + 5 * PAGE, &[7; 64])
            .unwrap();
        world.apply();
        world.space.unmap(start, bytes).unwrap();
        let again = world
            .space
            .map(start, bytes, Protection::READ_WRITE, Commit::Now);
        assert_eq!(again, Err(Errno::ENOMEM));
        world.apply();
    }
}

#[test]
fn large_ranges_have_large_pages_that_split() {
    let mut world = World::new();
    let start = 0x2000_0000;
    world
        .space
        .map(start, 4 << 20, Protection::READ_WRITE, Commit::Now)
        .unwrap();
    let effects = world.space.take_effects();
    let words: usize = effects.edits.iter().map(|edit| edit.words.len()).sum();
    assert!(words < 20, "{words}");
    let mut world = World::new();
    world
        .space
        .map(start, 4 << 20, Protection::READ_WRITE, Commit::Now)
        .unwrap();
    world.apply();
    let before = world.walk(start + 0x5000).unwrap();
    world
        .space
        .protect(start + 0x3000, PAGE, Protection::NONE)
        .unwrap();
    assert!(world.apply());
    assert_eq!(world.walk(start + 0x3000), None);
    assert_eq!(world.walk(start + 0x5000), Some(before));
    assert_eq!(world.walk(start + 0x2000).unwrap().1, USER_WRITE);
    world.space.unmap(start, 4 << 20).unwrap();
    world.apply();
    assert_eq!(world.walk(start + 0x5000), None);
    assert_eq!(world.walk(start + (3 << 20)), None);
}

#[test]
fn pages_wait_for_their_first_touch() {
    let mut world = World::new();
    let (start, bytes) = (0x10_0000_0000, 1 << 40);
    world
        .space
        .map(start, bytes, Protection::NONE, Commit::Later)
        .unwrap();
    let free = world.space.free_bytes();
    world
        .space
        .protect(start, 64 << 20, Protection::READ_WRITE)
        .unwrap();
    assert_eq!(world.space.free_bytes(), free);
    assert_eq!(
        world.space.touch(start + (1 << 30), Access::Read),
        Touch::Denied
    );
    assert_eq!(world.space.touch(start, Access::Execute), Touch::Denied);
    assert_eq!(world.space.touch(start + 77, Access::Write), Touch::Mended);
    assert_eq!(world.space.touch(start + 77, Access::Write), Touch::Stale);
    world.apply();
    assert_eq!(world.walk(start + 77).unwrap().1, USER_WRITE);
    world
        .space
        .write(&world.memory, start + (2 << 20) - 1, &[1, 2])
        .unwrap();
    world.apply();
    assert_eq!(world.walk(start + (2 << 20)).unwrap().1, USER_WRITE);
}

#[test]
fn what_is_ours_cannot_be_mapped() {
    let mut world = World::new();
    for (start, bytes) in [
        (0, PAGE),
        (0xfe00_0000, PAGE),
        (0xfdff_f000, 2 * PAGE),
        (USER_END, PAGE),
        (1 << 63, PAGE),
        (0x40_0000, u64::MAX),
        (u64::MAX - 0xfff, 2 * PAGE),
    ] {
        let space = &mut world.space;
        let map = space.map(start, bytes, Protection::ALL, Commit::Later);
        assert_eq!(map, Err(Errno::ENOMEM), "{start:#x} {bytes:#x}");
        assert_eq!(space.unmap(start, bytes), Err(Errno::ENOMEM));
        assert!(!space.is_free(start, bytes));
    }
    assert_eq!(world.space.unmap(0x40_0001, PAGE), Err(Errno::EINVAL));
    assert!(world.walk(0xfe00_0000).unwrap().1 & 4 == 0);
}

#[test]
fn a_range_moves_with_its_bytes() {
    let mut world = World::new();
    let (from, to) = (0x40_0000, 0x7000_0000);
    world
        .space
        .map(from, 4 * PAGE, Protection::READ_WRITE, Commit::Now)
        .unwrap();
    world
        .space
        .write(&world.memory, from + PAGE, b"moves")
        .unwrap();
    world.apply();
    world.space.relocate(from, 4 * PAGE, to).unwrap();
    world.apply();
    assert_eq!(world.walk(from), None);
    let mut bytes = [0; 5];
    world
        .space
        .read(&world.memory, to + PAGE, &mut bytes)
        .unwrap();
    assert_eq!(&bytes, b"moves");
    assert_eq!(
        world.space.relocate(to, 4 * PAGE, to + PAGE),
        Err(Errno::EINVAL)
    );
    assert_eq!(world.space.find(PAGE), Some(MMAP_END - PAGE));
}

/// Numbers at random, the same each time.
fn xorshift(mut seed: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    }
}

/// Against a table of pages that is too simple to be wrong.
#[test]
fn random_changes_agree_with_a_simple_model() {
    let mut random = xorshift(0x1234_5678);
    let mut world = World::new();
    let base = 0x1000_0000 / PAGE;
    let mut model = vec![None; 1100];
    for round in 0..3000 {
        let (at, count) = (
            random(1050),
            1 + random(if round % 9 == 0 { 1040 } else { 12 }),
        );
        let count = count.min(model.len() as u64 - at);
        let (start, bytes) = ((base + at) * PAGE, count * PAGE);
        let protection = [
            Protection::NONE,
            Protection::READ,
            Protection::READ_WRITE,
            Protection::READ_EXECUTE,
        ][random(4) as usize];
        let range = at as usize..(at + count) as usize;
        match random(5) {
            0 => {
                world.space.unmap(start, bytes).unwrap();
                model[range].fill(None);
            }
            1 => {
                let is_whole = model[range.clone()].iter().all(Option::is_some);
                let done = world.space.protect(start, bytes, protection);
                assert_eq!(done.is_ok(), is_whole, "{round}");
                if is_whole {
                    for page in &mut model[range] {
                        *page = page.map(|(_, value)| (protection, value));
                    }
                }
            }
            2 => {
                let is_whole = model[range.clone()].iter().all(Option::is_some);
                assert_eq!(
                    world.space.discard(start, bytes).is_ok(),
                    is_whole,
                    "{round}"
                );
                if is_whole {
                    for page in &mut model[range] {
                        *page = page.map(|(protection, _)| (protection, 0));
                    }
                }
            }
            kind => {
                let commit = if kind == 3 {
                    Commit::Now
                } else {
                    Commit::Later
                };
                if world.space.map(start, bytes, protection, commit).is_ok() {
                    model[range.clone()].fill(Some((protection, 0)));
                    let value = random(255) as u8;
                    let at = (base + range.start as u64) * PAGE;
                    world.space.put(&world.memory, at, &[value]).unwrap();
                    model[range.start] = Some((protection, value));
                }
            }
        }
        world.apply();
        for _ in 0..20 {
            let page = random(model.len() as u64);
            let expected = model[page as usize];
            world.agrees((base + page) * PAGE, expected, &format!("{round} {page}"));
        }
    }
}
