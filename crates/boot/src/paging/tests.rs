//! One case for each thing that an entry says. What they are together is held to a model, see
//! `tests/paging.rs`.

use super::*;
use crate::state::{CR0_PE, CR0_PG, CR4_LA57, CR4_PAE, CR4_PSE, EFER_LMA, EFER_NXE};

const FEATURES: PagingFeatures = PagingFeatures {
    max_phys_bits: 40,
    has_1gib: true,
    has_nx: true,
    is_amd: false,
};
const ALL: u64 = PRESENT | WRITABLE | USER;
const PAGED: u64 = CR0_PE | CR0_PG;

const fn state(cr0: u64, cr3: u64, cr4: u64, efer: u64) -> PagingState {
    PagingState {
        cr0,
        cr3,
        cr4,
        efer,
        features: FEATURES,
    }
}

const LONG: PagingState = state(PAGED, 0x1018, CR4_PAE, EFER_LMA);
const PAE: PagingState = state(PAGED, 0x1020, CR4_PAE, 0);
const LARGE_32: PagingState = state(PAGED, 0x1000, CR4_PSE, 0);

/// Memory is a list of 64-bit words by their addresses; elsewhere is none.
fn walk_of(state: &PagingState, linear: u64, words: &[(u64, u64)]) -> Walk {
    walk(state, linear, |gpa, into| {
        let word = words.iter().find(|(at, _)| *at == gpa & !7);
        let Some((_, word)) = word else { return false };
        let start = (gpa & 7) as usize;
        into.copy_from_slice(&word.to_le_bytes()[start..start + into.len()]);
        true
    })
}

fn gpa(state: &PagingState, linear: u64, words: &[(u64, u64)]) -> Option<u64> {
    walk_of(state, linear, words)
        .result
        .ok()
        .map(|page| page.gpa)
}

fn miss(state: &PagingState, linear: u64, words: &[(u64, u64)]) -> Option<Miss> {
    walk_of(state, linear, words).result.err()
}

const fn at(level: TableLevel, why: MissReason) -> Option<Miss> {
    let level = Some(level);
    Some(Miss { level, why })
}

#[test]
fn without_paging_a_linear_address_is_physical() {
    let flat = state(CR0_PE, 0x1000, CR4_PAE, 0);
    let found = walk_of(&flat, 0xdead_beef, &[]);
    assert_eq!(found.steps, []);
    let page = found.result.unwrap();
    assert_eq!((page.gpa, page.page_bytes), (0xdead_beef, 4096));
    assert!(page.user && page.writable && page.executable);
}

#[test]
fn four_levels_with_pages_of_every_size() {
    let words = [
        (0x1ff8, 0x2003),
        (0x2008, 0x3003),
        (0x2010, 0x1_4000_0083),
        (0x3010, 0x4003),
        (0x3018, 0x0060_0083),
        (0x4018, 0x0012_3003),
        (0x4020, 0x0012_3002),
    ];
    let base = 0xffff_ff80_0000_0000;
    let size = |offset: u64| {
        let page = walk_of(&LONG, base + offset, &words).result.unwrap();
        (page.gpa, page.page_bytes)
    };
    assert_eq!(size(0x4040_3abc), (0x0012_3abc, 4 << 10));
    assert_eq!(size(0x4060_1abc), (0x0060_1abc, 2 << 20));
    assert_eq!(size(0x8123_4567), (0x1_4123_4567, 1 << 30));
    let not_present = at(TableLevel::Pt, MissReason::NotPresent);
    assert_eq!(miss(&LONG, base + 0x4040_4abc, &words), not_present);
    let no_memory = at(TableLevel::Pml4, MissReason::NoMemory);
    assert_eq!(miss(&LONG, 0, &words), no_memory);
}

#[test]
fn five_levels() {
    let long = state(PAGED, 0x1000, CR4_PAE | CR4_LA57, EFER_LMA);
    let words = [
        (0x1008, 0x2003),
        (0x2000, 0x3003),
        (0x3000, 0x4003),
        (0x4000, 0x80_0083),
    ];
    let names = |walk: Walk| {
        walk.steps
            .iter()
            .map(|it| it.level.name())
            .collect::<Vec<_>>()
    };
    assert_eq!(gpa(&long, 1 << 48 | 5, &words), Some(0x80_0005));
    let walked = walk_of(&long, 1 << 48 | 5, &words);
    assert_eq!(names(walked), ["PML5", "PML4", "PDPT", "PD"]);
}

#[test]
fn three_levels_below_a_table_that_is_aligned_to_32_bytes() {
    let words = [
        (0x1030, 0x2081),
        (0x1038, 0x2001),
        (0x2ff8, 0x3003),
        (0x2ff0, 0x1_0020_0083),
        (0x3ff8, 0x9003),
    ];
    assert_eq!(gpa(&PAE, 0xffff_f123, &words), Some(0x9123));
    assert_eq!(gpa(&PAE, 0xffc0_0123, &words), Some(0x1_0020_0123));
    // PS is none of the flags that a pointer has.
    let reserved = at(TableLevel::Pdpt, MissReason::Reserved);
    assert_eq!(miss(&PAE, 0xbfff_f123, &words), reserved);
}

