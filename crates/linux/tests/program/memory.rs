//! `brk`, `mmap` and what belongs to them.

use crate::bed::Bed;
use linux::limits::PAGE;
use linux::{Answer, Protection};
use linux_raw_sys::errno::{EEXIST, EFAULT, EINVAL, ENODEV, ENOMEM};
use linux_raw_sys::general::*;

const PRIVATE: u64 = (MAP_PRIVATE | MAP_ANONYMOUS) as u64;
const NONE: u64 = u64::MAX;

fn failed(errno: u32) -> i64 {
    -i64::from(errno)
}

#[test]
fn the_break_grows_and_shrinks_by_bytes_and_stays_where_something_is_in_its_way() {
    let mut bed = Bed::new();
    let start = bed.loaded.brk;
    let set = |bed: &mut Bed, end: u64| bed.value(__NR_brk, &[end]).cast_unsigned();
    assert_eq!(set(&mut bed, start + 1), start + 1);
    bed.write(start + PAGE - 1, &[7]);
    assert_eq!(set(&mut bed, start + PAGE), start + PAGE);
    assert_eq!(bed.space.protection(start + PAGE), None);
    assert_eq!(set(&mut bed, start + 4 * PAGE), start + 4 * PAGE);
    bed.write(start + 4 * PAGE - 1, &[9]);
    assert_eq!(set(&mut bed, start + PAGE - 5), start + PAGE - 5);
    assert_eq!(bed.space.protection(start + PAGE), None);
    assert_eq!(bed.read(start + PAGE - 1, 1), [7]);
    assert_eq!(set(&mut bed, start + 4 * PAGE), start + 4 * PAGE);
    assert_eq!(bed.read(start + 4 * PAGE - 1, 1), [0]);
    let wall = start + 8 * PAGE;
    let flags = PRIVATE | u64::from(MAP_FIXED);
    assert_eq!(
        bed.value(__NR_mmap, &[wall, 1, 3, flags, NONE, 0])
            .cast_unsigned(),
        wall
    );
    for end in [wall + 1, start - 1, 0, u64::MAX, 1 << 62, 0xff00_0000] {
        assert_eq!(set(&mut bed, end), start + 4 * PAGE, "{end:#x}");
    }
    assert_eq!(set(&mut bed, wall), wall);
}

#[test]
fn mappings_go_where_they_shall_and_nowhere_else() {
    let mut bed = Bed::new();
    let one = bed.pages(2);
    let two = bed.pages(1);
    assert_eq!(one + 2 * PAGE, 0x7f00_0000_0000);
    assert_eq!(two + PAGE, one);
    let map = |bed: &mut Bed, at: u64, flags: u32| {
        bed.value(
            __NR_mmap,
            &[at, PAGE, 1, PRIVATE | u64::from(flags), NONE, 0],
        )
    };
    let hint = 0x1234_5000_0000_u64;
    assert_eq!(map(&mut bed, hint + 7, 0).cast_unsigned(), hint);
    assert_eq!(
        map(&mut bed, hint, 0).cast_unsigned(),
        two - PAGE,
        "the hint is taken"
    );
    assert_eq!(map(&mut bed, hint, MAP_FIXED_NOREPLACE), failed(EEXIST));
    assert_eq!(map(&mut bed, hint + 1, MAP_FIXED), failed(EINVAL));
    bed.write(one, &[1]);
    assert_eq!(map(&mut bed, one, MAP_FIXED).cast_unsigned(), one);
    assert_eq!(bed.read(one, 1), [0]);
    assert_eq!(bed.space.protection(one), Some(Protection::READ));
    for ours in [
        0,
        0x1000,
        0xfe00_0000,
        0xfeff_f000,
        0x7fff_ffff_f000,
        1 << 47,
    ] {
        assert_eq!(map(&mut bed, ours, MAP_FIXED), failed(ENOMEM), "{ours:#x}");
    }
    assert_eq!(map(&mut bed, u64::MAX << 12, MAP_FIXED), failed(ENOMEM));
}

