//! Linux kernels as bzImage, and `boot_params` decoded by the offsets of the boot protocol.

use boot::{CpuMode, ErrorKind, Format, LoadRequest, Loaded};

use crate::images::{
    KERNEL, Kernel, assert_refused, part, put, ram, read, request, string, u16_at, u32_at, u64_at,
};

const PAYLOAD: ErrorKind = ErrorKind::Payload;
const MIB: u64 = 1 << 20;

/// `boot_params` at RSI.
fn params<'a>(loaded: &'a Loaded) -> &'a [u8] {
    read(loaded, loaded.registers.rsi, 4096)
}

/// Where a kernel lies and how much memory it has, in 64 MiB.
fn place(kernel: Kernel) -> (u64, u64) {
    let image = kernel.image();
    let loaded = boot::load(&request(&image)).unwrap();
    let part = part(&loaded, "kernel");
    (part.gpa, part.memory_bytes)
}

#[test]
fn a_64_bit_kernel_starts_in_long_mode_behind_its_first_512_bytes() {
    let image = KERNEL.image();
    let loaded = boot::load(&request(&image)).unwrap();
    assert_eq!(
        (loaded.format, loaded.mode),
        (Format::BzImage, Some(CpuMode::Long))
    );
    assert_eq!(loaded.entry_gpa, 16 * MIB + 0x200);
    let kernel = part(&loaded, "kernel");
    assert_eq!((kernel.gpa, kernel.memory_bytes), (16 * MIB, 8 * MIB));
    assert_eq!(&*kernel.bytes, &image[1024..]);
    assert_eq!((loaded.registers.rax, loaded.registers.rbx), (0, 0));
    assert_eq!(part(&loaded, "boot-params").gpa, loaded.registers.rsi);
    assert_eq!(loaded.registers.rsi % 4096, 0);
}

#[test]
fn a_32_bit_kernel_starts_in_protected_mode_at_its_first_byte() {
    let narrow = Kernel {
        xloadflags: 0,
        ..KERNEL
    };
    // Before version 2.12 the flag's place had no meaning.
    let old = Kernel {
        version: 0x020b,
        ..KERNEL
    };
    for kernel in [narrow, old] {
        let image = kernel.image();
        let loaded = boot::load(&request(&image)).unwrap();
        assert_eq!(loaded.mode, Some(CpuMode::Protected));
        assert_eq!(loaded.entry_gpa, 16 * MIB);
    }
}

#[test]
fn boot_params_have_the_completed_header_and_the_memory_map() {
    let image = KERNEL.image();
    let slots = [ram(0, 64 * MIB), ram(4 << 30, MIB)];
    let loaded = boot::load(&LoadRequest {
        command_line: b"console=ttyS0 root=/dev/ram0",
        initrd: Some(&[9; 5000]),
        rsdp_gpa: Some(0xe_0000),
        slots: &slots,
        ..request(&image)
    })
    .unwrap();
    let params = params(&loaded);
    assert_eq!(u64_at(params, 0x70), 0xe_0000); // acpi_rsdp_addr
    assert_eq!(params[0x1ef], 0); // sentinel
    assert_eq!((params[0x1f1], u16_at(params, 0x1fe)), (1, 0xaa55));
    assert_eq!(
        (&params[0x202..0x206], u16_at(params, 0x206)),
        (&b"HdrS"[..], 0x020f)
    );
    assert_eq!(params[0x210], 0xff); // type_of_loader
    assert_eq!(u32_at(params, 0x214), 16 << 20); // code32_start
    assert_eq!(
        (u32_at(params, 0x218), u32_at(params, 0x21c)),
        (0x3ff_e000, 5000)
    ); // ramdisk
    assert_eq!(read(&loaded, 0x3ff_e000, 5000), [9; 5000]);
    let line = string(&loaded, u32_at(params, 0x228).into());
    assert_eq!(line, b"console=ttyS0 root=/dev/ram0");
    assert_eq!(
        (u64_at(params, 0x258), u32_at(params, 0x260)),
        (16 * MIB, 8 << 20)
    );
    assert_eq!(params[0x1e8], 4); // e820_entries
    let entries: Vec<_> = params[0x2d0..0x2d0 + 4 * 20]
        .chunks(20)
        .map(|it| (u64_at(it, 0), u64_at(it, 8), u32_at(it, 16)))
        .collect();
    let expected = [
        (0, 0x9_fc00, 1),
        (0x9_fc00, 0x6_0400, 2),
        (MIB, 63 * MIB, 1),
        (4 << 30, MIB, 1),
    ];
    assert_eq!(entries, expected);
    assert!(params[0x26c..0x2d0].iter().all(|byte| *byte == 0));
    assert!(params[0x2d0 + 4 * 20..].iter().all(|byte| *byte == 0));
}