#[test]
fn two_levels_and_pages_of_4_mib_where_cr4_allows_them() {
    let words = [
        (0x1000, 0x3003_0000_2003),
        // PDE 2 with bits 32 and 33 of its address in bits 13 and 14.
        (0x1008, 0x0080_6083),
        (0x2008, 0x5003_0000_0000),
        (0x80_6008, 0x7003),
    ];
    let without = state(PAGED, 0x1000, 0, 0);
    assert_eq!(gpa(&LARGE_32, 0x3abc, &words), Some(0x5abc));
    assert_eq!(gpa(&LARGE_32, 0x0080_2abc, &words), Some(0x3_0080_2abc));
    assert_eq!(gpa(&without, 0x0080_2abc, &words), Some(0x7abc));
}

#[test]
fn a_right_counts_only_if_every_level_grants_it() {
    let nx = PagingState {
        efer: EFER_LMA | EFER_NXE,
        ..LONG
    };
    let rights = |flags: [u64; 4]| {
        let words = [0x1000, 0x2000, 0x3000, 0x4000].map(|gpa| (gpa, gpa + 0x1000));
        let words: Vec<_> = words
            .into_iter()
            .zip(flags)
            .map(|((gpa, next), flags)| (gpa, next | flags))
            .collect();
        let page = walk_of(&nx, 0, &words).result.unwrap();
        (page.writable, page.user, page.executable)
    };
    assert_eq!(rights([ALL; 4]), (true, true, true));
    for level in 0..4 {
        let without = |flag| {
            let mut flags = [ALL; 4];
            flags[level] ^= flag;
            rights(flags)
        };
        assert_eq!(without(WRITABLE), (false, true, true));
        assert_eq!(without(USER), (true, false, true));
        assert_eq!(without(NO_EXECUTE_FLAG), (true, true, false));
    }
}

#[test]
fn bits_that_must_be_zero_are_told() {
    use TableLevel::{Pd, Pdpt, Pml4, Pt};
    let tables = |level: usize, bits: u64| {
        let mut words = [
            (0x1000, 0x2007),
            (0x2000, 0x3007),
            (0x3000, 0x4007),
            (0x4000, 0x5007),
        ];
        words[level].1 |= bits;
        miss(&LONG, 0, &words)
    };
    let reserved = |level| at(level, MissReason::Reserved);
    for (index, level) in [Pml4, Pdpt, Pd, Pt].into_iter().enumerate() {
        // Beyond MAXPHYADDR, and XD without EFER.NXE.
        assert_eq!(tables(index, 1 << 40), reserved(level));
        assert_eq!(tables(index, NO_EXECUTE_FLAG), reserved(level));
        assert_eq!(tables(index, 1 << 52), None);
    }
    assert_eq!(tables(0, PAGE_SIZE), reserved(Pml4));
    // Low bits of the address of a large page.
    assert_eq!(tables(1, PAGE_SIZE | 1 << 29), reserved(Pdpt));
    assert_eq!(tables(2, PAGE_SIZE | 1 << 20), reserved(Pd));
    // PAT in a page table.
    assert_eq!(tables(3, PAGE_SIZE), None);
    let large = |bits: u64| miss(&LARGE_32, 0, &[(0x1000, 0x87 | bits)]);
    assert_eq!(large(1 << 21), reserved(Pd));
    assert_eq!(large(1 << 20), None);
}

#[test]
fn a_page_of_1_gib_needs_its_feature() {
    let without = PagingState {
        features: PagingFeatures {
            has_1gib: false,
            ..FEATURES
        },
        ..LONG
    };
    let words = [(0x1000, 0x2007), (0x2000, 0x4000_0087)];
    assert_eq!(gpa(&LONG, 0x123, &words), Some(0x4000_0123));
    let lacks = at(TableLevel::Pdpt, MissReason::NoGigabytePage);
    assert_eq!(miss(&without, 0x123, &words), lacks);
}

#[test]
fn an_address_that_is_not_canonical_asks_no_table() {
    let none = Some(Miss {
        level: None,
        why: MissReason::NonCanonical,
    });
    let no_memory = at(TableLevel::Pml4, MissReason::NoMemory);
    assert_eq!(miss(&LONG, 0x0000_8000_0000_0000, &[]), none);
    assert_eq!(miss(&LONG, 0xffff_7fff_ffff_ffff, &[]), none);
    assert_eq!(miss(&LONG, 0xffff_8000_0000_0000, &[]), no_memory);
    assert_eq!(miss(&PAE, 1 << 32, &[]), none);
    assert_eq!(miss(&state(0, 0, 0, 0), 1 << 32, &[]), none);
}

#[test]
fn features_are_those_of_cpuid() {
    let entry = |function, eax, edx| kvm_bindings::kvm_cpuid_entry2 {
        function,
        eax,
        edx,
        ..Default::default()
    };
    let of = |entries: &[_]| PagingFeatures::of(&CpuId::from_entries(entries).unwrap());
    let all = of(&[
        entry(FEATURES_LEAF, 0, GIGABYTE_PAGES | NO_EXECUTE),
        entry(ADDRESSES_LEAF, 0x3930, 0),
    ]);
    assert_eq!(
        (all.max_phys_bits, all.has_1gib, all.has_nx),
        (48, true, true)
    );
    let none = of(&[]);
    assert_eq!(
        (none.max_phys_bits, none.has_1gib, none.has_nx),
        (36, false, false)
    );
    assert_eq!(of(&[entry(ADDRESSES_LEAF, 0xff, 0)]).max_phys_bits, 52);
    let by = |ebx| {
        let leaf = entry(VENDOR_LEAF, 0, 0);
        of(&[kvm_bindings::kvm_cpuid_entry2 { ebx, ..leaf }]).is_amd
    };
    assert!(by(u32::from_le_bytes(*b"Auth")));
    assert!(!by(u32::from_le_bytes(*b"Genu")));
}
