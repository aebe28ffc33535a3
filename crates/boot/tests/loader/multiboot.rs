//! Multiboot 1 images, and the information block decoded as a kernel would.

use boot::limits::{MAX_COMMAND_LINE_BYTES, MAX_MODULES};
use boot::{CpuMode, ErrorKind, Format, LoadRequest, Loaded, Module};

use crate::images::{
    assert_refused, elf64, multiboot_elf, multiboot_flat, multiboot_header, part, put, ram, read,
    request, segment, string, u32_at, u64_at,
};

const PAYLOAD: ErrorKind = ErrorKind::Payload;

/// The information block at EBX.
fn info<'a>(loaded: &'a Loaded) -> &'a [u8] {
    read(loaded, loaded.registers.rbx, 120)
}

#[test]
fn an_elf_kernel_starts_in_protected_mode_with_the_magic_and_the_info_block() {
    let image = multiboot_elf(0);
    let loaded = boot::load(&request(&image)).unwrap();
    assert_eq!(
        (loaded.format, loaded.mode),
        (Format::Multiboot, Some(CpuMode::Protected))
    );
    assert_eq!(loaded.entry_gpa, 0x10_000c);
    assert_eq!(
        (loaded.registers.rax, loaded.registers.rsi),
        (0x2bad_b002, 0)
    );
    let kernel = part(&loaded, "segment");
    assert_eq!((kernel.gpa, kernel.memory_bytes), (0x10_0000, 0x3000));
    assert_eq!(&kernel.bytes[..12], multiboot_header(0));
    assert_eq!(part(&loaded, "info").gpa, loaded.registers.rbx);
}

#[test]
fn a_64_bit_elf_starts_in_protected_mode_too() {
    let text = [multiboot_header(0), vec![0xf4; 4]].concat();
    let image = elf64(0x10_000c, &[segment(0x10_0000, &text, 0x1000)]);
    let loaded = boot::load(&request(&image)).unwrap();
    assert_eq!(
        (loaded.format, loaded.mode),
        (Format::Multiboot, Some(CpuMode::Protected))
    );
}

#[test]
fn address_fields_say_which_bytes_go_where() {
    let image = multiboot_flat();
    let loaded = boot::load(&request(&image)).unwrap();
    assert_eq!(
        (loaded.format, loaded.mode),
        (Format::Multiboot, Some(CpuMode::Protected))
    );
    assert_eq!(
        (loaded.entry_gpa, loaded.registers.rax),
        (0x10_0030, 0x2bad_b002)
    );
    // The header lies 16 bytes into the file and at 0x100010, so 0x100004 is the file's byte 4.
    let kernel = part(&loaded, "kernel");
    assert_eq!((kernel.gpa, kernel.memory_bytes), (0x10_0004, 0x1ffc));
    assert_eq!(&*kernel.bytes, &image[4..]);

    // load_end_addr cuts the file; without a bss_end_addr that is all.
    let mut cut = image.clone();
    put(&mut cut, 16 + 20, &0x10_0032u32.to_le_bytes());
    put(&mut cut, 16 + 24, &0u32.to_le_bytes());
    let loaded = boot::load(&request(&cut)).unwrap();
    let kernel = part(&loaded, "kernel");
    assert_eq!((&*kernel.bytes, kernel.memory_bytes), (&cut[4..0x32], 0x2e));
}

#[test]
fn address_fields_come_before_an_elf_header() {
    let mut image = multiboot_elf(0);
    let at = image.len();
    image.extend(multiboot_header(1 << 16));
    let start = 0x20_0000 + at as u32;
    let fields = [start, start, 0, 0, start + 32];
    image.extend(fields.map(u32::to_le_bytes).concat());
    image.extend([0xf4; 4]);
    // The first header of the two is the one that counts.
    let by_elf = boot::load(&request(&image)).unwrap();
    assert_eq!(by_elf.entry_gpa, 0x10_000c);
    let first = image
        .windows(4)
        .position(|it| it == [0x02, 0xb0, 0xad, 0x1b]);
    image[first.unwrap()] = 0;
    let by_fields = boot::load(&request(&image)).unwrap();
    assert_eq!(by_fields.entry_gpa, u64::from(start) + 32);
    assert_eq!(part(&by_fields, "kernel").bytes.len(), 36);
}

