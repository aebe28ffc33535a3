//! Images that are cut short or changed anywhere: an error or parts that lie where they may, never
//! a panic.

use boot::{ErrorKind, Format, LoadRequest, MemorySlot, Module};

use crate::images::{
    KERNEL, Kernel, MEMORY, elf32, elf64, multiboot_elf, multiboot_flat, multiboot2_elf,
    multiboot2_flat, note, notes, pvh, ram, request, segment, tag,
};

const MUTATIONS: u64 = 10_000;
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Memory with gaps, so that wild addresses fall into and between slots.
const SLOTS: [MemorySlot; 3] = [MEMORY[0], ram(0x800_0000, 0x1_0000), ram(4 << 30, 1 << 20)];

/// xorshift64*: as random as this needs, and the same every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// Images of every format and shape.
fn images() -> Vec<(&'static str, Format, Vec<u8>)> {
    let segments = [
        segment(0x10_0000, &[0xf4; 64], 0x1000),
        segment(0x20_0000, &[], 0x1000),
    ];
    let narrow = [
        segment(0x100_0000, &[0xf4; 16], 0x1000),
        notes(&note(b"Xen\0", 18, &0x100_0000u32.to_le_bytes(), 4), 4),
    ];
    let fixed = Kernel {
        relocatable_kernel: 0,
        ..KERNEL
    };
    let sixteen = Kernel {
        code32_start: 0,
        ..fixed
    };
    vec![
        ("flat", Format::Flat, vec![0xf4; 64]),
        ("ELF32", Format::Elf, elf32(0x10_0000, &segments)),
        ("ELF64", Format::Elf, elf64(0x10_0000, &segments)),
        ("multiboot in ELF", Format::Multiboot, multiboot_elf(3)),
        ("multiboot with fields", Format::Multiboot, multiboot_flat()),
        (
            "multiboot 2 in ELF",
            Format::Multiboot2,
            multiboot2_elf(&[
                tag(1, 0, &[4, 6, 15]),
                tag(10, 0, &[0x10_0000, 0x4ff_ffff, 0x1000, 1]),
            ]),
        ),
        (
            "multiboot 2 with tags",
            Format::Multiboot2,
            multiboot2_flat(),
        ),
        ("PVH in ELF32", Format::Pvh, elf32(0, &narrow)),
        ("PVH in ELF64", Format::Pvh, pvh()),
        ("bzImage", Format::BzImage, KERNEL.image()),
        ("fixed bzImage", Format::BzImage, fixed.image()),
        ("16-bit bzImage", Format::BzImage, sixteen.image()),
    ]
}

const RESERVED: [std::ops::Range<u64>; 2] = [0xe_0000..0xe_1000, 0x3ff_0000..0x3ff_1000];

/// All that may go with an image of this format.
fn full(image: &[u8], format: Format) -> LoadRequest<'_> {
    let linux = matches!(format, Format::Pvh | Format::BzImage);
    let multiboot = matches!(format, Format::Multiboot | Format::Multiboot2);
    LoadRequest {
        format: Some(format),
        command_line: if linux || multiboot { b"quiet" } else { b"" },
        initrd: linux.then_some(&[5; 9000]),
        modules: if multiboot {
            &[Module {
                bytes: &[6; 5000],
                string: b"module",
            }]
        } else {
            &[]
        },
        slots: &SLOTS,
        reserved: &RESERVED,
        rsdp: &[7; 36],
        ..request(image)
    }
}

