//! PVH kernels, and the start info decoded as one would.

use boot::{CpuMode, ErrorKind, Format, LoadRequest, Loaded};

use crate::images::{
    MEMORY, Segment, assert_refused, elf32, elf64, note, notes, part, put, pvh, ram, read, request,
    segment, string, u32_at, u64_at,
};

const PAYLOAD: ErrorKind = ErrorKind::Payload;

/// The start info at EBX.
fn info<'a>(loaded: &'a Loaded) -> &'a [u8] {
    read(loaded, loaded.registers.rbx, 56)
}

/// A kernel of one segment at 16 MiB with these notes.
fn noted(bytes: &[u8], align: u64) -> Vec<u8> {
    let text = segment(0x100_0000, &[0xf4; 16], 0x1000);
    elf64(0x100_0000, &[text, notes(bytes, align)])
}

#[test]
fn a_kernel_starts_at_its_notes_entry_in_protected_mode() {
    let image = pvh();
    let loaded = boot::load(&request(&image)).unwrap();
    assert_eq!(
        (loaded.format, loaded.mode),
        (Format::Pvh, Some(CpuMode::Protected))
    );
    assert_eq!(loaded.entry_gpa, 0x100_0004);
    assert_eq!((loaded.registers.rax, loaded.registers.rsi), (0, 0));
    let text = part(&loaded, "segment");
    assert_eq!(
        (text.gpa, text.memory_bytes, &*text.bytes),
        (0x100_0000, 0x1000, &[0xf4; 16][..])
    );
    // Asked for as what it also is, it starts at its other entry.
    let elf = LoadRequest {
        format: Some(Format::Elf),
        ..request(&image)
    };
    let loaded = boot::load(&elf).unwrap();
    assert_eq!(
        (loaded.mode, loaded.entry_gpa),
        (Some(CpuMode::Long), 0x100_0000)
    );
}

#[test]
fn the_note_is_found_in_both_classes_and_paddings() {
    let entry = 0x100_0008u32.to_le_bytes();
    let narrow = elf32(
        0x100_0000,
        &[
            segment(0x100_0000, &[0xf4; 16], 0x1000),
            notes(&note(b"Xen\0", 18, &entry, 4), 4),
        ],
    );
    // Between other notes, the padding of whose names and descriptors differs.
    let wide = |align| {
        let others = [
            note(b"Linux\0", 257, &[1], align),
            note(b"Xen\0", 6, b"linux\0", align),
            note(b"Xem\0", 18, &[0; 8], align),
        ];
        [
            others.concat(),
            note(b"Xen\0", 18, &0x100_0008u64.to_le_bytes(), align),
        ]
        .concat()
    };
    for image in [narrow, noted(&wide(4), 4), noted(&wide(4), 1)] {
        let loaded = boot::load(&request(&image)).unwrap();
        assert_eq!((loaded.format, loaded.entry_gpa), (Format::Pvh, 0x100_0008));
    }
}

#[test]
fn a_note_segment_aligned_to_8_pads_descriptors_to_8() {
    // The first note has 20 bytes, and the second one begins at 24.
    let mut bytes = [4u32, 4, 5].map(u32::to_le_bytes).concat();
    bytes.extend(b"GNU\0\x01\x02\x03\x04\0\0\0\0");
    bytes.extend([4u32, 8, 18].map(u32::to_le_bytes).concat());
    bytes.extend(b"Xen\0");
    bytes.extend(0x100_0008u64.to_le_bytes());
    let image = noted(&bytes, 8);
    assert_eq!(boot::load(&request(&image)).unwrap().entry_gpa, 0x100_0008);
}

#[test]
fn the_start_info_has_command_line_map_initrd_and_rsdp() {
    let image = pvh();
    let loaded = boot::load(&LoadRequest {
        command_line: b"console=hvc0",
        initrd: Some(&[9; 5000]),
        rsdp_gpa: Some(0xe_0000),
        reserved: &[0xfe00_0000..0xfe00_3000],
        ..request(&image)
    })
    .unwrap();
    let info = info(&loaded);
    // magic, version, flags, nr_modules.
    assert_eq!((u32_at(info, 0), u32_at(info, 4)), (0x336e_c578, 1));
    assert_eq!((u32_at(info, 8), u32_at(info, 12)), (0, 1));
    let modlist = read(&loaded, u64_at(info, 16), 32);
    // As high as whole pages go below 64 MiB.
    assert_eq!((u64_at(modlist, 0), u64_at(modlist, 8)), (0x3ff_e000, 5000));
    assert_eq!((u64_at(modlist, 16), u64_at(modlist, 24)), (0, 0));
    assert_eq!(read(&loaded, 0x3ff_e000, 5000), [9; 5000]);
    assert_eq!(string(&loaded, u64_at(info, 24)), b"console=hvc0");
    assert_eq!(u64_at(info, 32), 0xe_0000);
    assert_eq!((u32_at(info, 48), u32_at(info, 52)), (4, 0));
    let map = read(&loaded, u64_at(info, 40), 4 * 24);
    let entries: Vec<_> = map
        .chunks(24)
        .map(|it| (u64_at(it, 0), u64_at(it, 8), u32_at(it, 16), u32_at(it, 20)))
        .collect();
    let expected = [
        (0, 0x9_fc00, 1, 0),
        (0x9_fc00, 0x6_0400, 2, 0),
        (0x10_0000, 63 << 20, 1, 0),
        (0xfe00_0000, 0x3000, 2, 0),
    ];
    assert_eq!(entries, expected);
}

