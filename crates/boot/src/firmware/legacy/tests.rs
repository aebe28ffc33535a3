//! The areas are read back as kernels read them: by the offsets of the BIOS data area, and by the
//! scan of the MP specification.

use super::*;

const LEGACY: Legacy = Legacy {
    cpus: 1,
    serial: true,
    text_screen: false,
};

/// Guest memory with nothing but the areas in it.
fn memory(legacy: Legacy) -> Vec<u8> {
    let mut memory = vec![0; 1 << 20];
    for (gpa, bytes) in areas(&legacy) {
        let start = gpa as usize;
        memory[start..start + bytes.len()].copy_from_slice(&bytes);
    }
    memory
}

fn number(memory: &[u8], at: usize, bytes: usize) -> usize {
    let digits = memory[at..at + bytes].iter().rev();
    digits.fold(0, |value, byte| value << 8 | usize::from(*byte))
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// The floating pointer in a range (MP specification §4.1): on a paragraph, of sum zero.
fn find(memory: &[u8], from: usize, bytes: usize) -> Option<usize> {
    let mut paragraphs = (from..from + bytes).step_by(16);
    paragraphs.find(|at| memory[*at..].starts_with(b"_MP_") && sum(&memory[*at..*at + 16]) == 0)
}

#[test]
fn base_memory_ends_where_the_ebda_begins() {
    let memory = memory(LEGACY);
    let ebda = number(&memory, 0x40e, 2) << 4;
    assert_eq!(ebda, 0x9_fc00);
    assert_eq!(number(&memory, 0x413, 2) << 10, ebda);
    // Its size in KiB: up to 0xa0000.
    assert_eq!(ebda + (number(&memory, ebda, 1) << 10), 0xa_0000);
}

#[test]
fn the_data_area_names_the_devices_that_are_there() {
    let with = memory(Legacy {
        text_screen: true,
        ..LEGACY
    });
    assert_eq!(number(&with, 0x400, 2), 0x3f8);
    assert_eq!(
        number(&with, 0x410, 2),
        0x0222,
        "a port, 80 columns, an FPU"
    );
    assert_eq!((number(&with, 0x449, 1), number(&with, 0x44a, 2)), (3, 80));
    assert_eq!(
        (number(&with, 0x463, 2), number(&with, 0x484, 1)),
        (0x3d4, 24)
    );
    let without = memory(Legacy {
        serial: false,
        ..LEGACY
    });
    assert_eq!(
        (number(&without, 0x400, 2), number(&without, 0x410, 2)),
        (0, 2)
    );
    assert_eq!(number(&without, 0x449, 0x40), 0);
}

#[test]
fn the_pointer_is_found_wherever_kernels_look() {
    let memory = memory(LEGACY);
    for (from, bytes) in [(0x9_fc00, 0x400), (0xf_0000, 0x1_0000)] {
        let at = find(&memory, from, bytes).expect("no pointer");
        assert_eq!(number(&memory, at + 4, 4), 0xf_0010);
        assert_eq!(memory[at + 8..at + 10], [1, 4]);
        assert_eq!(
            memory[at + 11..at + 16],
            [0; 5],
            "a table, virtual wire mode"
        );
    }
}

/// The bytes of each entry, by its type's length (§4.3).
fn entries(cpus: u8) -> Vec<Vec<u8>> {
    let memory = memory(Legacy { cpus, ..LEGACY });
    let table = &memory[0xf_0010..];
    assert_eq!(&table[..4], b"PCMP");
    let bytes = number(table, 4, 2);
    assert_eq!((sum(&table[..bytes]), table[6]), (0, 4));
    assert_eq!(number(table, 36, 4), 0xfee0_0000);
    let (mut at, mut found) = (44, Vec::new());
    while at < bytes {
        let length = if table[at] == 0 { 20 } else { 8 };
        found.push(table[at..at + length].to_vec());
        at += length;
    }
    assert_eq!((at, found.len()), (bytes, number(table, 34, 2)));
    found
}

#[test]
fn every_cpu_has_an_entry_and_the_first_one_boots() {
    for cpus in [1, 2, 64, 255] {
        let all = entries(cpus);
        let found: Vec<_> = all.iter().filter(|entry| entry[0] == 0).collect();
        assert_eq!(found.len(), usize::from(cpus));
        for (id, entry) in (0..=u8::MAX).zip(found) {
            assert_eq!((entry[1], entry[2]), (id, 0x14));
            assert_eq!(entry[3], if id == 0 { 3 } else { 1 });
        }
    }
}

#[test]
fn entries_come_in_the_order_of_their_types() {
    let kinds: Vec<u8> = entries(3).iter().map(|entry| entry[0]).collect();
    assert!(kinds.is_sorted(), "{kinds:?}");
}

#[test]
fn lines_go_to_the_inputs_that_the_madt_names() {
    let all = entries(2);
    let of = |kind: u8| all.iter().filter(move |entry| entry[0] == kind);
    assert_eq!(of(1).collect::<Vec<_>>(), [b"\x01\x00ISA   "]);
    let ioapic: &[u8] = &[2, 0, 0x11, 1, 0, 0, 0xc0, 0xfe];
    assert_eq!(of(2).collect::<Vec<_>>(), [ioapic]);
    let inputs: Vec<_> = of(3).map(|entry| (entry[5], entry[7])).collect();
    let isa = (0..16).filter(|line| *line != 2);
    let expected: Vec<_> = isa
        .map(|line| (line, if line == 0 { 2 } else { line }))
        .collect();
    assert_eq!(inputs, expected);
    for entry in of(3) {
        let flags = if entry[5] == 9 { 0x0d } else { 0 };
        assert_eq!(
            (entry[1], number(entry, 2, 2), entry[4], entry[6]),
            (0, flags, 0, 0)
        );
    }
    let local: Vec<_> = of(4).map(Vec::as_slice).collect();
    let expected: [&[u8]; 2] = [&[4, 3, 0, 0, 0, 0, 0, 0], &[4, 1, 0, 0, 0, 0, 0xff, 1]];
    assert_eq!(local, expected);
}
