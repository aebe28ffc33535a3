//! Images and system calls made to do harm: whatever comes, nothing panics, and no more is taken
//! than the bounds say. `VMEXIT_SOAK=1` tries a million.

use crate::bed::{Bed, Elf, INTERP, Segment, program, space};
use linux::limits::{DESCRIPTORS, FILE_PAGES, PAGE, PIPE_BYTES};
use linux::{Answer, Call, Kernel, load};
use linux_raw_sys::general::*;

/// A xorshift generator: the same numbers each time.
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

pub fn turns(few: u64) -> u64 {
    match std::env::var("VMEXIT_SOAK") {
        Ok(_) => 1_000_000,
        Err(_) => few,
    }
}

/// What makes a sum overflow, a range wrap, or a comparison go wrong.
pub fn edge(chance: &mut Chance) -> u64 {
    let near = chance.one_of(&[
        0,
        PAGE,
        0x1_0000,
        0xfe00_0000,
        0xff00_0000,
        1 << 31,
        1 << 32,
        1 << 40,
        0x7e00_0000_0000,
        0x7f00_0000_0000,
        0x7fff_0000_0000,
        1 << 47,
        1 << 63,
        0xffff_8000_0000_0000,
    ]);
    let off = chance.one_of(&[0, 1, 8, 16, 4095, 4096]);
    if chance.below(2) == 0 {
        near.wrapping_add(off)
    } else {
        near.wrapping_sub(off)
    }
}

#[test]
fn no_image_makes_the_loader_panic() {
    let mut chance = Chance(0x5eed);
    let sound: Vec<Vec<u8>> = [2, 3]
        .map(|kind| {
            let mut elf = Elf {
                kind,
                segments: vec![
                    Segment::load(5, 0x40_0000, &[0x90; 300], 300),
                    Segment::load(6, 0x40_112c, &[7; 500], 0x9000),
                ],
                ..Elf::fixed()
            };
            elf.segments.push(Segment {
                kind: chance.one_of(&[INTERP, 2, 4, 6]),
                ..Segment::load(4, 0, b"/lib/ld.so\0", 0)
            });
            elf.build()
        })
        .to_vec();
    let (mut loaded, mut refused) = (0_u64, 0_u64);
    for _ in 0..turns(20_000) {
        let mut image = sound[chance.below(2) as usize].clone();
        for _ in 0..=chance.below(3) {
            // Mostly in the headers, a word or a byte.
            let at = chance.one_of(&[64 + 3 * 56, 64 + 3 * 56, image.len() as u64]);
            let at = chance.below(at) as usize;
            if chance.below(2) == 0 {
                image[at] = chance.next() as u8;
            } else {
                let at = at / 8 * 8;
                let word = edge(&mut chance).to_le_bytes();
                let end = image.len().min(at + 8);
                image[at..end].copy_from_slice(&word[..end - at]);
            }
        }
        if chance.below(8) == 0 {
            image.truncate(chance.below(image.len() as u64) as usize);
        }
        let (mut space, ram) = space();
        let interpreter = (chance.below(4) == 0).then(|| sound[1].as_slice());
        let mut wanted = program(&image, &[b"test"]);
        wanted.interpreter = interpreter;
        match load(&mut space, &ram, &wanted) {
            Ok(done) => {
                loaded += 1;
                assert!(done.brk <= 0x7e00_0000_0000);
                assert!(done.stack.is_multiple_of(16));
                assert_eq!(space.protection(0xfe00_0000), None);
            }
            Err(error) => {
                refused += 1;
                assert!(!error.message.is_empty());
            }
        }
    }
    assert!(
        loaded > 0 && refused > 0,
        "{loaded} loaded, {refused} refused"
    );
}

/// Calls that move much are asked for much more seldom: one of them costs as much as a thousand.
const DEAR: [u32; 2] = [__NR_getrandom, __NR_mmap];

fn argument(chance: &mut Chance, bed: &Bed, pages: u64) -> u64 {
    match chance.below(10) {
        0 => chance.next(),
        1 => edge(chance),
        2 => chance.below(12),
        3 => u64::MAX - chance.below(200),
        4 => chance.below(1 << 20),
        5 => bed.loaded.brk.wrapping_add(chance.below(1 << 22)),
        6 => 0x7f00_0000_0000 - chance.below(1 << 24) / PAGE * PAGE,
        7 => chance.below(64) * PAGE,
        8 => 1 << chance.below(64),
        _ => pages + chance.below(8 * PAGE),
    }
}

