//! What loading costs, in bytes read: never more than a few times the image, whatever its headers
//! say.

use super::image::READ;
use super::*;
use crate::slot::MemorySlot;

const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const HEADERS: u64 = 255;
const MIB: usize = 1 << 20;

/// A loadable segment of 16 bytes, and headers of one type over the rest of an ELF64 image of
/// zeros. A zero is an empty note, too.
fn elf64(bytes: usize, p_type: u32, align: u64, header: impl Fn(u64) -> (u64, u64)) -> Vec<u8> {
    let mut image = b"\x7fELF\x02\x01\x01".to_vec();
    image.resize(16, 0);
    image.extend([2u16, 62, 1, 0].map(u16::to_le_bytes).concat());
    image.extend([0x10_0000u64, 64, 0].map(u64::to_le_bytes).concat());
    let count = HEADERS as u16 + 1;
    let sizes = [0, 0, 64, 56, count, 64, 0, 0];
    image.extend(sizes.map(u16::to_le_bytes).concat());
    let start = 64 + 56 * (HEADERS + 1);
    let all = (0..HEADERS).map(|index| (p_type, 0x4000_0000 * (index + 1), header(index)));
    for (kind, paddr, (skipped, cut)) in [(PT_LOAD, 0x10_0000, (0, 0))].into_iter().chain(all) {
        image.extend([kind, 7].map(u32::to_le_bytes).concat());
        let filesz = match paddr {
            0x10_0000 => 16,
            _ => bytes as u64 - start - skipped - cut,
        };
        let fields = [start + skipped, paddr, paddr, filesz, filesz, align];
        image.extend(fields.map(u64::to_le_bytes).concat());
    }
    image.resize(bytes, 0);
    image
}

fn request(image: &[u8], format: Option<Format>) -> LoadRequest<'_> {
    const ALL: [MemorySlot; 1] = [MemorySlot {
        gpa: 0,
        bytes: 512 << 30,
        read_only: false,
    }];
    LoadRequest {
        image,
        format,
        load_gpa: 0,
        entry_gpa: None,
        command_line: b"",
        initrd: None,
        modules: &[],
        slots: &ALL,
        reserved: &[],
        rsdp_gpa: None,
        rsdp: &[],
        mode: None,
        screen: None,
    }
}

#[test]
fn notes_are_read_once_and_not_once_per_header() {
    // At the same bytes; each a little further in; each a little shorter, and cut within a note.
    let headers: [&dyn Fn(u64) -> (u64, u64); 3] =
        [&|_| (0, 0), &|index| (index * 12, 0), &|index| {
            (0, index + 1)
        }];
    for bytes in [MIB, 16 * MIB] {
        for (header, align) in headers.iter().flat_map(|it| [(it, 4), (it, 8)]) {
            let image = elf64(bytes, PT_NOTE, align, header);
            for format in [None, Some(Format::Pvh)] {
                READ.set(0);
                let loaded = load(&request(&image, format));
                assert_eq!(loaded.is_ok(), format.is_none());
                // Both paddings are tried.
                assert!(READ.get() <= 2 * bytes as u64 + 64 * 1024, "{}", READ.get());
            }
        }
    }
}

#[test]
fn an_image_whose_format_is_told_is_not_asked_for_it() {
    let image = elf64(MIB, PT_NOTE, 4, |_| (0, 0));
    READ.set(0);
    let asked = load(&request(&image, None)).map(|loaded| loaded.format);
    assert_eq!(asked, Ok(Format::Elf));
    assert!(READ.get() > MIB as u64, "{}", READ.get());
    READ.set(0);
    let told = load(&request(&image, Some(Format::Elf))).map(|loaded| loaded.format);
    assert_eq!(told, Ok(Format::Elf));
    assert!(READ.get() <= 64 * 1024, "{}", READ.get());
}

#[test]
fn a_byte_of_an_image_is_placed_once() {
    let image = elf64(16 * MIB, PT_LOAD, 1, |_| (0, 0));
    for format in [Format::Elf, Format::Multiboot, Format::Pvh] {
        let Err(error) = load(&request(&image, Some(format))) else {
            panic!("{format:?}");
        };
        assert_eq!(error.kind, ErrorKind::Payload, "{error}");
    }
    let error = load(&request(&image, None)).unwrap_err();
    assert!(error.message.contains("segment overlaps others"), "{error}");
}

#[test]
fn what_every_format_reads_is_bounded_by_the_image() {
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for _ in 0..200 {
        let bytes = 4096 << (next() % 9);
        let mut image: Vec<u8> = (0..bytes / 8).flat_map(|_| next().to_le_bytes()).collect();
        let magics: [(usize, &[u8]); 3] = [
            (0, b"\x7fELF\x02\x01\x01"),
            (0x202, b"HdrS"),
            (64, &[0x02, 0xb0, 0xad, 0x1b]),
        ];
        let (at, magic) = magics[next() as usize % 3];
        image[at..at + magic.len()].copy_from_slice(magic);
        for format in Format::ALL.map(Some).into_iter().chain([None]) {
            READ.set(0);
            let loaded = load(&request(&image, format));
            assert!(READ.get() <= 4 * bytes as u64 + 64 * 1024);
            let placed = loaded.map_or(0, |it| it.parts.iter().map(|part| part.bytes.len()).sum());
            // The end of firmware is placed twice.
            let twice = format.filter(|it| *it == Format::Firmware);
            let again = twice.map_or(0, |_| bytes.min(256 * 1024));
            assert!(placed <= bytes + again + 64 * 1024);
        }
    }
}
