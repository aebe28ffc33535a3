//! Images, and what a program finds at its first instruction.

use crate::bed::{Bed, DYNAMIC, Elf, INTERP, STACK, Segment, program, try_load};
use linux::LoadErrorKind::{Address, Argument, Broken, Limit, NoMemory, Unsupported};
use linux::limits::{ARGUMENT_BYTES, STACK_BYTES, STACK_END};
use linux::{LoadErrorKind, Protection, interpreter, load};

fn refused(elf: &Elf) -> (LoadErrorKind, String) {
    let error = try_load(&elf.build()).unwrap_err();
    (error.kind, error.message)
}

fn with(segments: Vec<Segment>) -> Elf {
    Elf {
        entry: 0,
        segments,
        ..Elf::fixed()
    }
}

#[test]
fn parts_lie_as_linked_with_the_rights_that_the_headers_say() {
    let mut bed = Bed::with(&program(
        &with(vec![
            Segment::load(5, 0x40_0000, b"code", 4),
            Segment::load(4, 0x40_2010, b"constants", 9),
            Segment::load(6, 0x40_3ff0, b"data", 0x3000),
        ])
        .build(),
        &[b"test"],
    ));
    assert_eq!(bed.read(0x40_0000, 4), b"code");
    assert_eq!(bed.read(0x40_2010, 9), b"constants");
    assert_eq!(bed.read(0x40_3ff0, 4), b"data");
    assert_eq!(bed.read(0x40_3ff4, 0x2ffc), vec![0; 0x2ffc]);
    let rights = [
        0x40_0000, 0x40_1000, 0x40_2000, 0x40_3000, 0x40_6000, 0x40_7000,
    ]
    .map(|at| bed.space.protection(at));
    assert_eq!(
        rights,
        [
            Some(Protection::READ_EXECUTE),
            None,
            Some(Protection::READ),
            Some(Protection::READ_WRITE),
            Some(Protection::READ_WRITE),
            None
        ]
    );
    assert_eq!(bed.loaded.base, 0);
    assert_eq!(bed.loaded.span, 0x40_0000..0x40_7000);
    assert_eq!(bed.loaded.brk, 0x40_7000);
    assert_eq!(bed.loaded.entry, None);
}

#[test]
fn a_page_of_two_parts_has_the_bytes_and_the_rights_of_both() {
    let elf = with(vec![
        Segment::load(5, 0x40_0000, &[1; 0x1100], 0x1100),
        Segment::load(6, 0x40_1100, &[2; 0x100], 0x100),
        Segment::load(4, 0x40_1200, &[3; 0x1e00], 0x1e00),
    ]);
    let mut bed = Bed::with(&program(&elf.build(), &[]));
    assert_eq!(bed.read(0x40_10ff, 3), [1, 2, 2]);
    assert_eq!(bed.read(0x40_11ff, 3), [2, 3, 3]);
    let rights = [0x40_0000, 0x40_1000, 0x40_2000].map(|at| bed.space.protection(at).unwrap());
    assert_eq!(
        rights,
        [Protection::READ_EXECUTE, Protection::ALL, Protection::READ]
    );
}

#[test]
fn an_image_that_may_lie_anywhere_lies_at_its_place() {
    let elf = Elf {
        kind: 3,
        entry: 0x1000,
        segments: vec![
            Segment::load(4, 0, &[0; 0x200], 0x200),
            Segment::load(5, 0x1000, b"code", 4),
        ],
        ..Elf::fixed()
    };
    let mut bed = Bed::with(&program(&elf.build(), &[b"test"]));
    assert_eq!(bed.loaded.base, 0x5500_0000_0000);
    assert_eq!(bed.loaded.entry, Some(0x5500_0000_1000));
    assert_eq!(bed.read(0x5500_0000_1000, 4), b"code");
}