#[test]
fn mappings_that_mean_nothing_are_refused() {
    let mut bed = Bed::new();
    let map = |bed: &mut Bed, arguments: [u64; 6]| bed.value(__NR_mmap, &arguments);
    assert_eq!(map(&mut bed, [0, 0, 3, PRIVATE, NONE, 0]), failed(EINVAL));
    assert_eq!(map(&mut bed, [0, 1, 8, PRIVATE, NONE, 0]), failed(EINVAL));
    assert_eq!(map(&mut bed, [0, 1, 3, PRIVATE, NONE, 1]), failed(EINVAL));
    assert_eq!(
        map(&mut bed, [0, 1, 3, MAP_ANONYMOUS.into(), NONE, 0]),
        failed(EINVAL)
    );
    assert_eq!(
        map(&mut bed, [0, u64::MAX, 3, PRIVATE, NONE, 0]),
        failed(ENOMEM)
    );
    assert_eq!(
        map(&mut bed, [0, 1 << 60, 3, PRIVATE, NONE, 0]),
        failed(ENOMEM)
    );
    let low = PRIVATE | u64::from(MAP_32BIT);
    assert_eq!(map(&mut bed, [0, 1, 3, low, NONE, 0]), failed(ENOMEM));
    // What is written or executed is read, too.
    let at = map(&mut bed, [0, 1, 2, PRIVATE, NONE, 0]).cast_unsigned();
    assert_eq!(bed.space.protection(at), Some(Protection::READ_WRITE));
    // More than there is, but for addresses that are only kept.
    assert_eq!(
        map(&mut bed, [0, 1 << 40, 3, PRIVATE, NONE, 0]),
        failed(ENOMEM)
    );
    let kept = map(&mut bed, [0, 1 << 40, 0, PRIVATE, NONE, 0]).cast_unsigned();
    assert_eq!(
        bed.space.protection(kept + (1 << 39)),
        Some(Protection::NONE)
    );
    assert_eq!(bed.value(__NR_mprotect, &[kept + (1 << 39), PAGE, 3]), 0);
    bed.write(kept + (1 << 39), &[1]);
}

#[test]
fn a_private_mapping_of_a_memory_file_is_a_copy() {
    let mut bed = Bed::new();
    let name = bed.pages(2);
    let file = bed.value(__NR_memfd_create, &[name, 0]).cast_unsigned();
    bed.write(name, &[5; 5000]);
    assert_eq!(bed.value(__NR_pwrite64, &[file, name, 5000, 4096]), 5000);
    let map = |bed: &mut Bed, flags: u32, bits: u32, offset: u64| {
        let flags = u64::from(flags);
        bed.value(__NR_mmap, &[0, 4 * PAGE, bits.into(), flags, file, offset])
    };
    let copy = map(&mut bed, MAP_PRIVATE, 3, PAGE).cast_unsigned();
    assert_eq!(bed.read(copy + 4999, 2), [5, 0]);
    assert_eq!(bed.read(copy + 3 * PAGE, 1), [0]);
    bed.write(copy, &[6]);
    assert_eq!(bed.value(__NR_pread64, &[file, name, 1, 4096]), 1);
    assert_eq!(bed.read(name, 1), [5]);
    let shared = map(&mut bed, MAP_SHARED, PROT_READ, 0).cast_unsigned();
    assert_eq!(bed.read(shared + 4095, 2), [0, 5]);
    assert_eq!(bed.space.protection(shared), Some(Protection::READ));
    assert_eq!(map(&mut bed, MAP_SHARED, 3, 0), failed(ENODEV));
    let far = map(&mut bed, MAP_PRIVATE, 1, 1 << 50).cast_unsigned();
    assert_eq!(bed.read(far, 1), [0]);
    let last = u64::MAX << 12;
    assert!(map(&mut bed, MAP_PRIVATE, 1, last) > 0);
    bed.value(__NR_pipe, &[name]);
    let reader = u64::from(bed.read(name, 1)[0]);
    let pipe = [0, PAGE, 1, MAP_PRIVATE.into(), reader, 0];
    assert_eq!(bed.value(__NR_mmap, &pipe), failed(ENODEV));
    let of_host = [0, PAGE, 1, MAP_PRIVATE.into(), 0, 0];
    assert_eq!(bed.answer(__NR_mmap, &of_host), Answer::Ask);
}

#[test]
fn ranges_are_unmapped_protected_and_discarded() {
    let mut bed = Bed::new();
    let at = bed.pages(4);
    bed.write(at, &[1; 0x4000]);
    assert_eq!(bed.value(__NR_munmap, &[at + PAGE, 1]), 0);
    assert_eq!(bed.space.protection(at + PAGE), None);
    assert_eq!(
        bed.value(__NR_munmap, &[at + PAGE, 1]),
        0,
        "nothing is there"
    );
    assert_eq!(bed.value(__NR_munmap, &[at + 1, 1]), failed(EINVAL));
    assert_eq!(bed.value(__NR_munmap, &[at, 0]), failed(EINVAL));
    assert_eq!(bed.value(__NR_munmap, &[at, u64::MAX]), failed(EINVAL));
    let protect = |bed: &mut Bed, at: u64, bytes: u64, bits: u64| {
        bed.value(__NR_mprotect, &[at, bytes, bits])
    };
    assert_eq!(protect(&mut bed, at, 2 * PAGE, 1), failed(ENOMEM));
    assert_eq!(protect(&mut bed, at + 2 * PAGE, 1, 5), 0);
    assert_eq!(
        bed.space.protection(at + 2 * PAGE),
        Some(Protection::READ_EXECUTE)
    );
    assert_eq!(protect(&mut bed, at, 0, 1), 0);
    assert_eq!(protect(&mut bed, at + 1, 1, 1), failed(EINVAL));
    assert_eq!(protect(&mut bed, at, PAGE, 16), failed(EINVAL));
    let advise = |bed: &mut Bed, at: u64, bytes: u64, advice: u32| {
        bed.value(__NR_madvise, &[at, bytes, advice.into()])
    };
    assert_eq!(advise(&mut bed, at + 2 * PAGE, 2 * PAGE, MADV_DONTNEED), 0);
    assert_eq!(bed.read(at + 2 * PAGE, 0x2000), vec![0; 0x2000]);
    assert_eq!(
        bed.space.protection(at + 2 * PAGE),
        Some(Protection::READ_EXECUTE)
    );
    assert_eq!(bed.read(at, 1), [1]);
    assert_eq!(
        advise(&mut bed, at, 2 * PAGE, MADV_DONTNEED),
        failed(ENOMEM)
    );
    assert_eq!(advise(&mut bed, at, PAGE, MADV_HUGEPAGE), 0);
    assert_eq!(advise(&mut bed, at, PAGE, MADV_REMOVE), failed(EINVAL));
    assert_eq!(advise(&mut bed, at, 0, MADV_DONTNEED), 0);
    assert_eq!(
        advise(&mut bed, at, u64::MAX, MADV_DONTNEED),
        failed(EINVAL)
    );
}

