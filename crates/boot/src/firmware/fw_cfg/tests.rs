use super::*;
use crate::firmware::acpi;

fn named<'f>(files: &'f [File<'_>], name: &str) -> &'f [u8] {
    let found = files.iter().find(|(of, _)| of == name);
    found.map(|(_, bytes)| &**bytes).unwrap()
}

fn made(cpus: u8, gpa: u64) -> Tables {
    let virtio: Vec<_> = crate::firmware::virtio(3).collect();
    acpi::tables(
        &acpi::Machine {
            cpus,
            virtio: &virtio,
            vga: false,
        },
        gpa,
    )
}

fn slot(gpa: u64, bytes: u64, read_only: bool) -> MemorySlot {
    MemorySlot {
        gpa,
        bytes,
        read_only,
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn text(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap();
    std::str::from_utf8(&bytes[..end]).unwrap()
}

/// Does what the script says, with the files at two addresses.
fn run(files: &[File<'_>], root_gpa: u64, tables_gpa: u64) -> (Vec<u8>, Vec<u8>) {
    let (mut root, mut tables) = (named(files, ROOT).to_vec(), named(files, TABLES).to_vec());
    let mut allocated = Vec::new();
    let script = named(files, SCRIPT);
    assert!(script.len().is_multiple_of(128));
    for command in script.chunks(128) {
        let (kind, name) = (word(command, 0), text(&command[4..60]));
        let file = if name == ROOT { &mut root } else { &mut tables };
        match kind {
            1 => allocated.push((name.to_owned(), word(command, 60), command[64])),
            2 => {
                assert_eq!(text(&command[60..116]), TABLES);
                let at = word(command, 116) as usize;
                let width = usize::from(command[120]);
                let mut wide = [0; 8];
                wide[..width].copy_from_slice(&file[at..at + width]);
                let pointer = u64::from_le_bytes(wide) + tables_gpa;
                file[at..at + width].copy_from_slice(&pointer.to_le_bytes()[..width]);
            }
            3 => {
                let [at, start, length] = [60, 64, 68].map(|at| word(command, at) as usize);
                let of = &file[start..start + length];
                let sum = of.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
                file[at] = file[at].wrapping_sub(sum);
            }
            other => panic!("command {other}"),
        }
    }
    let expected = [(ROOT.to_owned(), 16, 2), (TABLES.to_owned(), 64, 1)];
    assert_eq!(allocated, expected);
    assert_eq!((root_gpa % 16, tables_gpa % 64), (0, 0));
    (root, tables)
}

#[test]
fn the_script_makes_the_tables_that_were_made_for_the_place() {
    let files = files(&[], &[], &made(2, 0), &[]);
    let gpa = 0x7f_f000;
    let (root, tables) = run(&files, 0xf_5a80, gpa);
    // The same tables, made for that address, have the same bytes but for the narrow pointer.
    let expected = made(2, gpa);
    let rsdp_gpa = expected.rsdp_gpa;
    for (at, expected) in &expected.tables {
        if *at == rsdp_gpa {
            assert_eq!(root, *expected);
            continue;
        }
        let start = (at - gpa) as usize;
        let mut found = tables[start..start + expected.len()].to_vec();
        if found.starts_with(b"FACP") {
            assert_eq!(u64::from(word(&found, 40)), long(&found, 140));
            let sum = found.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
            assert_eq!(sum, 0);
            found[40..44].copy_from_slice(&expected[40..44]);
            found[9] = expected[9];
        }
        assert_eq!(found, *expected, "{at:#x}");
    }
}

#[test]
fn the_map_has_every_slot_and_what_is_reserved() {
    let slots = [
        slot(0, 64 << 20, false),
        slot(0xfffe_0000, 0x2_0000, true),
        slot(1 << 32, 1 << 30, false),
    ];
    let reserved = 0xfe00_0000..0xff00_0000;
    let reserved = std::slice::from_ref(&reserved);
    let files = files(&slots, reserved, &made(1, 0), &[]);
    let entries: Vec<_> = named(&files, MAP)
        .chunks(20)
        .map(|entry| (long(entry, 0), long(entry, 8), word(entry, 16)))
        .collect();
    let expected = [
        (0, 64 << 20, 1),
        (0xfffe_0000, 0x2_0000, 2),
        (1 << 32, 1 << 30, 1),
        (0xfe00_0000, 0x100_0000, 2),
    ];
    assert_eq!(entries, expected);
}

#[test]
fn files_that_have_no_place_are_refused() {
    let file = |name: &str, bytes: usize| (name.to_owned(), Cow::Owned(vec![0; bytes]));
    let refused = |files: &[File<'_>], kind, words: &[&str]| {
        let error = check(files).unwrap_err();
        assert_eq!(error.kind, kind, "{}", error.message);
        for word in words {
            assert!(error.message.contains(word), "{}", error.message);
        }
    };
    let (limit, invalid) = (ErrorKind::Limit, ErrorKind::InvalidOption);
    let longest = "n".repeat(55);
    let whole = [file(&longest, 16 << 20), file("bootorder", 0)];
    assert!(check(&whole).is_ok());
    refused(&[file(&"n".repeat(56), 1)], limit, &["55", "56"]);
    refused(&[file("", 1)], invalid, &["empty"]);
    refused(&[file("a\0b", 1)], invalid, &["zero"]);
    refused(&[file("etc/e820", 1)], invalid, &["etc/e820", "itself"]);
    refused(&[file("a", 1), file("a", 2)], invalid, &["twice"]);
    let bytes = (16 << 20) + 1;
    refused(&[file("a", bytes)], limit, &["16777216", "16777217"]);
    let many: Vec<_> = (0..=MAX_FILES).map(|n| file(&n.to_string(), 1)).collect();
    assert!(check(&many[1..]).is_ok());
    refused(&many, limit, &["56", "57"]);
}