#[test]
fn an_interpreter_is_loaded_and_starts_first() {
    let interpreter_image = Elf {
        kind: 3,
        entry: 0x20,
        segments: vec![Segment::load(5, 0, &[0x90; 0x40], 0x40)],
        ..Elf::fixed()
    }
    .build();
    let mut elf = Elf::fixed();
    elf.segments.push(Segment {
        kind: INTERP,
        ..Segment::load(4, 0, b"/lib/ld.so\0", 0)
    });
    let image = elf.build();
    assert_eq!(interpreter(&image), Ok(Some(&b"/lib/ld.so"[..])));
    let (kind, message) = refused(&elf);
    assert_eq!(kind, Unsupported);
    assert!(message.contains("/lib/ld.so"), "{message}");
    let mut wanted = program(&image, &[b"test"]);
    wanted.interpreter = Some(&interpreter_image);
    let mut bed = Bed::with(&wanted);
    assert_eq!(bed.loaded.interpreter.as_deref(), Some(&b"/lib/ld.so"[..]));
    assert_eq!(bed.loaded.interpreter_base, Some(0x7e80_0000_0000));
    assert_eq!(bed.loaded.entry, Some(0x7e80_0000_0020));
    let vector = auxiliary(&mut bed);
    let value = |tag: u64| vector.iter().find(|entry| entry[0] == tag).unwrap()[1];
    assert_eq!((value(7), value(9)), (0x7e80_0000_0000, 0x40_0000));
    // One that is not asked for is a mistake of the caller's.
    let plain = Elf::fixed().build();
    wanted.image = &plain;
    let (mut space, ram) = crate::bed::space();
    assert_eq!(
        load(&mut space, &ram, &wanted).unwrap_err().kind,
        Unsupported
    );
}

/// The pairs after argc, argv and envp.
fn auxiliary(bed: &mut Bed) -> Vec<[u64; 2]> {
    let mut at = bed.loaded.stack + 8;
    for _ in 0..2 {
        while bed.word(at) != 0 {
            at += 8;
        }
        at += 8;
    }
    let mut vector = Vec::new();
    loop {
        let entry = [bed.word(at), bed.word(at + 8)];
        if entry[0] == 0 {
            return vector;
        }
        vector.push(entry);
        at += 16;
    }
}

#[test]
fn the_first_stack_holds_arguments_environment_and_the_auxiliary_vector() {
    // The headers are in memory if a part holds the start of the file.
    let headers = 64 + 56;
    let mut image = with(vec![Segment::load(4, 0x40_0000, &[0; 8], 8)]).build();
    let offset = 64 + 8;
    image[offset..offset + 8].fill(0);
    let size = 64 + 32;
    image[size..size + 8].copy_from_slice(&u64::to_le_bytes(headers));
    image[size + 8..size + 16].copy_from_slice(&u64::to_le_bytes(headers));
    let mut bed = Bed::with(&program(&image, &[b"test", b"", b"two words"]));
    let stack = bed.loaded.stack;
    assert_eq!(stack % 16, 0);
    assert_eq!(bed.word(stack), 3);
    let words: Vec<u64> = (0..7)
        .map(|index| bed.word(stack + 8 + 8 * index))
        .collect();
    assert_eq!((words[3], words[6]), (0, 0));
    let texts = [0, 1, 2, 4, 5].map(|index| bed.text(words[index]));
    assert_eq!(texts, ["test", "", "two words", "HOME=/", "TERM=dumb"]);
    let vector = auxiliary(&mut bed);
    let value = |tag: u64| vector.iter().find(|entry| entry[0] == tag).unwrap()[1];
    assert_eq!(value(3), 0x40_0040, "AT_PHDR");
    assert_eq!((value(4), value(5), value(6)), (56, 1, 4096));
    assert_eq!((value(7), value(23)), (0, 0), "AT_BASE, AT_SECURE");
    assert!(
        vector.iter().all(|entry| entry[0] != 33),
        "there is no vDSO"
    );
    assert_eq!(bed.read(value(25), 16), b"0123456789abcdef");
    assert_eq!(bed.text(value(31)), "test");
    assert_eq!(bed.text(value(15)), "x86_64");
    let guard = STACK_END - STACK_BYTES - 1;
    assert_eq!(bed.space.protection(guard), None);
    assert_eq!(
        bed.space.protection(STACK_END - STACK_BYTES),
        Some(Protection::READ_WRITE)
    );
}

#[test]
fn a_stack_is_executable_if_the_image_asks_for_it() {
    let mut elf = Elf::fixed();
    elf.segments.push(Segment {
        kind: STACK,
        ..Segment::load(7, 0, b"", 0)
    });
    let bed = Bed::with(&program(&elf.build(), &[]));
    assert_eq!(bed.space.protection(STACK_END - 1), Some(Protection::ALL));
}

