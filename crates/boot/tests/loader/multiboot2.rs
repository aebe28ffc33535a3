//! Multiboot 2 images, and the boot information decoded as a kernel would.

use boot::{CpuMode, ErrorKind, Format, LoadRequest, Loaded, Module, Screen};

use crate::images::{
    assert_refused, elf32, multiboot2_elf, multiboot2_flat, multiboot2_header, part, put, ram,
    read, request, segment, tag, u32_at, u64_at,
};

const PAYLOAD: ErrorKind = ErrorKind::Payload;
const OPTIONAL: u16 = 1;

/// Type and content of each tag of the boot information at EBX.
fn tags<'a>(loaded: &'a Loaded) -> Vec<(u32, &'a [u8])> {
    let start = loaded.registers.rbx;
    assert_eq!(start % 8, 0);
    let total = u32_at(read(loaded, start, 8), 0) as usize;
    let info = read(loaded, start, total);
    assert_eq!(u32_at(info, 4), 0);
    let (mut at, mut found) = (8, Vec::new());
    loop {
        let (kind, size) = (u32_at(info, at), u32_at(info, at + 4) as usize);
        found.push((kind, &info[at + 8..at + size]));
        at += size.next_multiple_of(8);
        if kind == 0 {
            assert_eq!((size, at), (8, total));
            return found;
        }
    }
}

#[track_caller]
fn only<'a>(loaded: &'a Loaded, kind: u32) -> &'a [u8] {
    let all = tags(loaded);
    let mut found = all.iter().filter(|(it, _)| *it == kind);
    let content = found.next().unwrap().1;
    assert!(found.next().is_none());
    content
}

#[test]
fn a_kernel_starts_in_protected_mode_with_the_magic_and_the_information() {
    let wide = multiboot2_elf(&[]);
    let text = [multiboot2_header(&[]), vec![0xf4; 8]].concat();
    // 52 + 32 bytes of headers: four more for the multiple of eight.
    let text = [vec![0; 4], text].concat();
    let narrow = elf32(0x10_001c, &[segment(0x10_0000, &text, 0x3000)]);
    for (image, entry) in [(wide, 0x10_0018), (narrow, 0x10_001c)] {
        let loaded = boot::load(&request(&image)).unwrap();
        let found = (loaded.format, loaded.mode, loaded.entry_gpa);
        let mode = Some(CpuMode::Protected);
        assert_eq!(found, (Format::Multiboot2, mode, entry));
        assert_eq!(loaded.registers.rax, 0x36d7_6289);
        assert_eq!(part(&loaded, "info").gpa, loaded.registers.rbx);
    }
}

#[test]
fn the_information_has_what_there_is() {
    let image = multiboot2_elf(&[tag(1, 0, &[1, 2, 3, 4, 6, 8, 14, 15, 21])]);
    let slots = [ram(0, 32 << 20), ram(4 << 30, 1 << 20)];
    let modules = [(&[7u8; 5000][..], &b"first"[..]), (&[8], b"")];
    let modules = modules.map(|(bytes, string)| Module { bytes, string });
    let rsdp: Vec<u8> = (0..36).collect();
    let loaded = boot::load(&LoadRequest {
        command_line: b"quiet splash",
        modules: &modules,
        slots: &slots,
        rsdp: &rsdp,
        ..request(&image)
    })
    .unwrap();
    let kinds: Vec<u32> = tags(&loaded).iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [1, 2, 3, 3, 4, 6, 14, 15, 0]);
    assert_eq!(only(&loaded, 1), b"quiet splash\0");
    assert_eq!(only(&loaded, 2), b"vmexit\0");
    let all = tags(&loaded);
    let of_modules: Vec<_> = all.iter().filter(|(kind, _)| *kind == 3).collect();
    let [(_, first), (_, second)] = of_modules[..] else {
        panic!("{of_modules:?}");
    };
    assert_eq!((u32_at(first, 0), u32_at(first, 4)), (0x10_3000, 0x10_4388));
    assert_eq!(&first[8..], b"first\0");
    assert_eq!((u32_at(second, 0), &second[8..]), (0x10_5000, &[0][..]));
    let memory = only(&loaded, 4);
    assert_eq!((u32_at(memory, 0), u32_at(memory, 4)), (639, 31 << 10));
    let map = only(&loaded, 6);
    assert_eq!((u32_at(map, 0), u32_at(map, 4)), (24, 0));
    let entries: Vec<_> = map[8..]
        .chunks(24)
        .map(|it| (u64_at(it, 0), u64_at(it, 8), u64_at(it, 16)))
        .collect();
    let expected = [
        (0, 0x9_fc00, 1),
        (0x9_fc00, 0x6_0400, 2),
        (0x10_0000, 31 << 20, 1),
        (4 << 30, 1 << 20, 1),
    ];
    assert_eq!(entries, expected);
    assert_eq!(
        (only(&loaded, 14), only(&loaded, 15)),
        (&rsdp[..20], &rsdp[..])
    );
}