#[test]
fn without_initrd_its_fields_are_zero_and_what_the_image_says_is_not_passed_on() {
    let mut image = KERNEL.image();
    put(&mut image, 0x250, &[0xff; 8]); // setup_data
    let loaded = boot::load(&request(&image)).unwrap();
    let params = params(&loaded);
    assert_eq!((u32_at(params, 0x218), u32_at(params, 0x21c)), (0, 0));
    assert_eq!((u64_at(params, 0x250), u64_at(params, 0x70)), (0, 0));
    assert_eq!(string(&loaded, u32_at(params, 0x228).into()), b"");
}

#[test]
fn a_relocatable_kernel_lies_at_its_preferred_address_or_at_the_next_free_one() {
    assert_eq!(place(KERNEL), (16 * MIB, 8 * MIB));
    let odd = Kernel {
        pref_address: 16 * MIB + 1,
        ..KERNEL
    };
    assert_eq!(place(odd), (18 * MIB, 8 * MIB));
    let lowest = Kernel {
        pref_address: 0,
        kernel_alignment: 1,
        ..KERNEL
    };
    assert_eq!(place(lowest), (MIB, 8 * MIB));
    // Its own bytes count where init_size says less.
    assert_eq!(
        place(Kernel {
            init_size: 5,
            ..KERNEL
        }),
        (16 * MIB, 1024)
    );
    // Fields that came with version 2.10 have no meaning before.
    let old = Kernel {
        version: 0x0209,
        ..KERNEL
    };
    assert_eq!(place(old), (2 * MIB, 1024));

    let image = KERNEL.image();
    let reserved = LoadRequest {
        reserved: &[17 * MIB..17 * MIB + 1],
        ..request(&image)
    };
    let loaded = boot::load(&reserved).unwrap();
    assert_eq!(
        (part(&loaded, "kernel").gpa, loaded.entry_gpa),
        (18 * MIB, 18 * MIB + 0x200)
    );
    assert_eq!(u32_at(params(&loaded), 0x214), 18 << 20);
}

#[test]
fn a_kernel_that_is_not_relocatable_lies_at_code32_start_and_owns_what_it_moves_to() {
    let fixed = Kernel {
        relocatable_kernel: 0,
        kernel_alignment: 0,
        ..KERNEL
    };
    assert_eq!(place(fixed), (MIB, 23 * MIB));
    let low = Kernel {
        pref_address: 0x10,
        init_size: 0,
        ..fixed
    };
    assert_eq!(place(low), (MIB, 1024));
    let far = Kernel {
        pref_address: u64::MAX - 5,
        ..fixed
    };
    let words = ["pref_address", "0x258", "0xfffffffffffffffa"];
    assert_refused(&request(&far.image()), PAYLOAD, &words);
    let below = Kernel {
        code32_start: 0xf_ffff,
        ..fixed
    };
    let words = ["code32_start", "0x214", "0x100000", "got 0xfffff"];
    assert_refused(&request(&below.image()), PAYLOAD, &words);
    let nowhere = Kernel {
        code32_start: 0xffff_ffff,
        ..fixed
    };
    assert_refused(
        &request(&nowhere.image()),
        PAYLOAD,
        &["kernel", "0xffffffff"],
    );
}

#[test]
fn too_little_memory_for_a_kernel_says_how_much_it_needs() {
    let image = KERNEL.image();
    let words = ["init_size", "8388608", "0x1000000", "memoryBytes"];
    for (bytes, enough) in [(24 * MIB, true), (24 * MIB - 4096, false), (4096, false)] {
        let slots = [ram(0, bytes)];
        let request = LoadRequest {
            slots: &slots,
            ..request(&image)
        };
        if enough {
            assert!(boot::load(&request).is_ok());
        } else {
            assert_refused(&request, PAYLOAD, &words);
        }
    }
    let endless = Kernel {
        pref_address: u64::MAX,
        ..KERNEL
    };
    let words = ["init_size", "0xffffffffffffffff"];
    assert_refused(&request(&endless.image()), PAYLOAD, &words);
}

