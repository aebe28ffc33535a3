//! ELF images, 32 and 64 bits.

use boot::{CpuMode, ErrorKind, Format, LoadRequest, StartRegisters};

use crate::images::{
    MEMORY, PT_INTERP, RW, Segment, assert_refused, elf32, elf64, notes, part, put, ram, request,
    segment,
};

const PAYLOAD: ErrorKind = ErrorKind::Payload;

/// Code at 1 MiB, followed by data in the same segment's memory, and a segment of zeros only.
fn segments() -> [Segment; 2] {
    [
        segment(0x10_0000, &[1, 2, 3, 4], 0x2000),
        segment(0x20_0000, &[], 0x1_0000),
    ]
}

#[test]
fn elf32_starts_in_protected_mode_and_elf64_in_long_mode() {
    let images = [
        (elf32(0x10_0002, &segments()), CpuMode::Protected),
        (elf64(0x10_0002, &segments()), CpuMode::Long),
    ];
    for (image, mode) in images {
        let loaded = boot::load(&request(&image)).unwrap();
        assert_eq!((loaded.format, loaded.mode), (Format::Elf, Some(mode)));
        assert_eq!(loaded.entry_gpa, 0x10_0002);
        assert_eq!(loaded.registers, StartRegisters::default());
        assert_eq!(loaded.parts.len(), 2);
        let text = part(&loaded, "segment");
        assert_eq!((text.gpa, text.memory_bytes), (0x10_0000, 0x2000));
        assert_eq!(&*text.bytes, [1, 2, 3, 4]);
        let bss = part(&loaded, "bss");
        assert_eq!((bss.gpa, bss.memory_bytes), (0x20_0000, 0x1_0000));
        assert!(bss.bytes.is_empty());
    }
}

#[test]
fn segments_go_to_their_physical_addresses_and_a_virtual_entry_follows_them() {
    let high = Segment {
        vaddr: 0xffff_ffff_8010_0000,
        ..segment(0x10_0000, &[0xf4; 8], 0x1000)
    };
    let virtual_entry = elf64(0xffff_ffff_8010_0fff, std::slice::from_ref(&high));
    let loaded = boot::load(&request(&virtual_entry)).unwrap();
    assert_eq!(
        (loaded.parts[0].gpa, loaded.entry_gpa),
        (0x10_0000, 0x10_0fff)
    );
    let physical_entry = elf64(0x10_0004, std::slice::from_ref(&high));
    assert_eq!(
        boot::load(&request(&physical_entry)).unwrap().entry_gpa,
        0x10_0004
    );
    // What is no code, such as Linux's data of each processor at virtual 0, does not make it
    // virtual.
    let data = Segment {
        flags: RW,
        vaddr: 0x10_0000,
        ..segment(0x30_0000, &[0; 8], 0x1000)
    };
    let both = elf64(0x10_0004, &[data, high.clone()]);
    assert_eq!(boot::load(&request(&both)).unwrap().entry_gpa, 0x10_0004);
    for entry in [0xffff_ffff_8010_1000, 0xf_ffff, 0] {
        let image = elf64(entry, std::slice::from_ref(&high));
        let words = ["e_entry", "0x18", &format!("{entry:#x}")];
        assert_refused(&request(&image), PAYLOAD, &words);
    }
}

#[test]
fn an_entry_that_could_be_either_is_virtual() {
    // Linked for 0x101000 and loaded at 0x100000: the same number is an address of both kinds.
    let shifted = Segment {
        vaddr: 0x10_1000,
        ..segment(0x10_0000, &[0xf4; 8], 0x4000)
    };
    let image = elf64(0x10_2800, &[shifted]);
    assert_eq!(boot::load(&request(&image)).unwrap().entry_gpa, 0x10_1800);
}

#[test]
fn a_segment_without_bytes_may_have_any_offset() {
    let mut image = elf64(0x10_0002, &segments());
    // p_offset of the second program header.
    put(&mut image, 64 + 56 + 8, &0x20_0000u64.to_le_bytes());
    let loaded = boot::load(&request(&image)).unwrap();
    assert_eq!(part(&loaded, "bss").memory_bytes, 0x1_0000);
}

#[test]
fn an_entry_of_the_caller_overrides_the_images_within_it() {
    // Its own entry lies nowhere.
    let image = elf64(0, &segments());
    let of = |entry| LoadRequest {
        entry_gpa: Some(entry),
        ..request(&image)
    };
    assert_eq!(boot::load(&of(0x20_ffff)).unwrap().entry_gpa, 0x20_ffff);
    assert_refused(&of(0x21_0000), PAYLOAD, &["entry", "0x210000"]);
}

#[test]
fn other_processors_are_refused_by_name() {
    let wide = elf64(0x10_0000, &segments());
    let narrow = elf32(0x10_0000, &segments());
    for (image, machine, name) in [
        (&wide, 183u16, "183 (AArch64)"),
        (&wide, 243, "243 (RISC-V)"),
        (&wide, 3, "3 (i386)"),
        (&wide, 0xbeef, "48879"),
        (&narrow, 40, "40 (ARM)"),
        (&narrow, 62, "62 (x86-64)"),
    ] {
        let mut image = image.clone();
        put(&mut image, 0x12, &machine.to_le_bytes());
        assert_refused(&request(&image), PAYLOAD, &["e_machine", "0x12", name]);
    }
    for (offset, value, field) in [(4, 3, "EI_CLASS"), (5, 2, "EI_DATA")] {
        let mut image = wide.clone();
        image[offset] = value;
        let words = [field, &format!("{offset:#x}"), &format!("got {value}")];
        assert_refused(&request(&image), PAYLOAD, &words);
    }
}

