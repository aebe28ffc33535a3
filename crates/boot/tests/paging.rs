//! The walk of page tables against a second one, written down from the manual's tables bit by bit,
//! over random tables in all forms of paging.

use std::collections::BTreeMap;

use boot::paging::TableLevel::{Pd, Pdpt, Pml4, Pml5, Pt};
use boot::paging::{MissReason, PagingFeatures, PagingForm, PagingState, TableLevel, Walk, walk};
use boot::state::{CR0_PE, CR0_PG, CR4_LA57, CR4_PAE, CR4_PSE, EFER_LMA, EFER_NXE};

const MEMORIES: u32 = 150;
const ADDRESSES: u32 = 200;
/// Tables point to these pages, and to one more, where there is no memory.
const PAGES: u64 = 8;
const PAGE: u64 = 4096;

/// Marsaglia's xorshift64: the same in every run.
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    const fn below(&mut self, count: u64) -> u64 {
        (self.next() >> 11) % count
    }

    const fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// What an entry with PS is.
#[derive(Clone, Copy, PartialEq)]
enum Ps {
    /// A page.
    Page,
    /// A page if CR4.PSE is set.
    PageWithPse,
    /// A table: the flag is another or ignored.
    Table,
}

/// One level of a form of paging, in the manual's words.
struct Level {
    level: TableLevel,
    /// The highest and the lowest bit of the linear address that choose the entry.
    index: (u32, u32),
    ps: Ps,
    /// Bits that are zero in an entry that points to a table, and in one that is a page.
    zero_table: &'static [u32],
    zero_page: &'static [u32],
}

const fn level(
    level: TableLevel,
    index: (u32, u32),
    ps: Ps,
    zero_table: &'static [u32],
    zero_page: &'static [u32],
) -> Level {
    Level {
        level,
        index,
        ps,
        zero_table,
        zero_page,
    }
}

const BITS_13_TO_20: &[u32] = &[13, 14, 15, 16, 17, 18, 19, 20];
const BITS_13_TO_29: &[u32] = &[
    13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29,
];

const FIVE: [Level; 5] = [
    level(Pml5, (56, 48), Ps::Table, &[7], &[]),
    level(Pml4, (47, 39), Ps::Table, &[7], &[]),
    level(Pdpt, (38, 30), Ps::Page, &[], BITS_13_TO_29),
    level(Pd, (29, 21), Ps::Page, &[], BITS_13_TO_20),
    level(Pt, (20, 12), Ps::Table, &[], &[]),
];
const PAE: [Level; 3] = [
    level(Pdpt, (31, 30), Ps::Table, &[1, 2, 5, 6, 7, 8, 63], &[]),
    level(Pd, (29, 21), Ps::Page, &[], BITS_13_TO_20),
    level(Pt, (20, 12), Ps::Table, &[], &[]),
];
const BITS_32: [Level; 2] = [
    level(Pd, (31, 22), Ps::PageWithPse, &[], &[21]),
    level(Pt, (21, 12), Ps::Table, &[], &[]),
];

/// Bits `high` to `low` of a value.
const fn slice(value: u64, (high, low): (u32, u32)) -> u64 {
    (value as u128 % (1u128 << (high + 1)) / (1u128 << low)) as u64
}

const fn bit(value: u64, index: u32) -> bool {
    slice(value, (index, index)) == 1
}

type Found = Result<(u64, u64, [bool; 3]), (Option<TableLevel>, MissReason)>;

fn model(form: PagingForm, state: &PagingState, linear: u64, memory: &[u8]) -> Found {
    let (levels, top): (&[Level], u64) = match form {
        PagingForm::None => (&[], 31),
        PagingForm::Bits32 => (&BITS_32, 31),
        PagingForm::Pae => (&PAE, 31),
        PagingForm::FourLevel => (&FIVE[1..], 47),
        PagingForm::FiveLevel => (&FIVE, 56),
    };
    let is_long = top > 31;
    let sign = is_long && bit(linear, top as u32);
    if (top as u32 + 1..64).any(|index| bit(linear, index) != sign) {
        return Err((None, MissReason::NonCanonical));
    }
    let bytes = if form == PagingForm::Bits32 { 4 } else { 8 };
    let mut base = match form {
        PagingForm::Pae => slice(state.cr3, (31, 5)) << 5,
        PagingForm::Bits32 => slice(state.cr3, (31, 12)) << 12,
        _ => slice(state.cr3, (51, 12)) << 12,
    };
    let mut rights = [true; 3];
    let mut last = 11;
    for row in levels {
        let miss = |why| Err((Some(row.level), why));
        let at = base + slice(linear, row.index) * bytes;
        let Some(entry) = memory.get(at as usize..(at + bytes) as usize) else {
            return miss(MissReason::NoMemory);
        };
        let entry = entry
            .iter()
            .rev()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        if !bit(entry, 0) {
            return miss(MissReason::NotPresent);
        }
        let pse = state.cr4 & CR4_PSE != 0;
        let large = row.ps == Ps::Page || row.ps == Ps::PageWithPse && pse;
        let is_page = row.level == Pt || large && bit(entry, 7);
        if is_page && row.level == Pdpt && !state.features.has_1gib {
            return miss(MissReason::NoGigabytePage);
        }
        if reserved(form, state, row, is_page).any(|index| bit(entry, index)) {
            return miss(MissReason::Reserved);
        }
        if !(form == PagingForm::Pae && row.level == Pdpt) {
            let no_execute = bytes == 8 && state.efer & EFER_NXE != 0 && bit(entry, 63);
            let own = [bit(entry, 2), bit(entry, 1), !no_execute];
            rights = std::array::from_fn(|index| rights[index] && own[index]);
        }
        last = row.index.1 - 1;
        base = slice(entry, (51, 12)) << 12;
        if is_page {
            base = slice(entry, (51, last + 1)) << (last + 1);
            if form == PagingForm::Bits32 && row.level == Pd {
                base += slice(entry, (20, 13)) << 32;
            }
            break;
        }
    }
    match form {
        PagingForm::None => Ok((linear, PAGE, rights)),
        _ => Ok((base + slice(linear, (last, 0)), 2 << last, rights)),
    }
}

