//! Flat images.

use boot::{ErrorKind, Format, LoadRequest, StartRegisters};

use crate::images::{assert_refused, ram, request};

const PAYLOAD: ErrorKind = ErrorKind::Payload;

#[test]
fn a_flat_image_is_one_part_and_leaves_the_mode_to_the_caller() {
    let image = [0xb0, 42, 0xf4];
    let loaded = boot::load(&LoadRequest {
        load_gpa: 0x7c00,
        ..request(&image)
    })
    .unwrap();
    assert_eq!((loaded.format, loaded.mode), (Format::Flat, None));
    assert_eq!(loaded.entry_gpa, 0x7c00);
    assert_eq!(loaded.registers, StartRegisters::default());
    let [part] = loaded.parts.as_slice() else {
        panic!("{:?}", loaded.parts)
    };
    assert_eq!((part.what, part.gpa), ("image", 0x7c00));
    assert_eq!((&*part.bytes, part.memory_bytes), (&image[..], 3));
}

#[test]
fn an_entry_overrides_the_first_byte_within_the_slot() {
    let of = |entry_gpa| LoadRequest {
        load_gpa: 0x1000,
        entry_gpa: Some(entry_gpa),
        ..request(&[0xf4])
    };
    assert_eq!(boot::load(&of(0)).unwrap().entry_gpa, 0);
    assert_eq!(boot::load(&of(0x3ff_ffff)).unwrap().entry_gpa, 0x3ff_ffff);
    assert_refused(&of(0x400_0000), PAYLOAD, &["entryGpa", "0x4000000"]);
    assert_refused(&of(u64::MAX), PAYLOAD, &["entryGpa"]);
    let slots = [ram(0, 0x2000), ram(0x2000, 0x1000)];
    let across = LoadRequest {
        slots: &slots,
        ..of(0x2000)
    };
    assert_refused(&across, PAYLOAD, &["entryGpa", "0x2000"]);
}

#[test]
fn an_image_lies_in_one_slot_and_in_nobodys_reserved_range() {
    let slots = [ram(0, 0x2000), ram(0x2000, 0x1000), ram(8 << 30, 0x1000)];
    let of = |load_gpa| LoadRequest {
        load_gpa,
        slots: &slots,
        reserved: &[0x800..0x900, 0xfe00_0000..0xfe00_1000],
        ..request(&[0xf4; 16])
    };
    for gpa in [0, 0x7f0, 0x900, 0x1ff0, 0x2000, (8 << 30) + 0xff0] {
        assert_eq!(boot::load(&of(gpa)).unwrap().parts[0].gpa, gpa);
    }
    for gpa in [0x1ff1, 0x2ff1, 0x3000, (8 << 30) + 0xff1, u64::MAX - 3] {
        let words = ["image", "16 bytes", "memory", &format!("{gpa:#x}")];
        assert_refused(&of(gpa), PAYLOAD, &words);
    }
    for gpa in [0x7f1, 0x8ff] {
        assert_refused(&of(gpa), PAYLOAD, &["image", "reserved", "0x800..0x900"]);
    }
}

#[test]
fn what_looks_like_nothing_else_is_flat_and_flat_can_be_asked_for() {
    assert_refused(&request(&[]), PAYLOAD, &["image", "0 bytes"]);
    // Almost an ELF image, almost a multiboot header, almost a bzImage.
    let mut lone_magic = vec![0; 0x210];
    lone_magic[..4].copy_from_slice(&0x1bad_b002u32.to_le_bytes());
    lone_magic[0x203..0x207].copy_from_slice(b"HdrS");
    for image in [&b"\x7fELG"[..], &lone_magic] {
        assert_eq!(boot::load(&request(image)).unwrap().format, Format::Flat);
    }
    let elf = crate::images::elf32(0, &[]);
    let asked = LoadRequest {
        format: Some(Format::Flat),
        ..request(&elf)
    };
    assert_eq!(boot::load(&asked).unwrap().parts[0].bytes.len(), 52);
}