#[test]
fn a_screen_is_told_of_and_answers_what_asks_for_one() {
    let wishes = [tag(4, 0, &[3]), tag(5, 0, &[1024, 768, 32])];
    let image = multiboot2_elf(&wishes);
    let of = |screen| LoadRequest {
        screen: Some(screen),
        ..request(&image)
    };
    let (width, height) = (640, 400);
    let loaded = boot::load(&of(Screen::Pixels { width, height })).unwrap();
    let pixels = only(&loaded, 8);
    assert_eq!((u64_at(pixels, 0), u32_at(pixels, 8)), (0xf000_0000, 2560));
    assert_eq!((u32_at(pixels, 12), u32_at(pixels, 16)), (640, 400));
    // 32 bits, RGB; then red, green and blue.
    assert_eq!(&pixels[20..], [32, 1, 0, 0, 16, 8, 8, 8, 0, 8]);
    let loaded = boot::load(&of(Screen::Text)).unwrap();
    let text = only(&loaded, 8);
    assert_eq!((u64_at(text, 0), u32_at(text, 8)), (0xb_8000, 160));
    assert_eq!((u32_at(text, 12), u32_at(text, 16)), (80, 25));
    assert_eq!(&text[20..], [16, 2, 0, 0]);
}

#[test]
fn without_a_root_pointer_there_is_no_copy_of_one() {
    let image = multiboot2_elf(&[tag(1, 0, &[14, 15])]);
    let loaded = boot::load(&request(&image)).unwrap();
    assert!(
        tags(&loaded)
            .iter()
            .all(|(kind, _)| ![14, 15].contains(kind))
    );
}

#[test]
fn tags_of_addresses_say_which_bytes_go_where() {
    let image = multiboot2_flat();
    let loaded = boot::load(&request(&image)).unwrap();
    let kernel = part(&loaded, "kernel");
    assert_eq!((kernel.gpa, kernel.memory_bytes), (0x10_0000, 0x2000));
    assert_eq!((&*kernel.bytes, loaded.entry_gpa), (&image[..], 0x10_0040));

    // All ones: from the file's first byte on.
    let tags = [
        tag(2, 0, &[0x20_0008, u32::MAX, 0, 0]),
        tag(3, 0, &[0x20_0000]),
    ];
    let image = [vec![0xf4; 8], multiboot2_header(&tags)].concat();
    let loaded = boot::load(&request(&image)).unwrap();
    assert_eq!(part(&loaded, "kernel").gpa, 0x20_0000);

    let tags = [tag(2, 0, &[0x10_0000, 0x10_0000, 0, 0])];
    let image = multiboot2_header(&tags);
    assert_refused(&request(&image), PAYLOAD, &["type 2", "type 3"]);
    let tags = [tag(2, 0, &[4, u32::MAX, 0, 0]), tag(3, 0, &[0])];
    let image = [vec![0; 8], multiboot2_header(&tags)].concat();
    assert_refused(&request(&image), PAYLOAD, &["header_addr", "0x8", "0x4"]);
    let tags = [tag(2, 0, &[0x10_0000]), tag(3, 0, &[0])];
    let image = multiboot2_header(&tags);
    assert_refused(&request(&image), PAYLOAD, &["size of a tag", "24"]);
}

#[test]
fn an_entry_tag_comes_before_the_entry_of_elf() {
    let image = multiboot2_elf(&[tag(3, 0, &[0x10_0001])]);
    assert_eq!(boot::load(&request(&image)).unwrap().entry_gpa, 0x10_0001);
    let own = LoadRequest {
        entry_gpa: Some(0x10_0002),
        ..request(&image)
    };
    assert_eq!(boot::load(&own).unwrap().entry_gpa, 0x10_0002);
}

/// Where an image of 0x3000 bytes that is linked for 1 MiB goes, its entry, what it is told.
fn moved(min: u32, max: u32, alignment: u32, preference: u32) -> (u64, u64, u32) {
    let image = multiboot2_elf(&[tag(10, 0, &[min, max, alignment, preference])]);
    let loaded = boot::load(&request(&image)).unwrap();
    let gpa = part(&loaded, "segment").gpa;
    let base = u32_at(only(&loaded, 21), 0);
    (gpa, loaded.entry_gpa - gpa, base)
}