#[test]
fn what_is_discarded_gives_its_memory_back() {
    let mut bed = Bed::new();
    let at = bed.pages(512);
    let free = bed.space.free_bytes();
    for _ in 0..64 {
        bed.write(at, &vec![1; 2 << 20]);
        assert_eq!(
            bed.value(__NR_madvise, &[at, 2 << 20, MADV_DONTNEED.into()]),
            0
        );
    }
    assert!(bed.space.free_bytes() >= free);
}

#[test]
fn a_mapping_grows_shrinks_and_moves() {
    let mut bed = Bed::new();
    let high = bed.pages(2);
    let low = bed.pages(2);
    bed.write(low, b"moved");
    let remap = |bed: &mut Bed, arguments: [u64; 5]| bed.value(__NR_mremap, &arguments);
    let moves = u64::from(MREMAP_MAYMOVE);
    let fixed = moves | u64::from(MREMAP_FIXED);
    assert_eq!(
        remap(&mut bed, [low, 2 * PAGE, 3 * PAGE, 0, 0]),
        failed(ENOMEM)
    );
    let there = remap(&mut bed, [low, 2 * PAGE, 3 * PAGE, moves, 0]).cast_unsigned();
    assert_eq!(there + 3 * PAGE, low);
    assert_eq!(bed.read(there, 5), b"moved");
    assert_eq!(bed.space.protection(low), None);
    bed.write(there + 2 * PAGE, &[1]);
    assert_eq!(
        remap(&mut bed, [there, 3 * PAGE, PAGE, 0, 0]).cast_unsigned(),
        there
    );
    assert_eq!(bed.space.protection(there + PAGE), None);
    assert_eq!(
        remap(&mut bed, [there, PAGE, 2 * PAGE, 0, 0]).cast_unsigned(),
        there
    );
    assert_eq!(bed.read(there + PAGE, 1), [0]);
    let target = 0x1000_0000_0000;
    let there = remap(&mut bed, [there, 2 * PAGE, PAGE, fixed, target]).cast_unsigned();
    assert_eq!(there, target);
    assert_eq!(bed.read(target, 5), b"moved");
    for (arguments, errno) in [
        ([high, PAGE, 0, 0, 0], EINVAL),
        ([high, 0, PAGE, moves, 0], EINVAL),
        ([high + 1, PAGE, PAGE, 0, 0], EINVAL),
        ([high, PAGE, PAGE, 8, 0], EINVAL),
        ([high, PAGE, PAGE, MREMAP_FIXED.into(), target], EINVAL),
        ([high, 2 * PAGE, PAGE, fixed, high + PAGE], EINVAL),
        ([high, PAGE, PAGE, fixed, 1], EINVAL),
        ([high, PAGE, PAGE, fixed, 0xfe00_0000], ENOMEM),
        ([high, PAGE, u64::MAX, moves, 0], ENOMEM),
        ([high, u64::MAX << 12, PAGE, moves, 0], EFAULT),
        ([high - 64 * PAGE, PAGE, 2 * PAGE, moves, 0], EFAULT),
        ([high, 4 * PAGE, 8 * PAGE, moves, 0], EFAULT),
    ] {
        assert_eq!(remap(&mut bed, arguments), failed(errno), "{arguments:x?}");
    }
    assert_eq!(bed.space.protection(high), Some(Protection::READ_WRITE));
}

#[test]
fn musl_measures_the_stack_in_few_calls() {
    let mut bed = Bed::new();
    let top = bed.loaded.stack / PAGE * PAGE;
    let errno = |bed: &mut Bed, below: u64| {
        bed.value(__NR_mremap, &[top - below * PAGE, PAGE, 2 * PAGE, 0])
    };
    let calls = (1..).take_while(|below| errno(&mut bed, *below) == failed(ENOMEM));
    assert_eq!(calls.count(), 33);
    assert_eq!(errno(&mut bed, 34), failed(EFAULT));
    // The stack is larger than that.
    let deep = top - (7 << 20);
    bed.write(deep, &[1]);
}
