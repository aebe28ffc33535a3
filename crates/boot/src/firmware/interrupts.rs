//! The interrupts of a PC without a BIOS: vectors for real mode, and code that refuses.
//!
//! A kernel that asks a BIOS before it leaves real mode (Xen's, Linux's setup code) takes a refusal
//! for an answer. Zeros instead of vectors would have it run through memory.

use crate::layout::{INTERRUPT_CODE, RESET_ENTRY};

/// Vectors of real mode, each an offset and a segment.
const VECTORS: usize = 256;

/// What the vectors lead to. The order is that of the code.
const REFUSE: usize = 0;
const HALT: usize = 1;
const RETURN: usize = 2;
const FIRST_PIC: usize = 3;
const SECOND_PIC: usize = 4;
const EQUIPMENT: usize = 5;
const BASE_MEMORY: usize = 6;

/// Code for real mode, each in a paragraph of its own.
const CODE: [&[u8]; 7] = [
    // push %bp; mov %sp,%bp; orb $1,6(%bp); pop %bp; mov $0x86,%ah; iret: no such function, with
    // the carry flag as callers expect it.
    &[
        0x55, 0x89, 0xe5, 0x80, 0x4e, 0x06, 0x01, 0x5d, 0xb4, 0x86, 0xcf,
    ],
    // cli; 1: hlt; jmp 1b
    &[0xfa, 0xf4, 0xeb, 0xfd],
    // iret
    &[0xcf],
    // push %ax; mov $0x20,%al; out %al,$0x20; pop %ax; iret
    &[0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf],
    // push %ax; mov $0x20,%al; out %al,$0xa0; out %al,$0x20; pop %ax; iret
    &[0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf],
    // push %ds; mov $0x40,%ax; mov %ax,%ds; mov 0x10,%ax; pop %ds; iret
    &[
        0x1e, 0xb8, 0x40, 0x00, 0x8e, 0xd8, 0xa1, 0x10, 0x00, 0x1f, 0xcf,
    ],
    // The same with 0x13.
    &[
        0x1e, 0xb8, 0x40, 0x00, 0x8e, 0xd8, 0xa1, 0x13, 0x00, 0x1f, 0xcf,
    ],
];

const PARAGRAPH: usize = 16;

/// Where a processor begins after a reset: mov $6,%al; mov $0xcf9,%dx; out %al,(%dx); hlt.
const RESET: [u8; 7] = [0xb0, 0x06, 0xba, 0xf9, 0x0c, 0xee, 0xf4];

/// Guest physical address and bytes: the vectors, what they lead to, and the reset entry.
pub(super) fn areas() -> [(u64, Vec<u8>); 3] {
    let vectors = (0..VECTORS).map(kind_of).flat_map(|kind| {
        let offset = (INTERRUPT_CODE & 0xffff) as u16 + (kind * PARAGRAPH) as u16;
        let segment = (INTERRUPT_CODE >> 4 & 0xf000) as u16;
        [offset, segment].map(u16::to_le_bytes).concat()
    });
    let code = CODE.iter().flat_map(|code| {
        let mut paragraph = code.to_vec();
        paragraph.resize(PARAGRAPH, 0xf4);
        paragraph
    });
    [
        (0, vectors.collect()),
        (INTERRUPT_CODE, code.collect()),
        (RESET_ENTRY, RESET.to_vec()),
    ]
}

/// What a vector leads to, as the 8259s and a BIOS have them. A fault would come again and again,
/// so it halts; a trap goes on.
const fn kind_of(vector: usize) -> usize {
    match vector {
        0 | 6 | 7 => HALT,
        1..=5 => RETURN,
        0x08..=0x0f => FIRST_PIC,
        0x11 => EQUIPMENT,
        0x12 => BASE_MEMORY,
        // The timer's and the keyboard's hooks for programs.
        0x1b | 0x1c => RETURN,
        0x70..=0x77 => SECOND_PIC,
        _ => REFUSE,
    }
}