#[test]
fn parts_where_no_program_lies_are_refused_by_name() {
    let at = |start, bytes| refused(&with(vec![Segment::load(5, start, b"", bytes)]));
    for (start, bytes, said) in [
        (0xf000, 0x1000, "0xf000 to 0x10000 lies below 0x10000"),
        (0xfe00_0000, 1, "in 0xfe000000 to 0xff000000"),
        (0xfdff_ffff, 2, "in 0xfe000000 to 0xff000000"),
        (0xf000_0000, 1 << 40, "in 0xfe000000 to 0xff000000"),
        (0x7e00_0000_0000, 1, "above 0x7e0000000000"),
        (0xffff_ffff_8000_0000, 0x1000, "above 0x7e0000000000"),
    ] {
        let (kind, message) = at(start, bytes);
        assert_eq!(kind, Address, "{message}");
        assert!(message.contains(said), "{message}");
    }
    let (kind, message) = at(u64::MAX - 1, 8);
    assert_eq!(kind, Broken, "{message}");
    let movable = Elf {
        kind: 3,
        ..with(vec![
            Segment::load(5, 0, b"", 1),
            Segment::load(5, 0x7000_0000_0000, b"", 1),
        ])
    };
    assert_eq!(refused(&movable).0, Address);
}

#[test]
fn what_is_no_program_of_this_processor_is_refused_by_name() {
    let fixed = Elf::fixed();
    for (elf, kind, said) in [
        (
            Elf {
                machine: 183,
                ..fixed.clone()
            },
            Unsupported,
            "machine 183",
        ),
        (
            Elf {
                kind: 1,
                ..fixed.clone()
            },
            Unsupported,
            "type 1",
        ),
        (
            Elf {
                entry: 1,
                ..fixed.clone()
            },
            Broken,
            "e_entry 0x1",
        ),
        (
            Elf {
                segments: vec![],
                ..fixed.clone()
            },
            Broken,
            "no part",
        ),
    ] {
        let (found, message) = refused(&elf);
        assert_eq!(found, kind, "{message}");
        assert!(message.contains(said), "{message}");
    }
    assert_eq!(try_load(b"#!/bin/sh").unwrap_err().kind, Broken);
    assert_eq!(try_load(b"").unwrap_err().kind, Broken);
    let image = fixed.build();
    for length in 0..image.len() {
        let error = try_load(&image[..length]).unwrap_err();
        assert_eq!(error.kind, Broken, "{length}: {error}");
    }
    let parts = (0..129).map(|n| Segment::load(4, 0x40_0000 + n * 0x1000, b"x", 1));
    assert_eq!(refused(&with(parts.collect())).0, Limit);
    let overlapping = with(vec![
        Segment::load(5, 0x40_0000, b"", 0x2000),
        Segment::load(6, 0x40_1fff, b"x", 1),
    ]);
    let (kind, message) = refused(&overlapping);
    assert_eq!(kind, Broken);
    assert!(message.contains("overlap"), "{message}");
    let large = vec![1; 33 << 20];
    let (kind, message) = refused(&with(vec![Segment::load(6, 0x40_0000, &large, 0)]));
    assert_eq!(kind, NoMemory, "{message}");
}

#[test]
fn an_image_that_only_a_loader_could_relocate_is_refused() {
    let dynamic = |tag: u64, value: u64| {
        let words = [tag, value, 0, 0];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut elf = Elf {
            kind: 3,
            ..with(vec![Segment::load(5, 0, b"code", 4)])
        };
        elf.segments.push(Segment {
            kind: DYNAMIC,
            ..Segment::load(6, 0, &bytes, 0)
        });
        elf
    };
    for tag in [1, 8, 2, 35] {
        let (kind, message) = refused(&dynamic(tag, 24));
        assert_eq!(kind, Unsupported, "{message}");
        // With an entry the image relocates itself.
        let itself = Elf {
            entry: 1,
            ..dynamic(tag, 24)
        };
        assert!(try_load(&itself.build()).is_ok());
    }
    assert!(try_load(&dynamic(8, 0).build()).is_ok());
}

#[test]
fn arguments_have_bounds_and_no_nul() {
    let image = Elf::fixed().build();
    let tried = |arguments: &[&[u8]]| {
        let (mut space, ram) = crate::bed::space();
        let wanted = program(&image, arguments);
        load(&mut space, &ram, &wanted).map_err(|error| error.kind)
    };
    assert_eq!(tried(&[b"a\0b"]), Err(Argument));
    let long = vec![b'x'; ARGUMENT_BYTES];
    assert_eq!(tried(&[&long]), Err(Limit));
    let many: Vec<&[u8]> = vec![b""; ARGUMENT_BYTES / 9 + 1];
    assert_eq!(tried(&many), Err(Limit));
    let fits: Vec<&[u8]> = vec![b""; ARGUMENT_BYTES / 10];
    assert!(tried(&fits).is_ok());
}
