use super::*;

fn texts(bytes: &[u8], size: CodeSize) -> Vec<String> {
    let all = disassemble(bytes, 0x1000, size, usize::MAX);
    all.into_iter().map(|it| it.text).collect()
}

fn one(bytes: &[u8], size: CodeSize) -> Instruction {
    let mut all = disassemble(bytes, 0x1000, size, 1);
    all.remove(0)
}

#[test]
fn the_same_bytes_in_each_size() {
    // 48 is a prefix in 64 bits, and dec eax before.
    let bytes = [0x48, 0x8b, 0x47, 0x08, 0xc3];
    let [wide, middle, narrow] = [CodeSize::Bits64, CodeSize::Bits32, CodeSize::Bits16];
    assert_eq!(texts(&bytes, wide), ["mov rax, [rdi+0x8]", "ret"]);
    assert_eq!(
        texts(&bytes, middle),
        ["dec eax", "mov eax, [edi+0x8]", "ret"]
    );
    assert_eq!(texts(&bytes, narrow), ["dec ax", "mov ax, [bx+0x8]", "ret"]);
}

#[test]
fn what_begins_no_instruction_is_one_byte() {
    let bytes = [0x0f, 0x0b, 0x06, 0x90, 0xe8, 0x00];
    let all = disassemble(&bytes, u64::MAX - 2, CodeSize::Bits64, usize::MAX);
    let said: Vec<_> = all
        .iter()
        .map(|it| (it.address, it.length, it.text.as_str()))
        .collect();
    // Addresses wrap, and the call at the end is cut off.
    let expected = [
        (u64::MAX - 2, 2, "ud2"),
        (u64::MAX, 1, "(bad)"),
        (0, 1, "nop"),
        (1, 1, "(bad)"),
    ];
    assert_eq!(said[..4], expected);
    assert_eq!(all.iter().map(|it| it.length).sum::<usize>(), bytes.len());
}

#[test]
fn no_more_than_were_asked_for() {
    let bytes = [0x90; 9];
    for (count, expected) in [(0, 0), (1, 1), (9, 9), (usize::MAX, 9)] {
        let all = disassemble(&bytes, 0, CodeSize::Bits32, count);
        assert_eq!(all.len(), expected);
    }
    assert_eq!(disassemble(&[], 0, CodeSize::Bits16, 9), []);
}

#[test]
fn the_mnemonic_follows_the_prefixes() {
    let mnemonic = |bytes: &[u8]| one(bytes, CodeSize::Bits64).mnemonic;
    assert_eq!(mnemonic(&[0xf3, 0x48, 0xa5]), "movsq");
    assert_eq!(mnemonic(&[0xf0, 0x48, 0x0f, 0xc7, 0x0f]), "cmpxchg16b");
    assert_eq!(mnemonic(&[0x2e, 0x74, 0x00]), "je");
    assert_eq!(mnemonic(&[0xf2, 0xf0, 0xff, 0x00]), "inc");
    assert_eq!(mnemonic(&[0x06]), "(bad)");
    assert_eq!(mnemonic(&[0xf4]), "hlt");
}

#[test]
fn targets_of_jumps_and_calls() {
    let target = |bytes: &[u8], size| one(bytes, size).target;
    assert_eq!(target(&[0xeb, 0xfe], CodeSize::Bits64), Some(0x1000));
    assert_eq!(
        target(&[0xe8, 0, 0, 0, 0x80], CodeSize::Bits32),
        Some(0x8000_1005)
    );
    assert_eq!(target(&[0xe9, 0xfd, 0xef], CodeSize::Bits16), Some(0));
    assert_eq!(target(&[0xff, 0xe0], CodeSize::Bits64), None, "jmp rax");
    assert_eq!(target(&[0xf4], CodeSize::Bits64), None);
}

#[test]
fn operands_in_memory() {
    let memory = |bytes: &[u8], size| one(bytes, size).memory;
    let plain = MemoryOperand {
        segment: "ds",
        base: None,
        index: None,
        scale: 1,
        displacement: 0,
        relative: false,
    };
    let fs = MemoryOperand {
        segment: "fs",
        displacement: 0x28,
        ..plain.clone()
    };
    let canary = [0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0];
    assert_eq!(memory(&canary, CodeSize::Bits64), Some(fs));
    let relative = MemoryOperand {
        displacement: 0x1017,
        relative: true,
        ..plain.clone()
    };
    let bytes = [0x48, 0x8b, 0x05, 0x10, 0, 0, 0];
    assert_eq!(memory(&bytes, CodeSize::Bits64), Some(relative));
    let scaled = MemoryOperand {
        segment: "ss",
        base: Some("rsp"),
        index: Some("r15"),
        scale: 8,
        displacement: 8_u64.wrapping_neg(),
        ..plain.clone()
    };
    let bytes = [0x4a, 0x89, 0x44, 0xfc, 0xf8];
    assert_eq!(memory(&bytes, CodeSize::Bits64), Some(scaled));
    let string = MemoryOperand {
        segment: "es",
        base: Some("di"),
        ..plain.clone()
    };
    assert_eq!(memory(&[0xaa], CodeSize::Bits16), Some(string));
    let outs = MemoryOperand {
        base: Some("esi"),
        ..plain
    };
    assert_eq!(memory(&[0x6e], CodeSize::Bits32), Some(outs));
    assert_eq!(memory(&[0x89, 0xc8], CodeSize::Bits32), None);
}

/// Bytes of a generator that is the same each time (xorshift64).
fn random_bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..count).map(next).collect()
}

#[test]
fn any_bytes_are_taken_apart_without_a_gap() {
    let sizes = [CodeSize::Bits16, CodeSize::Bits32, CodeSize::Bits64];
    for (seed, size) in (1..100).flat_map(|seed| sizes.map(|size| (seed, size))) {
        let bytes = random_bytes(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15), 1000);
        let mut at = 0;
        for it in disassemble(&bytes, 0, size, usize::MAX) {
            assert_eq!(it.address, at);
            assert!((1..=MAX_INSTRUCTION_BYTES).contains(&it.length));
            assert!(it.text.is_ascii() && !it.mnemonic.is_empty());
            at += it.length as u64;
        }
        assert_eq!(at, bytes.len() as u64);
    }
}