#[test]
fn a_relocatable_image_goes_where_its_header_lets_it() {
    let entry = 0x30;
    // No preference: where it is linked, if it may; the lowest; the highest.
    let cases = [
        ((0, u32::MAX, 0x1000, 0), 0x10_0000),
        ((0x20_0000, u32::MAX, 0x1000, 0), 0x20_0000),
        ((0x12_3456, u32::MAX, 0x1_0000, 1), 0x13_0000),
        ((0, u32::MAX, 0x1000, 1), 0x1000),
        ((0, u32::MAX, 0x20_0000, 2), 0x3e0_0000),
        ((0, 0xff_ffff, 1, 2), 0xff_d000),
        ((0, u32::MAX, 0, 0), 0x10_0000),
    ];
    for ((min, max, alignment, preference), expected) in cases {
        let found = moved(min, max, alignment, preference);
        assert_eq!(found, (expected, entry, expected as u32));
    }
    let refused = [
        (
            [0x3ff_f000, u32::MAX, 1, 0],
            &["no room", "12288", "0x3fff000"][..],
        ),
        ([0x100, 0xff, 1, 0], &["no room"]),
        ([0, u32::MAX, 3, 0], &["align", "power of two", "0x3"]),
    ];
    for (words, complaint) in refused {
        let image = multiboot2_elf(&[tag(10, 0, &words)]);
        assert_refused(&request(&image), PAYLOAD, complaint);
    }
}

#[test]
fn what_the_machine_has_not_is_refused_unless_it_is_optional() {
    let cases = [
        (tag(1, 0, &[3, 22]), &["mbi_tag_types", "got 22"][..]),
        (tag(4, 0, &[1]), &["type 4", "console"]),
        (tag(5, 0, &[1024, 768, 32]), &["type 5", "framebuffer"]),
        (tag(7, 0, &[]), &["type 7", "EFI"]),
        (tag(11, 0, &[]), &["type of a tag", "got 11"]),
    ];
    for (wish, words) in cases {
        let image = multiboot2_elf(std::slice::from_ref(&wish));
        assert_refused(&request(&image), PAYLOAD, words);
        let mut wish = wish;
        put(&mut wish, 2, &OPTIONAL.to_le_bytes());
        let image = multiboot2_elf(&[wish]);
        assert!(boot::load(&request(&image)).is_ok());
    }
    // Any console will do; modules lie on pages; entries for EFI.
    let wishes = [
        tag(4, 0, &[2]),
        tag(6, 0, &[]),
        tag(8, 0, &[1]),
        tag(9, 0, &[1]),
    ];
    assert!(boot::load(&request(&multiboot2_elf(&wishes))).is_ok());
}

#[test]
fn a_header_is_found_on_multiples_of_eight_within_32_kib() {
    let at = |offset: usize| [vec![0; offset], multiboot2_header(&[])].concat();
    // Found, and then neither addresses nor an ELF image.
    for offset in [0, 8, 32_768 - 24] {
        assert_refused(&request(&at(offset)), PAYLOAD, &["multiboot2", "ELF"]);
    }
    for offset in [4, 32_768 - 8, 32_768] {
        let image = at(offset);
        assert_eq!(boot::load(&request(&image)).unwrap().format, Format::Flat);
        let asked = LoadRequest {
            format: Some(Format::Multiboot2),
            ..request(&image)
        };
        assert_refused(&asked, PAYLOAD, &["0xe85250d6", "32768"]);
    }
}

#[test]
fn headers_that_cannot_be_right_are_named() {
    let broken = |change: fn(&mut Vec<u8>), words: &[&str]| {
        let mut image = multiboot2_header(&[tag(3, 0, &[0x10_0000])]);
        change(&mut image);
        let sum = [0, 4, 8].map(|at| u32_at(&image, at));
        let checksum = sum.iter().fold(0u32, |sum, word| sum.wrapping_sub(*word));
        put(&mut image, 12, &checksum.to_le_bytes());
        let asked = LoadRequest {
            format: Some(Format::Multiboot2),
            ..request(&image)
        };
        assert_refused(&asked, PAYLOAD, words);
    };
    broken(|it| it[4] = 4, &["architecture", "got 4"]);
    broken(|it| it[8] = 15, &["header_length", "got 15"]);
    broken(
        |it| put(it, 8, &[0xff; 4]),
        &["header_length", "4294967295"],
    );
    broken(|it| it[20] = 7, &["size of a tag", "got 7"]);
    broken(
        |it| put(it, 20, &[0xff; 4]),
        &["size of a tag", "4294967295"],
    );
    broken(|it| it[8] = 32, &["without the tag of type 0"]);
    broken(|it| it.truncate(36), &["size of a tag", "ends too early"]);
    let mut image = multiboot2_header(&[]);
    image[12] ^= 1;
    let asked = LoadRequest {
        format: Some(Format::Multiboot2),
        ..request(&image)
    };
    assert_refused(&asked, PAYLOAD, &["checksum", "0xc"]);
}

#[test]
fn of_two_headers_the_first_version_counts() {
    let first = [0x1bad_b002u32, 0, 0u32.wrapping_sub(0x1bad_b002)];
    let text = [
        multiboot2_header(&[]),
        first.map(u32::to_le_bytes).concat(),
        vec![0xf4; 8],
    ]
    .concat();
    let image = elf32(0x10_0024, &[segment(0x10_0000, &text, 0x1000)]);
    let loaded = boot::load(&request(&image)).unwrap();
    assert_eq!(loaded.format, Format::Multiboot);
}
