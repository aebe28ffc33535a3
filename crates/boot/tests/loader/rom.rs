//! Firmware, which lies below 4 GiB and, its end, below 1 MiB.

use boot::{CpuMode, ErrorKind, Format, LoadRequest, MemorySlot};

use crate::images::{assert_refused, ram, request};

const UNIT: usize = 64 << 10;

/// What a machine with this image has.
fn slots(image: &[u8]) -> Vec<MemorySlot> {
    let rom = Format::Firmware.rom(image.len() as u64).unwrap();
    [ram(0, 1 << 20)].into_iter().chain(rom).collect()
}

fn of<'a>(image: &'a [u8], slots: &'a [MemorySlot]) -> LoadRequest<'a> {
    LoadRequest {
        format: Some(Format::Firmware),
        slots,
        reserved: &[0xfe00_0000..0xff00_0000],
        ..request(image)
    }
}

#[test]
fn the_image_ends_at_4_gib_and_its_last_256_kib_at_1_mib() {
    for (units, low_units) in [(1, 1), (2, 2), (4, 4), (5, 4), (256, 4)] {
        let mut image = vec![0; units * UNIT];
        for (byte, number) in image.iter_mut().step_by(UNIT).zip(1u16..) {
            *byte = number as u8;
        }
        let slots = slots(&image);
        let rom = slots[1];
        assert_eq!((rom.end(), rom.read_only), (1 << 32, true));
        let loaded = boot::load(&of(&image, &slots)).unwrap();
        assert_eq!(loaded.mode, Some(CpuMode::Real));
        assert_eq!(loaded.entry_gpa, 0xffff_fff0);
        let [high, low] = loaded.parts.as_slice() else {
            panic!("{:?}", loaded.parts)
        };
        assert_eq!((high.what, &*high.bytes), ("image", &image[..]));
        assert_eq!(high.range(), rom.gpa..1 << 32);
        let tail = &image[(units - low_units) * UNIT..];
        assert_eq!((low.what, &*low.bytes), ("bios", tail));
        assert_eq!(low.range().end, 1 << 20);
    }
}

#[test]
fn an_image_that_is_no_rom_is_refused() {
    for bytes in [1, UNIT - 1, UNIT + 4096, (16 << 20) + UNIT, 17 << 20] {
        let image = vec![0xf4; bytes];
        let words = ["firmware", "65536", "16777216", &bytes.to_string()];
        let slots = [ram(0, 1 << 20)];
        assert_refused(&of(&image, &slots), ErrorKind::Payload, &words);
        let error = Format::Firmware.rom(bytes as u64).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Payload);
    }
    let empty = of(&[], &[]);
    assert_refused(&empty, ErrorKind::Payload, &["image", "0 bytes"]);
    assert_eq!(Format::Flat.rom(17), Ok(None));
}

#[test]
fn firmware_starts_where_processors_start_and_takes_nothing_else() {
    let image = vec![0xf4; UNIT];
    let slots = slots(&image);
    let plain = of(&image, &slots);
    let invalid = ErrorKind::InvalidOption;
    let entry = LoadRequest {
        entry_gpa: Some(0xf_fff0),
        ..plain.clone()
    };
    assert_refused(&entry, invalid, &["entryGpa", "firmware"]);
    let command_line = LoadRequest {
        command_line: b"quiet",
        ..plain.clone()
    };
    assert_refused(&command_line, invalid, &["command line", "firmware"]);
    // Memory that ends below 1 MiB.
    let small = [ram(0, 0xf_f000), slots[1]];
    let small = LoadRequest {
        slots: &small,
        ..plain
    };
    assert_refused(&small, ErrorKind::Payload, &["bios", "0xf0000"]);
}
