//! The 16-bit entry of the Linux boot protocol.

use boot::{CpuMode, ErrorKind, Format, LoadRequest};

use crate::images::{KERNEL, Kernel, assert_refused, part, put, read, request, u16_at, u32_at};

/// As iPXE's: nothing of it is for protected mode.
const SIXTEEN: Kernel = Kernel {
    version: 0x0207,
    relocatable_kernel: 0,
    kernel_alignment: 0,
    code32_start: 0,
    initrd_addr_max: 0xffff_ffff,
    ..KERNEL
};

#[test]
fn an_image_without_another_entry_starts_in_real_mode() {
    let image = SIXTEEN.image();
    let loaded = boot::load(&LoadRequest {
        command_line: b"dhcp",
        initrd: Some(&[9; 5000]),
        ..request(&image)
    })
    .unwrap();
    let found = (loaded.format, loaded.mode, loaded.entry_gpa);
    assert_eq!(found, (Format::BzImage, Some(CpuMode::Real), 0x9_0200));
    let kernel = part(&loaded, "kernel");
    assert_eq!((kernel.gpa, &*kernel.bytes), (0x10_0000, &image[1024..]));

    let setup = part(&loaded, "setup");
    assert_eq!((setup.gpa, setup.memory_bytes), (0x9_0000, 0xe000));
    let setup = &setup.bytes;
    assert_eq!(setup.len(), 1024);
    assert_eq!(
        (u16_at(setup, 0x1fe), &setup[0x202..0x206]),
        (0xaa55, &b"HdrS"[..])
    );
    assert_eq!(setup[0x210], 0xff, "type_of_loader");
    assert_eq!(setup[0x211], 0x81, "LOADED_HIGH, CAN_USE_HEAP");
    assert_eq!(u16_at(setup, 0x224), 0xde00, "heap_end_ptr");
    assert_eq!(u16_at(setup, 0x1fa), 0xffff, "vid_mode");
    assert_eq!(u32_at(setup, 0x228), 0x9_e000, "cmd_line_ptr");
    assert_eq!(read(&loaded, 0x9_e000, 5), b"dhcp\0");
    let ramdisk = (u32_at(setup, 0x218), u32_at(setup, 0x21c));
    assert_eq!(ramdisk, (0x3ff_e000, 5000));
    // What follows the image's own header is code, and stays.
    assert_eq!(&setup[0x26c..], &image[0x26c..1024]);
}

#[test]
fn any_image_starts_there_if_the_caller_wants_it() {
    let image = KERNEL.image();
    let real = LoadRequest {
        mode: Some(CpuMode::Real),
        ..request(&image)
    };
    assert_eq!(boot::load(&real).unwrap().entry_gpa, 0x9_0200);
    // And the other way round.
    let image = SIXTEEN.image();
    let long = LoadRequest {
        mode: Some(CpuMode::Long),
        ..request(&image)
    };
    assert_refused(
        &long,
        ErrorKind::Payload,
        &["code32_start", "mode but 'real'"],
    );
}

#[test]
fn what_does_not_fit_below_640_kib_is_refused() {
    let mut image = SIXTEEN.image();
    image[0x1f1] = 112; // setup_sects, and the boot sector: 0xe200 bytes
    image.resize(113 * 512 + 1024, 0);
    assert_refused(
        &request(&image),
        ErrorKind::Payload,
        &["setup code", "57856"],
    );
    put(&mut image, 0x1f1, &[111]);
    assert!(boot::load(&request(&image)).is_ok());
    let image = SIXTEEN.image();
    let elsewhere = LoadRequest {
        entry_gpa: Some(0x10_0000),
        ..request(&image)
    };
    let words = ["entryGpa", "0x90200", "0x100000"];
    assert_refused(&elsewhere, ErrorKind::InvalidOption, &words);
}