#[test]
fn address_fields_that_contradict_each_other_are_named() {
    let cases: [(usize, u32, &[&str]); 7] = [
        // load_addr above header_addr; further below it than the file reaches.
        (16, 0x10_0011, &["load_addr", "0x20", "0x100011"]),
        (16, 0x0f_ffff, &["load_addr", "0x20", "0xfffff"]),
        (20, 0x10_0003, &["load_end_addr", "0x24", "0x100003"]),
        (20, 0x10_1000, &["kernel", "4092 bytes", "0x4"]),
        (24, 0x10_0033, &["bss_end_addr", "0x28", "0x100033"]),
        (24, 0xffff_ffff, &["kernel", "memory"]),
        (28, 0x10_2000, &["entry", "0x102000"]),
    ];
    for (offset, value, words) in cases {
        let mut image = multiboot_flat();
        put(&mut image, 16 + offset, &value.to_le_bytes());
        assert_refused(&request(&image), PAYLOAD, words);
    }
    let mut image = multiboot_flat();
    put(&mut image, 16 + 20, &0x10_0004u32.to_le_bytes());
    put(&mut image, 16 + 24, &0x10_0004u32.to_le_bytes());
    assert_refused(&request(&image), PAYLOAD, &["kernel", "empty"]);
}

#[test]
fn the_info_block_has_memory_command_line_map_and_name() {
    let image = multiboot_elf(3);
    let slots = [ram(0, 32 << 20), ram(4 << 30, 1 << 20)];
    let loaded = boot::load(&LoadRequest {
        command_line: b"console=ttyS0 -v",
        slots: &slots,
        ..request(&image)
    })
    .unwrap();
    let info = info(&loaded);
    // mem, cmdline, mods, mmap, boot_loader_name.
    assert_eq!(u32_at(info, 0), 0b10_0100_1101);
    // KiB below the EBDA at 639 KiB, KiB from 1 MiB on.
    assert_eq!((u32_at(info, 4), u32_at(info, 8)), (639, 31 << 10));
    assert_eq!(
        string(&loaded, u32_at(info, 16).into()),
        b"console=ttyS0 -v"
    );
    assert_eq!((u32_at(info, 20), u32_at(info, 24)), (0, 0));
    assert_eq!(string(&loaded, u32_at(info, 64).into()), b"vmexit");
    assert_eq!(u32_at(info, 44), 4 * 24);
    let map = read(&loaded, u32_at(info, 48).into(), 4 * 24);
    let entries: Vec<_> = map
        .chunks(24)
        .map(|it| (u32_at(it, 0), u64_at(it, 4), u64_at(it, 12), u32_at(it, 20)))
        .collect();
    let expected = [
        (20, 0, 0x9_fc00, 1),
        (20, 0x9_fc00, 0x6_0400, 2),
        (20, 0x10_0000, 31 << 20, 1),
        (20, 4 << 30, 1 << 20, 1),
    ];
    assert_eq!(entries, expected);
    // Fields whose bits are clear.
    assert!(
        info[68..]
            .iter()
            .chain(&info[28..44])
            .all(|byte| *byte == 0)
    );
}

#[test]
fn modules_lie_on_pages_above_1_mib_and_the_list_says_where() {
    let image = multiboot_elf(1);
    let modules = [
        Module {
            bytes: &[7; 5000],
            string: b"first arg",
        },
        Module {
            bytes: &[8],
            string: b"",
        },
    ];
    let loaded = boot::load(&LoadRequest {
        modules: &modules,
        ..request(&image)
    })
    .unwrap();
    let info = info(&loaded);
    assert_eq!(u32_at(info, 20), 2);
    let list = read(&loaded, u32_at(info, 24).into(), 32);
    // The kernel has 0x100000..0x103000, the first module the next two pages.
    assert_eq!((u32_at(list, 0), u32_at(list, 4)), (0x10_3000, 0x10_4388));
    assert_eq!((u32_at(list, 16), u32_at(list, 20)), (0x10_5000, 0x10_5001));
    assert_eq!((u32_at(list, 12), u32_at(list, 28)), (0, 0));
    assert_eq!(read(&loaded, 0x10_3000, 5000), [7; 5000]);
    assert_eq!(read(&loaded, 0x10_5000, 1), [8]);
    assert_eq!(string(&loaded, u32_at(list, 8).into()), b"first arg");
    assert_eq!(string(&loaded, u32_at(list, 24).into()), b"");
}

#[test]
fn what_we_place_keeps_out_of_reserved_ranges_page_0_and_the_legacy_hole() {
    let image = multiboot_elf(0);
    let modules = [Module {
        bytes: &[1; 4096],
        string: b"m",
    }];
    let loaded = boot::load(&LoadRequest {
        modules: &modules,
        // All low memory but 16 bytes, and the page after the kernel.
        reserved: &[0..0x9_fbf0, 0x10_3000..0x10_3001],
        ..request(&image)
    })
    .unwrap();
    assert_eq!(part(&loaded, "module").gpa, 0x10_4000);
    for part in &loaded.parts {
        let clear = part.gpa >= 0x10_0000 || (0x9_fbf0..0x9_fc00).contains(&part.gpa);
        assert!(clear, "{part:x?}");
    }
    assert_eq!(part(&loaded, "module-string").gpa, 0x9_fbf0);
    let free = boot::load(&request(&image)).unwrap();
    assert!(free.parts.iter().all(|part| part.gpa >= 0x1000));
}