/// Bytes of a kernel at most: its files and pipes, with what counts them.
const KERNEL_BYTES: usize = FILE_PAGES * 4112 + DESCRIPTORS / 2 * (2 * PIPE_BYTES) + (1 << 20);

#[test]
fn no_system_call_panics_or_takes_more_than_its_share() {
    let mut chance = Chance(0xbad_5eed);
    let fresh = || {
        let mut bed = Bed::new();
        let pages = bed.pages(8);
        (bed, pages)
    };
    let (mut bed, mut pages) = fresh();
    let mut asked = 0;
    for turn in 0..turns(30_000) {
        if turn % 5_000 == 0 {
            check(&bed);
            (bed, pages) = fresh();
        }
        if chance.below(4) == 0 {
            // Words that a structure could hold, where the program can still write.
            let word = argument(&mut chance, &bed, pages).to_le_bytes();
            let at = pages + chance.below(8 * PAGE - 8);
            let _ = bed.space.write(&bed.ram, at, &word);
        }
        let number = chance.below(340) as u32;
        if DEAR.contains(&number) && chance.below(16) != 0 {
            continue;
        }
        let call = Call {
            number: match chance.below(64) {
                0 => argument(&mut chance, &bed, pages),
                _ => number.into(),
            },
            arguments: [(); 6].map(|()| argument(&mut chance, &bed, pages)),
        };
        match bed.call(&call) {
            Answer::Value(value) => {
                let value = value.cast_signed();
                assert!(value >= 0 || value > -4096, "{call:x?}: {value}");
            }
            Answer::Exit { code } => assert!((0..256).contains(&code)),
            Answer::Killed { signal } => assert!((1..=64).contains(&signal)),
            Answer::Ask | Answer::Return => asked += 1,
        }
        assert!(bed.thread.fs_base < 1 << 47 && bed.thread.gs_base < 1 << 47);
        assert_eq!(bed.space.protection(0xfe00_0000), None, "{call:x?}");
    }
    check(&bed);
    assert!(asked > 0);
}

/// What a kernel keeps is bounded, and survives being stored.
fn check(bed: &Bed) {
    let stored = postcard::to_allocvec(&bed.kernel).unwrap();
    assert!(stored.len() <= KERNEL_BYTES, "{}", stored.len());
    let back: Kernel = postcard::from_bytes(&stored).unwrap();
    assert!(back == bed.kernel);
}

#[test]
fn descriptors_opened_at_random_keep_to_their_bounds() {
    let mut chance = Chance(0xf11e);
    let mut bed = Bed::new();
    let at = bed.pages(64);
    let numbers = [
        __NR_memfd_create,
        __NR_pipe2,
        __NR_dup,
        __NR_dup2,
        __NR_dup3,
        __NR_close,
        __NR_read,
        __NR_write,
        __NR_pwrite64,
        __NR_pread64,
        __NR_ftruncate,
        __NR_lseek,
        __NR_fcntl,
        __NR_writev,
        __NR_readv,
        __NR_poll,
        __NR_select,
        __NR_pselect6,
        __NR_fstat,
        __NR_mmap,
    ];
    for turn in 0..turns(20_000) {
        let number = chance.one_of(&numbers);
        let descriptor = chance.below(40);
        let pointer = at + chance.below(64 * PAGE);
        let size = chance.one_of(&[0, 1, 100, 5000, 70_000, 1 << 18, u64::MAX]);
        let place = chance.one_of(&[0, 4095, 1 << 20, 1 << 39, (1 << 40) - 1, u64::MAX]);
        let arguments = match number {
            __NR_memfd_create | __NR_pipe2 => [pointer, 0, 0, 0, 0, 0],
            __NR_dup2 | __NR_dup3 => [descriptor, chance.below(40), 0, 0, 0, 0],
            __NR_ftruncate => [descriptor, place, 0, 0, 0, 0],
            __NR_mmap => [0, 1 + size % 100_000, 1, MAP_PRIVATE.into(), descriptor, 0],
            __NR_fcntl => [descriptor, chance.below(6), size, 0, 0, 0],
            _ => [descriptor, pointer, size, place, 0, 0],
        };
        let answer = bed.answer(number, &arguments);
        if let (__NR_mmap, Answer::Value(copy)) = (number, answer) {
            bed.answer(__NR_munmap, &[copy, arguments[1]]);
        }
        if turn % 4_000 == 0 {
            check(&bed);
        }
    }
    check(&bed);
    // All is given back at the end.
    for descriptor in 0..DESCRIPTORS as u64 {
        bed.answer(__NR_close, &[descriptor]);
    }
    let name = at;
    bed.space
        .map(at, PAGE, linux::Protection::READ_WRITE, linux::Commit::Now)
        .unwrap();
    let file = bed.value(__NR_memfd_create, &[name, 0]).cast_unsigned();
    for page in 0..FILE_PAGES as u64 {
        let written = bed.value(__NR_pwrite64, &[file, at, 1, page * PAGE]);
        assert_eq!(written, 1, "{page}");
    }
    assert!(bed.value(__NR_pwrite64, &[file, at, 1, 1 << 39]) < 0);
}

