use super::*;

/// Memory as a list of 64-bit words by address, in front of bytes that say where they lie.
struct Words<'a>(&'a [(u64, u64)]);

impl Words<'_> {
    fn read(&self, gpa: u64, into: &mut [u8]) -> bool {
        let word = self.0.iter().find(|(at, _)| *at == gpa & !7);
        let Some((_, word)) = word else { return false };
        let bytes = word.to_le_bytes();
        let start = (gpa & 7) as usize;
        into.copy_from_slice(&bytes[start..start + into.len()]);
        true
    }
}

fn translate(special: &kvm_sregs, linear: u64, words: &[(u64, u64)]) -> Option<u64> {
    physical(special, linear, &|gpa, into: &mut [u8]| {
        Words(words).read(gpa, into)
    })
}

fn special(cr0: u64, cr3: u64, cr4: u64, efer: u64) -> kvm_sregs {
    kvm_sregs {
        cr0,
        cr3,
        cr4,
        efer,
        ..Default::default()
    }
}

const PAGED: u64 = CR0_PE | CR0_PG;

#[test]
fn without_paging_a_linear_address_is_physical() {
    let flat = special(CR0_PE, 0x1000, CR4_PAE, 0);
    assert_eq!(translate(&flat, 0xdead_beef, &[]), Some(0xdead_beef));
}

#[test]
fn four_levels_with_pages_of_every_size() {
    let long = special(PAGED, 0x1000 | 0x18, CR4_PAE, EFER_LMA);
    let words = [
        (0x1ff8, 0x2003),
        (0x2008, 0x3003),
        (0x2010, 0x1_4000_0083),
        (0x3010, 0x4003),
        (0x3018, 0x8000_0000_0060_0083),
        (0x4018, 0x8000_0000_0012_3003),
        (0x4020, 0x0012_3002),
    ];
    let base = 0xffff_ff80_0000_0000;
    let at = |offset: u64| translate(&long, base + offset, &words);
    assert_eq!(at(0x4040_3abc), Some(0x0012_3abc), "4 KiB");
    assert_eq!(at(0x4060_1abc), Some(0x0060_1abc), "2 MiB");
    assert_eq!(at(0x8123_4567), Some(0x1_4123_4567), "1 GiB");
    assert_eq!(at(0x4040_4abc), None, "not present");
    assert_eq!(at(0), None, "no table");
}

#[test]
fn five_levels() {
    let long = special(PAGED, 0x1000, CR4_PAE | CR4_LA57, EFER_LMA);
    let words = [
        (0x1008, 0x2003),
        (0x2000, 0x3003),
        (0x3000, 0x4003),
        (0x4000, 0x80_0083),
    ];
    assert_eq!(translate(&long, 1 << 48 | 5, &words), Some(0x80_0005));
}

#[test]
fn three_levels_below_a_table_that_is_aligned_to_32_bytes() {
    let pae = special(PAGED, 0x1020, CR4_PAE, 0);
    // PS means nothing in the first level.
    let words = [
        (0x1038, 0x2081),
        (0x2ff8, 0x3003),
        (0x2ff0, 0x1_0020_0083),
        (0x3ff8, 0x9003),
    ];
    assert_eq!(translate(&pae, 0xffff_f123, &words), Some(0x9123));
    assert_eq!(translate(&pae, 0xffc0_0123, &words), Some(0x1_0020_0123));
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
    let with = special(PAGED, 0x1000, CR4_PSE, 0);
    let without = special(PAGED, 0x1000, 0, 0);
    assert_eq!(translate(&with, 0x3abc, &words), Some(0x5abc));
    assert_eq!(translate(&with, 0x0080_2abc, &words), Some(0x3_0080_2abc));
    assert_eq!(translate(&without, 0x0080_2abc, &words), Some(0x7abc));
}

#[test]
fn bytes_end_where_memory_or_the_mapping_does() {
    let end = 0x3000;
    let read = |gpa: u64, into: &mut [u8]| {
        into.iter_mut()
            .zip(gpa..)
            .for_each(|(byte, at)| *byte = at as u8);
        gpa + into.len() as u64 <= end
    };
    let at = |base, rip| {
        let mut special = special(0, 0, 0, 0);
        special.cs.base = base;
        let registers = kvm_regs {
            rip,
            ..Default::default()
        };
        instruction_bytes(&registers, &special, read)
    };
    assert_eq!(at(0x1000, 0x10), (0x10..0x1f).collect::<Vec<u8>>());
    // Across a page.
    assert_eq!(at(0, 0x1ffc).len(), MOST_INSTRUCTION_BYTES);
    assert_eq!(at(0x2000, 0xffe), [0xfe, 0xff]);
    assert_eq!(at(0x2000, 0x1000), []);
    // An address of 32 bits wraps.
    assert_eq!(at(0xffff_0000, 0x1_0000).len(), MOST_INSTRUCTION_BYTES);
    assert_eq!(at(0, u64::MAX), []);
}

#[test]
fn every_mode_has_its_word() {
    let word = |cr0, efer, l, rflags| {
        let mut special = special(cr0, 0, 0, efer);
        special.cs.l = l;
        let registers = kvm_regs {
            rflags,
            ..Default::default()
        };
        mode(&registers, &special)
    };
    assert_eq!(word(0, 0, 0, 0), "real");
    assert_eq!(word(CR0_PE, 0, 0, 0), "protected");
    assert_eq!(word(PAGED, 0, 0, 0), "paged32");
    assert_eq!(word(PAGED, 0, 0, RFLAGS_VM), "virtual-8086");
    assert_eq!(word(PAGED, EFER_LMA, 1, 0), "long");
    assert_eq!(word(PAGED, EFER_LMA, 0, 0), "compatibility");
}