#[test]
fn an_initrd_lies_as_high_as_the_kernel_allows() {
    let place = |initrd_addr_max, bytes: &[u8]| {
        let kernel = Kernel {
            initrd_addr_max,
            ..KERNEL
        };
        let image = kernel.image();
        let loaded = boot::load(&LoadRequest {
            initrd: Some(bytes),
            ..request(&image)
        });
        loaded.map(|loaded| part(&loaded, "initrd").gpa)
    };
    let page = [1; 4096];
    assert_eq!(place(0xffff_ffff, &page).unwrap(), 0x3ff_f000);
    // The last byte that it may take.
    assert_eq!(place(0x2ff_ffff, &page).unwrap(), 0x2ff_f000);
    assert_eq!(place(0x2ff_fffe, &page).unwrap(), 0x2ff_e000);
    // The kernel has 16 to 24 MiB.
    assert_eq!(place(0x17f_ffff, &page).unwrap(), 0xff_f000);
    let large = vec![1; 15 << 20];
    assert_eq!(place(0x17f_ffff, &large).unwrap(), 0x10_0000);
    for (limit, bytes) in [
        (0x17f_ffff, vec![1; (15 << 20) + 1]),
        (0xfff, page.to_vec()),
    ] {
        let error = place(limit, &bytes).unwrap_err();
        assert_eq!(error.kind, PAYLOAD);
        assert!(error.message.contains("no room for initrd"), "{error}");
    }
}

#[test]
fn a_command_line_is_as_long_as_the_kernel_takes() {
    let kernel = Kernel {
        cmdline_size: 10,
        ..KERNEL
    };
    let image = kernel.image();
    let of = |command_line| LoadRequest {
        command_line,
        ..request(&image)
    };
    assert!(boot::load(&of(b"0123456789")).is_ok());
    let words = ["command line", "10 bytes", "got 11"];
    assert_refused(&of(b"0123456789a"), ErrorKind::Limit, &words);
}

#[test]
fn an_entry_of_the_caller_lies_in_the_kernel() {
    let image = KERNEL.image();
    let of = |entry_gpa| LoadRequest {
        entry_gpa: Some(entry_gpa),
        ..request(&image)
    };
    assert_eq!(
        boot::load(&of(24 * MIB - 1)).unwrap().entry_gpa,
        24 * MIB - 1
    );
    for outside in [24 * MIB, 16 * MIB - 1, 0x1000] {
        assert_refused(&of(outside), PAYLOAD, &["entry", &format!("{outside:#x}")]);
    }
}

#[test]
fn a_file_may_end_within_its_last_paragraph_and_may_go_on_behind_it() {
    let image = KERNEL.image();
    let bytes = |image: &[u8]| {
        let loaded = boot::load(&request(image)).unwrap();
        let kernel = part(&loaded, "kernel");
        assert_eq!(kernel.memory_bytes, 8 * MIB);
        kernel.bytes.to_vec()
    };
    let signed = [&image[..], &[0xee; 100]].concat();
    assert_eq!(bytes(&signed), &image[1024..]);
    assert_eq!(bytes(&image[..2048 - 15]), &image[1024..2048 - 15]);
    let words = ["syssize", "1024 bytes", "0x400", "2032"];
    assert_refused(&request(&image[..2048 - 16]), PAYLOAD, &words);
}

#[test]
fn broken_headers_say_where_and_with_which_value() {
    let cases: [(usize, &[u8], &[&str]); 9] = [
        (0x1fe, &[0, 0], &["boot_flag", "0x1fe", "0xaa55", "got 0x0"]),
        (0x206, &[5, 2], &["version", "0x206", "0x206", "got 0x205"]),
        (0x201, &[0x39], &["jump", "0x201", "got 0x23b"]),
        (0x201, &[0x8f], &["jump", "0x201", "got 0x291"]),
        (0x211, &[0], &["loadflags", "0x211", "zImage", "got 0"]),
        (
            0x230,
            &[0, 0, 0x30],
            &["kernel_alignment", "0x230", "0x300000"],
        ),
        (0x230, &[0, 0, 0], &["kernel_alignment", "0x230", "got 0x0"]),
        (0x1f4, &[65], &["syssize", "1040 bytes", "0x400", "2048"]),
        // Zero means four sectors.
        (0x1f1, &[0], &["syssize", "0xa00"]),
    ];
    for (offset, field, words) in cases {
        let mut image = KERNEL.image();
        put(&mut image, offset, field);
        assert_refused(&request(&image), PAYLOAD, words);
    }
    let tiny = Kernel {
        init_size: 0,
        ..KERNEL
    };
    let mut empty = tiny.image();
    put(&mut empty, 0x1f4, &[0]);
    let words = ["syssize", "0x1f4", "positive", "got 0"];
    assert_refused(&request(&empty), PAYLOAD, &words);
    let asked = LoadRequest {
        format: Some(Format::BzImage),
        ..request(&[0; 0x300])
    };
    assert_refused(&asked, PAYLOAD, &["boot_flag"]);
    let mut other = KERNEL.image();
    put(&mut other, 0x202, b"HdrT");
    let asked = LoadRequest {
        image: &other,
        ..asked
    };
    assert_refused(&asked, PAYLOAD, &["header", "0x202", "HdrS", "HdrT"]);
}