/// Loads and checks whatever comes of it; says whether it loaded.
#[track_caller]
fn load(request: &LoadRequest, context: &str) -> bool {
    let loaded = match boot::load(request) {
        Ok(loaded) => loaded,
        Err(error) => {
            let expected = matches!(
                error.kind,
                ErrorKind::Payload | ErrorKind::Limit | ErrorKind::InvalidOption
            );
            assert!(expected, "{context}: {error}");
            return false;
        }
    };
    let overlap =
        |a: &std::ops::Range<u64>, b: &std::ops::Range<u64>| a.start < b.end && b.start < a.end;
    for (index, part) in loaded.parts.iter().enumerate() {
        let range = part.range();
        let inside = |slot: &&MemorySlot| slot.gpa <= range.start && range.end <= slot.end();
        assert!(
            part.memory_bytes >= part.bytes.len() as u64,
            "{context}: {part:x?}"
        );
        assert_eq!(range.end - range.start, part.memory_bytes, "{context}");
        assert!(
            request.slots.iter().any(|slot| inside(&slot)),
            "{context}: {part:x?}"
        );
        let free = !request.reserved.iter().any(|it| overlap(it, &range));
        assert!(free, "{context}: {part:x?}");
        let others = &loaded.parts[index + 1..];
        let apart = !others.iter().any(|it| overlap(&it.range(), &range));
        assert!(apart, "{context}: {part:x?}");
    }
    let slots = &mut request.slots.iter();
    let entry = loaded.entry_gpa;
    assert!(
        slots.any(|slot| slot.gpa <= entry && entry < slot.end()),
        "{context}: {entry:#x}"
    );
    true
}

#[test]
fn every_prefix_of_every_image_is_loaded_or_refused() {
    for (name, format, image) in images() {
        assert!(load(&full(&image, format), name), "{name} loads as a whole");
        for length in 0..image.len() {
            let context = format!("{name}, {length} bytes");
            let prefix = &image[..length];
            let as_asked = load(&full(prefix, format), &context);
            // A file that is cut short misses something, unless its format knows no end but for
            // padding.
            let padding = match name {
                "flat" | "multiboot with fields" | "multiboot 2 with tags" => image.len(),
                "bzImage" | "fixed bzImage" | "16-bit bzImage" => 15,
                _ => 0,
            };
            assert!(
                !as_asked || image.len() - length <= padding,
                "{context} loads"
            );
            load(&request(prefix), &context);
        }
    }
}

#[test]
fn ten_thousand_mutations_of_every_image_are_loaded_or_refused() {
    println!("seed {SEED:#x}");
    let mut random = Random(SEED);
    for (name, format, original) in images() {
        let (mut loaded, mut refused) = (0u64, 0u64);
        for round in 0..MUTATIONS {
            let mut image = original.clone();
            mutate(&mut image, &mut random);
            let context = format!("{name}, seed {SEED:#x}, round {round}");
            let asked = full(&image, format);
            if load(&asked, &context) {
                loaded += 1;
            } else {
                refused += 1;
            }
            load(&request(&image), &context);
        }
        println!("{name}: {loaded} loaded, {refused} refused");
        // Both sides of the fence were visited.
        let flat = format == Format::Flat;
        assert!(
            loaded > MUTATIONS / 20 && (flat || refused > MUTATIONS / 20),
            "{name}"
        );
    }
}

/// Changes up to four fields where headers are, to values at the edges of their types and of
/// memory.
fn mutate(image: &mut Vec<u8>, random: &mut Random) {
    const EDGES: [u64; 12] = [
        0,
        1,
        3,
        0x7fff_ffff,
        0xffff_ffff,
        u64::MAX,
        u64::MAX - 7,
        0xfff,
        0x10_0000,
        0x400_0000 - 1,
        0x1_0000_0000,
        0x800_fff0,
    ];
    let start = if image.len() > 1024 { 0x1f0 } else { 0 };
    let end = image.len().min(start + 0xc0);
    for _ in 0..=random.below(4) {
        let at = start + random.below(end - start);
        let size = 1 << random.below(4);
        let value = match random.below(3) {
            0 => random.next(),
            1 => EDGES[random.below(EDGES.len())],
            _ => random.next() >> random.below(64),
        };
        let field = value.to_le_bytes();
        for (to, from) in image[at..].iter_mut().zip(&field[..size]) {
            *to = *from;
        }
    }
    if random.below(16) == 0 {
        image.truncate(random.below(image.len()) + 1);
    }
}