#[test]
fn required_flags_that_nobody_knows_are_refused() {
    for flags in [1 << 2, 1 << 3, 1 << 15, 0xffff] {
        let image = multiboot_elf(flags);
        let at = image
            .windows(4)
            .position(|it| it == [0x02, 0xb0, 0xad, 0x1b]);
        let (value, at) = (format!("got {flags:#x}"), format!("{:#x}", at.unwrap() + 4));
        assert_refused(&request(&image), PAYLOAD, &["flags", &at, &value]);
    }
    // Bits from 17 on are wishes.
    assert!(boot::load(&request(&multiboot_elf(0xfffe_0000))).is_ok());
}

#[test]
fn a_header_is_found_on_multiples_of_four_within_8_kib() {
    let at = |offset: usize| {
        let mut image = vec![0; offset];
        image.extend(multiboot_header(0));
        image
    };
    // Found, and then neither address fields nor an ELF image.
    let words = ["multiboot", "ELF"];
    assert_refused(&request(&at(0)), PAYLOAD, &words);
    assert_refused(&request(&at(8192 - 12)), PAYLOAD, &words);
    for offset in [2, 8192 - 8, 8192] {
        let image = at(offset);
        assert_eq!(boot::load(&request(&image)).unwrap().format, Format::Flat);
        let asked = LoadRequest {
            format: Some(Format::Multiboot),
            ..request(&image)
        };
        assert_refused(&asked, PAYLOAD, &["0x1badb002", "8192"]);
    }
    let mut wrong = at(64);
    wrong[64 + 8] ^= 1;
    let asked = LoadRequest {
        format: Some(Format::Multiboot),
        ..request(&wrong)
    };
    assert_refused(
        &asked,
        PAYLOAD,
        &["checksum", "0x48", "0xe4524ffe", "0xe4524fff"],
    );
}

#[test]
fn strings_and_modules_have_limits_and_no_zeros() {
    let image = multiboot_elf(0);
    let long = vec![b'x'; MAX_COMMAND_LINE_BYTES + 1];
    let line = |command_line| LoadRequest {
        command_line,
        ..request(&image)
    };
    assert!(boot::load(&line(&long[1..])).is_ok());
    assert_refused(
        &line(&long),
        ErrorKind::Limit,
        &["command line", "4096", "4097"],
    );
    assert_refused(
        &line(b"a\0b"),
        ErrorKind::InvalidOption,
        &["command line", "index 1"],
    );
    let module = |string| Module {
        bytes: &[1],
        string,
    };
    let with = |modules| LoadRequest {
        modules,
        ..request(&image)
    };
    let words = ["modules[1].string", "index 0"];
    let modules = [module(b"a"), module(b"\0")];
    assert_refused(&with(&modules), ErrorKind::InvalidOption, &words);
    let modules = [module(&long)];
    assert_refused(
        &with(&modules),
        ErrorKind::Limit,
        &["modules[0].string", "4097"],
    );
    let many = vec![module(&long[1..]); MAX_MODULES + 1];
    assert!(boot::load(&with(&many[1..])).is_ok());
    assert_refused(&with(&many), ErrorKind::Limit, &["modules", "64", "65"]);
    let empty = Module {
        bytes: &[],
        string: b"",
    };
    assert_refused(&with(&[empty]), PAYLOAD, &["module", "empty"]);
}

#[test]
fn too_little_memory_for_what_goes_with_the_kernel_is_an_error() {
    let image = multiboot_elf(0);
    let module = Module {
        bytes: &[1; 0x1000],
        string: b"",
    };
    // The kernel ends at 0x103000.
    let slots = [ram(0, 0x10_4000)];
    let two = [module, module];
    let of = |modules| LoadRequest {
        modules,
        slots: &slots,
        ..request(&image)
    };
    assert!(boot::load(&of(&two[1..])).is_ok());
    let words = ["no room for module", "4096 bytes", "memoryBytes"];
    assert_refused(&of(&two), PAYLOAD, &words);
    // Without a slot at gpa 0 there is none for the info block either.
    let high = [ram(0x10_0000, 1 << 20)];
    let nowhere = LoadRequest {
        slots: &high,
        ..request(&image)
    };
    assert_refused(&nowhere, PAYLOAD, &["no room for memory-map"]);
}