#[test]
fn a_stored_kernel_that_was_changed_is_refused_or_works() {
    let mut chance = Chance(0x570_4ed);
    let mut bed = Bed::new();
    let at = bed.pages(8);
    let file = bed.value(__NR_memfd_create, &[at, 0]).cast_unsigned();
    bed.value(__NR_pwrite64, &[file, at, 5, 0x3000]);
    bed.value(__NR_pipe, &[at]);
    bed.value(__NR_write, &[5, at, 20]);
    let sound = bed.kernel.clone();
    let stored = postcard::to_allocvec(&sound).unwrap();
    let (mut refused, mut taken) = (0_u64, 0_u64);
    for _ in 0..turns(5_000) / 50 {
        let mut bytes = stored.clone();
        for _ in 0..=chance.below(3) {
            let at = chance.below(bytes.len() as u64) as usize;
            let any = chance.next() as u8;
            bytes[at] = chance.one_of(&[0, 1, 0x7f, 0x80, 0xff, any]);
        }
        let Ok(kernel) = postcard::from_bytes::<Kernel>(&bytes) else {
            refused += 1;
            continue;
        };
        taken += 1;
        bed.kernel = kernel;
        for _ in 0..50 {
            let number = chance.one_of(&[
                __NR_brk,
                __NR_read,
                __NR_write,
                __NR_close,
                __NR_dup,
                __NR_lseek,
                __NR_mmap,
                __NR_ftruncate,
                __NR_poll,
                __NR_select,
                __NR_fstat,
                __NR_memfd_create,
                __NR_prlimit64,
                __NR_mremap,
                __NR_rt_sigaction,
                __NR_sigaltstack,
            ]);
            let arguments = [chance.below(8), at, chance.below(9000), 0, 0, 0];
            bed.answer(number, &arguments);
        }
        check(&bed);
    }
    assert!(refused > 0 && taken > 0, "{refused} refused, {taken} taken");
}

#[test]
fn a_stored_kernel_beyond_its_bounds_is_refused() {
    let mut bed = Bed::new();
    let at = bed.pages(1);
    let file = bed.value(__NR_memfd_create, &[at, 0]).cast_unsigned();
    bed.value(__NR_ftruncate, &[file, 0x1234_5678]);
    let stored = postcard::to_allocvec(&bed.kernel).unwrap();
    // 0x1234_5678 as postcard writes it, and 2^63.
    let (size, huge) = ([0xf8, 0xac, 0xd1, 0x91, 1], [0x80; 9]);
    let found = stored.windows(5).position(|bytes| bytes == size).unwrap();
    let mut forged = stored.clone();
    forged.splice(found..found + 5, huge.into_iter().chain([1]));
    assert!(postcard::from_bytes::<Kernel>(&stored).is_ok());
    let refused = postcard::from_bytes::<Kernel>(&forged).unwrap_err();
    assert_eq!(refused, postcard::Error::SerdeDeCustom);
}
