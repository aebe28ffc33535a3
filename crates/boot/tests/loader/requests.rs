//! What goes with an image, and with which formats.

use boot::{ErrorKind, Format, LoadRequest, Module};

use crate::images::{
    KERNEL, assert_refused, elf64, multiboot_elf, multiboot2_elf, pvh, request, segment,
};

/// One image of each format.
fn images() -> [(Format, Vec<u8>); 6] {
    [
        (Format::Flat, vec![0xf4]),
        (Format::Elf, elf64(0x1000, &[segment(0x1000, &[0xf4], 1)])),
        (Format::Multiboot, multiboot_elf(0)),
        (Format::Multiboot2, multiboot2_elf(&[])),
        (Format::Pvh, pvh()),
        (Format::BzImage, KERNEL.image()),
    ]
}

#[test]
fn formats_are_found_by_content_and_named_as_users_write_them() {
    let found = images().map(|(format, image)| {
        let loaded = boot::load(&request(&image)).unwrap();
        assert_eq!(loaded.format, format);
        format.name()
    });
    let expected = ["flat", "elf", "multiboot", "multiboot2", "pvh", "bzimage"];
    assert_eq!(found, expected);
    let (firmware, others) = Format::ALL.split_last().unwrap();
    assert_eq!(others.iter().map(|it| it.name()).collect::<Vec<_>>(), found);
    // No content says that it is firmware.
    assert_eq!(firmware.name(), "firmware");
}

#[test]
fn what_a_format_has_no_place_for_is_refused() {
    let module = [Module {
        bytes: &[1],
        string: b"",
    }];
    let takers = [
        (
            "command line",
            &[
                Format::Multiboot,
                Format::Multiboot2,
                Format::Pvh,
                Format::BzImage,
            ][..],
        ),
        ("initrd", &[Format::Pvh, Format::BzImage][..]),
        ("modules", &[Format::Multiboot, Format::Multiboot2][..]),
        ("loadGpa", &[Format::Flat][..]),
    ];
    for (format, image) in &images() {
        let plain = request(image);
        let requests = [
            LoadRequest {
                command_line: b"x",
                ..plain.clone()
            },
            LoadRequest {
                initrd: Some(&[1]),
                ..plain.clone()
            },
            LoadRequest {
                modules: &module,
                ..plain.clone()
            },
            LoadRequest {
                load_gpa: 0x10_0000,
                ..plain
            },
        ];
        for (request, (what, takers)) in requests.iter().zip(takers) {
            if takers.contains(format) {
                assert!(boot::load(request).is_ok(), "{what} {format:?}");
            } else {
                let words = [what, takers[0].name(), format.name()];
                assert_refused(request, ErrorKind::InvalidOption, &words);
            }
        }
    }
}

#[test]
fn an_image_that_is_not_what_was_asked_for_is_refused() {
    for (format, image) in images() {
        for asked in Format::ALL {
            // Any image is flat, and those of multiboot and PVH are ELF images, too.
            let is_elf = matches!(format, Format::Multiboot | Format::Multiboot2 | Format::Pvh);
            if asked == format || asked == Format::Flat || (is_elf && asked == Format::Elf) {
                continue;
            }
            let request = LoadRequest {
                format: Some(asked),
                ..request(&image)
            };
            assert_refused(&request, ErrorKind::Payload, &[asked.name()]);
        }
    }
}