#[test]
fn without_initrd_and_rsdp_their_fields_are_zero() {
    let image = pvh();
    let loaded = boot::load(&request(&image)).unwrap();
    let info = info(&loaded);
    assert_eq!(
        (u32_at(info, 12), u64_at(info, 16), u64_at(info, 32)),
        (0, 0, 0)
    );
    assert_eq!(string(&loaded, u64_at(info, 24)), b"");
}

#[test]
fn an_initrd_goes_below_what_lies_at_the_end_of_memory() {
    let image = pvh();
    let of = |reserved| LoadRequest {
        initrd: Some(&[9; 4096]),
        reserved,
        ..request(&image)
    };
    let at = |reserved| part(&boot::load(&of(reserved)).unwrap(), "initrd").gpa;
    assert_eq!(at(&[]), 0x3ff_f000);
    assert_eq!(at(&[0x3ff_fff0..0x3ff_fff1]), 0x3ff_e000);
    assert_eq!(
        at(&[0x3ff_f000..0x400_0000, 0x100_2000..0x3ff_e001]),
        0x100_1000
    );
    let all = [0x100_1001..0x400_0000, 0x1001..0x100_0000];
    assert_refused(&of(&all), PAYLOAD, &["no room for initrd", "4096 bytes"]);
    let empty = LoadRequest {
        initrd: Some(&[]),
        ..request(&image)
    };
    assert_refused(&empty, PAYLOAD, &["initrd", "empty"]);
}

/// Not left to what the notes say.
fn strict(image: &[u8]) -> LoadRequest<'_> {
    LoadRequest {
        format: Some(Format::Pvh),
        ..request(image)
    }
}

#[test]
fn broken_notes_say_where_and_with_which_value() {
    let xen = |desc: &[u8]| note(b"Xen\0", 18, desc, 4);
    // Two program headers: the segment's bytes begin at 0xb0, the notes at 0xc0, a descriptor at
    // 0xd0.
    let cases: [(Vec<u8>, &[&str]); 5] = [
        (
            xen(&[0; 8]),
            &["XEN_ELFNOTE_PHYS32_ENTRY", "0xd0", "got 0x0"],
        ),
        (
            xen(&u64::MAX.to_le_bytes()),
            &["0xd0", "got 0xffffffffffffffff"],
        ),
        (
            xen(&[1, 2]),
            &["XEN_ELFNOTE_PHYS32_ENTRY", "0xd0", "got 2 bytes"],
        ),
        (
            xen(&[0; 8])[..20].to_vec(),
            &["note", "0xc0", "descsz 0x8", "0xd4"],
        ),
        (vec![0xff; 12], &["note", "0xc0", "namesz 0xffffffff"]),
    ];
    for (bytes, words) in cases {
        assert_refused(&strict(&noted(&bytes, 4)), PAYLOAD, words);
    }
    // A header of a note that the file does not have any more.
    let mut cut = noted(&xen(&[0; 8]), 4);
    cut.truncate(0xc4);
    put(&mut cut, 0x78 + 0x20, &4u64.to_le_bytes());
    assert_refused(&strict(&cut), PAYLOAD, &["descsz", "0xc4"]);
    let other = noted(&note(b"GNU\0", 18, &[0; 8], 4), 4);
    assert_refused(&strict(&other), PAYLOAD, &["pvh", "no note"]);
}

#[test]
fn an_entry_above_4_gib_is_none() {
    let slots = [MEMORY[0], ram(4 << 30, 0x1000)];
    let high = Segment {
        vaddr: 0,
        ..segment(4 << 30, &[0xf4], 1)
    };
    let xen = note(b"Xen\0", 18, &(4u64 << 30).to_le_bytes(), 4);
    let image = elf64(0, &[high, notes(&xen, 4)]);
    let above = LoadRequest {
        slots: &slots,
        ..request(&image)
    };
    assert_refused(&above, PAYLOAD, &["entry", "0x100000000", "4 GiB"]);
}

#[test]
fn a_note_is_found_behind_others_that_cannot_be_read_and_those_alone_are_none() {
    let xen = note(b"Xen\0", 18, &0x100_0004u64.to_le_bytes(), 4);
    let text = segment(0x100_0000, &[0xf4; 16], 0x1000);
    let broken = notes(&[0xff; 12], 4);
    let both = elf64(0x100_0000, &[text.clone(), broken.clone(), notes(&xen, 4)]);
    assert_eq!(boot::load(&request(&both)).unwrap().format, Format::Pvh);
    let alone = elf64(0x100_0000, &[text.clone(), broken]);
    assert_eq!(boot::load(&request(&alone)).unwrap().format, Format::Elf);
    // A value that is wrong is no reason to take the image for something else.
    let wrong = elf64(
        0x100_0000,
        &[text, notes(&note(b"Xen\0", 18, &[0; 8], 4), 4)],
    );
    let words = ["XEN_ELFNOTE_PHYS32_ENTRY", "got 0x0"];
    assert_refused(&request(&wrong), PAYLOAD, &words);
}

#[test]
fn notes_of_both_paddings_in_one_segment_are_padded_to_four() {
    // As linkers leave them: five bytes of a build id, and a segment that is aligned to 8.
    let other = note(b"GNU\0", 3, &[1, 2, 3, 4, 5], 4);
    let xen = note(b"Xen\0", 18, &0x100_0004u64.to_le_bytes(), 4);
    let mixed = [other, xen].concat();
    let text = segment(0x100_0000, &[0xf4; 16], 0x1000);
    let image = elf64(0x100_0000, &[text, notes(&mixed, 8)]);
    assert_eq!(boot::load(&request(&image)).unwrap().entry_gpa, 0x100_0004);
}