fn reserved<'a>(
    form: PagingForm,
    state: &PagingState,
    row: &'a Level,
    is_page: bool,
) -> impl Iterator<Item = u32> + 'a {
    let max = u32::from(state.features.max_phys_bits);
    let listed = if is_page {
        row.zero_page
    } else {
        row.zero_table
    };
    let high = match form {
        PagingForm::None => 0..0,
        // Bits 32 to 39 of the address of a page of 4 MiB are its bits 13 to 20.
        PagingForm::Bits32 if is_page && row.level == Pd => max.min(40) - 32 + 13..22,
        PagingForm::Bits32 => 0..0,
        PagingForm::Pae => max..63,
        PagingForm::FourLevel | PagingForm::FiveLevel => max..52,
    };
    let no_execute = form != PagingForm::Bits32 && state.efer & EFER_NXE == 0;
    let amd = state.features.is_amd && matches!(row.level, Pml4 | Pml5);
    let others = [no_execute.then_some(63), amd.then_some(8)];
    let accessed = state.features.is_amd && form == PagingForm::Pae && row.level == Pdpt;
    listed
        .iter()
        .copied()
        .filter(move |index| !(accessed && *index == 5))
        .chain(high)
        .chain(others.into_iter().flatten())
}

fn entry(random: &mut Random, bits: u32) -> u64 {
    let mut entry = random.below(PAGES + 1) * PAGE;
    let mut set = |index: u32, one_in| {
        if random.one_in(one_in) {
            entry ^= 1 << index;
        }
    };
    for (index, one_in) in [(0, 24), (1, 8), (2, 8)] {
        set(index, 1);
        set(index, one_in);
    }
    if bits == 64 {
        set(63, 8);
    }
    set(7, 6);
    set(8, 24);
    for _ in 0..3 {
        if random.one_in(12) {
            entry ^= 1 << random.below(u64::from(bits));
        }
    }
    if entry & 1 << 7 != 0 && random.one_in(2) {
        // A page of any size, aligned.
        let shift = [21, 22, 30][random.below(3) as usize];
        entry &= 0xfff | 1 << 63;
        entry |= random.below(8) << shift;
    }
    if bits == 32 {
        entry & 0xffff_ffff
    } else {
        entry
    }
}

fn memory(random: &mut Random, form: PagingForm) -> Vec<u8> {
    let bits = if form == PagingForm::Bits32 { 32 } else { 64 };
    let bytes = bits as usize / 8;
    let count = (PAGES * PAGE) as usize / bytes;
    // Pointers of PAE paging have few flags, and half of the tables are theirs.
    let as_pointer = |random: &mut Random, entry: u64| {
        let pointer = entry & !(0x1e6 | 1 << 63);
        if random.one_in(4) {
            pointer ^ 1 << random.below(10)
        } else {
            pointer
        }
    };
    (0..count)
        .flat_map(|_| {
            let mut entry = entry(random, bits);
            if form == PagingForm::Pae && random.one_in(2) {
                entry = as_pointer(random, entry);
            }
            entry.to_le_bytes().into_iter().take(bytes)
        })
        .collect()
}

fn state(random: &mut Random, form: PagingForm) -> PagingState {
    let mut either = |value: u64| if random.one_in(2) { value } else { 0 };
    let nx = either(EFER_NXE);
    let (cr4, efer) = match form {
        PagingForm::None => (either(CR4_PAE), 0),
        PagingForm::Bits32 => (either(CR4_PSE), nx),
        PagingForm::Pae => (CR4_PAE | either(CR4_PSE), nx),
        PagingForm::FourLevel => (CR4_PAE, EFER_LMA | nx),
        PagingForm::FiveLevel => (CR4_PAE | CR4_LA57, EFER_LMA | nx),
    };
    let pg = if form == PagingForm::None { 0 } else { CR0_PG };
    PagingState {
        cr0: CR0_PE | pg,
        cr3: random.below(PAGES + 1) * PAGE + random.below(PAGE),
        cr4,
        efer,
        features: PagingFeatures {
            max_phys_bits: [32, 36, 39, 40, 46, 52][random.below(6) as usize],
            has_1gib: random.one_in(2),
            has_nx: true,
            is_amd: random.one_in(2),
        },
    }
}