#[test]
fn only_what_is_linked_for_an_address_is_loaded() {
    let of = |e_type: u8, segments: &[Segment]| {
        let mut image = elf64(0x10_0000, segments);
        image[0x10] = e_type;
        image
    };
    assert!(boot::load(&request(&of(3, &segments()))).is_ok());
    for e_type in [0, 1, 4] {
        let words = ["e_type", "0x10", &format!("got {e_type}")];
        assert_refused(&request(&of(e_type, &segments())), PAYLOAD, &words);
    }
    let interpreter = Segment {
        p_type: PT_INTERP,
        ..segment(0x1000, b"/lib/ld.so\0", 11)
    };
    let program = [segments()[0].clone(), interpreter];
    assert!(boot::load(&request(&of(2, &program))).is_ok());
    assert_refused(
        &request(&of(3, &program)),
        PAYLOAD,
        &["PT_INTERP", "static"],
    );
    assert_refused(&request(&of(2, &[])), PAYLOAD, &["PT_LOAD"]);
    let empty = [segment(0x10_0000, &[], 0), notes(&[], 4)];
    assert_refused(&request(&of(2, &empty)), PAYLOAD, &["PT_LOAD"]);
}

#[test]
fn broken_headers_say_where_and_with_which_value() {
    let wide = elf64(0x10_0000, &segments());
    let narrow = elf32(0x10_0000, &segments());
    type Case<'a> = (&'a [u8], usize, &'a [u8], &'a [&'a str]);
    let cases: [Case; 9] = [
        (&wide, 0x36, &[32, 0], &["e_phentsize", "0x36", "56", "32"]),
        (
            &narrow,
            0x2a,
            &[56, 0],
            &["e_phentsize", "0x2a", "32", "56"],
        ),
        (
            &wide,
            0x38,
            &[200, 0],
            &["program headers", "0x40", "11200"],
        ),
        (
            &wide,
            0x20,
            &[0xff; 8],
            &["program headers", "0xffffffffffffffff"],
        ),
        (
            &narrow,
            0x1c,
            &[0xff; 4],
            &["program headers", "0xffffffff"],
        ),
        // The first program header's p_offset, p_filesz, p_memsz.
        (&wide, 0x48, &[0xff; 8], &["segment", "0xffffffffffffffff"]),
        // More than the file has, less than p_memsz.
        (&wide, 0x61, &[0x10], &["segment", "4100 bytes", "0xb0"]),
        (&wide, 0x68, &[3, 0], &["p_memsz", "0x68", "0x4", "got 0x3"]),
        (
            &narrow,
            0x48,
            &[3, 0],
            &["p_memsz", "0x48", "0x4", "got 0x3"],
        ),
    ];
    for (image, offset, field, words) in cases {
        let mut image = image.to_vec();
        put(&mut image, offset, field);
        assert_refused(&request(&image), PAYLOAD, words);
    }
    let mut many = wide.clone();
    put(&mut many, 0x38, &257u16.to_le_bytes());
    let words = ["e_phnum", "0x38", "256", "257"];
    assert_refused(&request(&many), ErrorKind::Limit, &words);
}

#[test]
fn segments_lie_in_memory_and_apart() {
    let of = |segments: &[Segment]| elf64(segments[0].paddr, segments);
    let text = segment(0x10_0000, &[0xf4; 8], 0x1000);
    let image = of(&[text.clone(), segment(0x10_1000, &[1], 1)]);
    assert!(boot::load(&request(&image)).is_ok());
    let image = of(&[text.clone(), segment(0x10_0fff, &[1], 1)]);
    let words = ["segment (0x100fff..0x101000)", "(0x100000..0x101000)"];
    assert_refused(&request(&image), PAYLOAD, &words);
    for far in [0x3ff_ffff, 0x400_0000, u64::MAX - 1, u64::MAX] {
        let image = of(&[text.clone(), segment(far, &[], 2)]);
        let words = ["bss", "memory", &format!("{far:#x}")];
        assert_refused(&request(&image), PAYLOAD, &words);
    }
    let image = of(&[segment(0x10_0000, &[0xf4], u64::MAX)]);
    assert_refused(
        &request(&image),
        PAYLOAD,
        &["segment", "18446744073709551615"],
    );
    let image = of(std::slice::from_ref(&text));
    let reserved = LoadRequest {
        reserved: &[0x10_0ff0..0x10_2000],
        ..request(&image)
    };
    assert_refused(&reserved, PAYLOAD, &["segment", "reserved", "0x100ff0"]);
}

#[test]
fn a_32_bit_image_cannot_start_above_4_gib_and_a_64_bit_one_can() {
    let slots = [MEMORY[0], ram(8 << 30, 0x1000)];
    let high = elf64(8 << 30, &[segment(8 << 30, &[0xf4], 1)]);
    let long = LoadRequest {
        slots: &slots,
        ..request(&high)
    };
    assert_eq!(boot::load(&long).unwrap().entry_gpa, 8 << 30);
    let header = crate::images::multiboot_header(0);
    let image = elf64(8 << 30, &[segment(8 << 30, &header, 0x1000)]);
    let protected = LoadRequest {
        slots: &slots,
        ..request(&image)
    };
    assert_refused(&protected, PAYLOAD, &["entry", "0x200000000", "protected"]);
}