fn address(random: &mut Random, form: PagingForm) -> u64 {
    if random.one_in(16) {
        return random.next();
    }
    let unused = match form {
        PagingForm::None | PagingForm::Bits32 | PagingForm::Pae => return random.next() >> 32,
        PagingForm::FourLevel => 16,
        PagingForm::FiveLevel => 7,
    };
    let canonical = ((random.next() << unused) as i64 >> unused) as u64;
    if random.one_in(16) {
        return canonical ^ 1 << (63 - random.below(unused + 1));
    }
    canonical
}

fn found(walk: &Walk) -> Found {
    match walk.result {
        Ok(page) => Ok((
            page.gpa,
            page.page_bytes,
            [page.user, page.writable, page.executable],
        )),
        Err(miss) => Err((miss.level, miss.why)),
    }
}

/// How often each end was seen: a page's size, or the level and what was wrong there.
fn ends_of(form: PagingForm, seed: u64) -> BTreeMap<String, u32> {
    let mut random = Random(seed);
    let mut ends = BTreeMap::new();
    for _ in 0..MEMORIES {
        let memory = memory(&mut random, form);
        let state = state(&mut random, form);
        assert_eq!(PagingForm::of(&state), form);
        for _ in 0..ADDRESSES {
            let linear = address(&mut random, form);
            let walked = walk(&state, linear, |gpa, into| {
                let bytes = memory.get(gpa as usize..gpa as usize + into.len());
                bytes.is_some_and(|bytes| {
                    into.copy_from_slice(bytes);
                    true
                })
            });
            let expected = model(form, &state, linear, &memory);
            assert_eq!(
                found(&walked),
                expected,
                "{linear:#x} {state:x?} {walked:x?}"
            );
            let end = match expected {
                Ok((_, bytes, rights)) => format!("{bytes:#x} {rights:?}"),
                Err((level, why)) => format!("{} {why:?}", level.map_or("", TableLevel::name)),
            };
            *ends.entry(end).or_default() += 1;
        }
    }
    ends
}

/// What must have been seen for a comparison to say anything.
fn check(form: PagingForm, expected: &[&str]) {
    let ends = ends_of(form, 0x9e37_79b9_7f4a_7c15);
    for end in expected {
        let seen: u32 = ends
            .iter()
            .filter(|(name, _)| name.starts_with(end))
            .map(|(_, count)| count)
            .sum();
        assert!(
            seen >= 5,
            "{form:?}: {end} was seen {seen} times of {ends:#?}"
        );
    }
}

#[test]
fn addresses_without_paging() {
    check(PagingForm::None, &["0x1000 ", " NonCanonical"]);
}

#[test]
fn tables_of_32_bit_paging() {
    check(
        PagingForm::Bits32,
        &[
            "0x1000 [true, true, true]",
            "0x1000 [true, false, true]",
            "0x1000 [false, true, true]",
            "0x400000 [true, true, true]",
            "0x400000 [true, false, true]",
            "PD NotPresent",
            "PD Reserved",
            "PD NoMemory",
            "PT NotPresent",
            "PT NoMemory",
            " NonCanonical",
        ],
    );
}

#[test]
fn tables_of_pae_paging() {
    check(
        PagingForm::Pae,
        &[
            "0x1000 [true, true, true]",
            "0x1000 [true, true, false]",
            "0x1000 [false, true, true]",
            "0x200000 [true, true, true]",
            "0x200000 [true, true, false]",
            "PDPT NotPresent",
            "PDPT Reserved",
            "PD NotPresent",
            "PD Reserved",
            "PD NoMemory",
            "PT NotPresent",
            "PT Reserved",
            "PT NoMemory",
            " NonCanonical",
        ],
    );
}

const LONG_ENDS: [&str; 16] = [
    "0x1000 [true, true, true]",
    "0x1000 [true, true, false]",
    "0x1000 [true, false, true]",
    "0x200000 [true, true, true]",
    "0x40000000 [true, true, true]",
    "PML4 NotPresent",
    "PML4 Reserved",
    "PDPT NotPresent",
    "PDPT Reserved",
    "PDPT NoGigabytePage",
    "PD NotPresent",
    "PD Reserved",
    "PT NotPresent",
    "PT Reserved",
    "PT NoMemory",
    " NonCanonical",
];

#[test]
fn tables_of_four_levels() {
    check(PagingForm::FourLevel, &LONG_ENDS);
}

#[test]
fn tables_of_five_levels() {
    check(PagingForm::FiveLevel, &LONG_ENDS);
    check(PagingForm::FiveLevel, &["PML5 NotPresent", "PML5 Reserved"]);
}
