use kvm_bindings::kvm_segment;

use super::*;

/// Memory from address 0 on, and code everywhere in it.
struct Memory(Vec<u8>);

impl Memory {
    fn new() -> Self {
        Self(vec![0x90; 0x2_0000])
    }

    fn put(&mut self, at: u64, width: usize, words: &[u64]) {
        for (place, word) in (at as usize..).step_by(width).zip(words) {
            self.0[place..place + width].copy_from_slice(&word.to_le_bytes()[..width]);
        }
    }

    fn code(&mut self, at: u64, bytes: &[u8]) {
        self.0[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
    }

    fn read(&self, linear: u64, into: &mut [u8]) -> bool {
        let start = usize::try_from(linear).unwrap_or(usize::MAX);
        let from = start
            .checked_add(into.len())
            .and_then(|end| self.0.get(start..end));
        from.inspect(|from| into.copy_from_slice(from)).is_some()
    }

    fn frames(&self, bits: u8, (rip, rsp, rbp): (u64, u64, u64)) -> Vec<u64> {
        let registers = kvm_regs {
            rip,
            rsp,
            rbp,
            ..Default::default()
        };
        frames(&registers, &kvm_sregs::default(), bits, |at, into| {
            self.read(at, into)
        })
    }
}

#[test]
fn calls_are_followed_in_code_of_every_size() {
    for bits in [16, 32, 64] {
        let width = usize::from(bits) / 8;
        let mut memory = Memory::new();
        memory.put(0x8000, width, &[0x8100, 0x1111]);
        memory.put(0x8100, width, &[0x8200, 0x2222]);
        memory.put(0x8200, width, &[0, 0]);
        let found = memory.frames(bits, (0x1000, 0x7ff0, 0x8000));
        assert_eq!(found, [0x1000, 0x1111, 0x2222], "{bits} bits");
    }
}

#[test]
fn segments_count_but_in_64_bit_code() {
    let mut memory = Memory::new();
    memory.put(0x1_8000, 2, &[0, 0x1111]);
    memory.put(0x8000, 8, &[0, 0x2222]);
    let special = kvm_sregs {
        cs: kvm_segment {
            base: 0x2000,
            ..Default::default()
        },
        ss: kvm_segment {
            base: 0x1_0000,
            ..Default::default()
        },
        ..Default::default()
    };
    let registers = kvm_regs {
        rip: 0xffff_0000_1000,
        rsp: 0x8000,
        rbp: 0x8000,
        ..Default::default()
    };
    let read = |at, into: &mut [u8]| memory.read(at, into);
    assert_eq!(frames(&registers, &special, 16, read), [0x3000, 0x3111]);
    let registers = kvm_regs {
        rip: 0x1000,
        ..registers
    };
    assert_eq!(frames(&registers, &special, 64, read), [0x1000, 0x2222]);
}

#[test]
fn a_function_that_has_no_frame_yet_or_any_more_has_its_caller() {
    // push rbp; mov rbp, rsp; …; ret, in both encodings of mov.
    let begins: [(u8, &[u8]); 4] = [
        (64, &[0x55, 0x48, 0x89, 0xe5]),
        (64, &[0x55, 0x48, 0x8b, 0xec]),
        (32, &[0x55, 0x89, 0xe5]),
        (16, &[0x55, 0x8b, 0xec]),
    ];
    for (bits, begin) in begins {
        let width = usize::from(bits) / 8;
        let mut memory = Memory::new();
        memory.code(0x1000, begin);
        memory.code(0x1010, &[0xc3]);
        memory.code(0x1020, &[0xf3, 0x0f, 0x1e, 0xfa]);
        memory.put(0x7ff0, width, &[0x1111, 0x3333]);
        memory.put(0x8000, width, &[0, 0x2222]);
        let at = |rip, rsp| memory.frames(bits, (rip, rsp, 0x8000));
        let all = |rip| vec![rip, 0x1111, 0x2222];
        assert_eq!(at(0x1000, 0x7ff0), all(0x1000), "push in {bits} bits");
        assert_eq!(at(0x1010, 0x7ff0), all(0x1010), "ret in {bits} bits");
        assert_eq!(at(0x1020, 0x7ff0), all(0x1020), "endbr in {bits} bits");
        let pushed = 0x7ff0 - width as u64;
        assert_eq!(at(0x1001, pushed), all(0x1001), "mov in {bits} bits");
        assert_eq!(at(0x1030, 0x7ff0), [0x1030, 0x2222], "nop in {bits} bits");
    }
}

#[test]
fn a_guest_that_has_no_stack_yet_has_no_caller() {
    let mut memory = Memory::new();
    for bits in [16, 32, 64] {
        memory.put(0, usize::from(bits) / 8, &[0x8000, 0x1111]);
        assert_eq!(memory.frames(bits, (0x1000, 0, 0)), [0x1000]);
    }
}

#[test]
fn a_chain_that_does_not_lead_up_the_stack_ends() {
    let mut memory = Memory::new();
    // To itself, down, and to and fro.
    memory.put(0x8000, 8, &[0x8000, 0x1111]);
    assert_eq!(
        memory.frames(64, (0x1000, 0x8000, 0x8000)),
        [0x1000, 0x1111]
    );
    memory.put(0x9000, 8, &[0x8fff, 0x1111]);
    assert_eq!(
        memory.frames(64, (0x1000, 0x8000, 0x9000)),
        [0x1000, 0x1111]
    );
    memory.put(0xa000, 8, &[0xb000, 0x1111]);
    memory.put(0xb000, 8, &[0xa000, 0x2222]);
    let both = memory.frames(64, (0x1000, 0x8000, 0xa000));
    assert_eq!(both, [0x1000, 0x1111, 0x2222]);
    // A register that points below the stack is no frame.
    assert_eq!(memory.frames(64, (0x1000, 0xa001, 0xa000)), [0x1000]);
}

#[test]
fn a_deep_chain_is_cut_off() {
    let mut memory = Memory::new();
    for frame in 0..1000 {
        memory.put(0x8000 + 16 * frame, 8, &[0x8010 + 16 * frame, 0x1111]);
    }
    let found = memory.frames(64, (0x1000, 0x8000, 0x8000));
    assert_eq!(found.len(), MAX_SAMPLE_FRAMES);
}

#[test]
fn what_is_no_memory_ends_a_chain() {
    let mut memory = Memory::new();
    memory.put(0x8000, 8, &[0x9000, 0x1111]);
    // A return address beyond memory, none at all, and one that no address has.
    for wrong in [0x2_0001, 0, u64::MAX, 0x8000_0000_0000_0000] {
        memory.put(0x9000, 8, &[0xa000, wrong]);
        let found = memory.frames(64, (0x1000, 0x8000, 0x8000));
        assert_eq!(found, [0x1000, 0x1111], "{wrong:#x}");
    }
    memory.put(0x9000, 8, &[u64::MAX - 3, 0x2222]);
    let found = memory.frames(64, (0x1000, 0x8000, 0x8000));
    assert_eq!(found, [0x1000, 0x1111, 0x2222]);
    for bits in [16, 32, 64] {
        for base in [
            0x1_fffd,
            0xffff_fffd,
            u64::MAX,
            u64::MAX - 2,
            1 << 63 | 0x1_fffd,
        ] {
            let found = memory.frames(bits, (u64::MAX, 0, base));
            assert_eq!(found.len(), 1, "{base:#x} in {bits} bits");
        }
    }
}

#[test]
fn code_has_the_size_and_the_privilege_of_its_segments() {
    let code = |cr0, efer, l, db, dpl, rflags| {
        let special = kvm_sregs {
            cr0,
            cr3: 0x5000,
            efer,
            cs: kvm_segment {
                l,
                db,
                ..Default::default()
            },
            ss: kvm_segment {
                dpl,
                ..Default::default()
            },
            ..Default::default()
        };
        let registers = kvm_regs {
            rflags,
            ..Default::default()
        };
        let CodeSpace { bits, cpl, cr3 } = CodeSpace::of(&registers, &special);
        (bits, cpl, cr3)
    };
    let paged = CR0_PE | CR0_PG;
    assert_eq!(code(0, 0, 0, 0, 3, 0), (16, 0, 0), "real");
    assert_eq!(
        code(CR0_PE, 0, 0, 0, 0, 0),
        (16, 0, 0),
        "protected, 16 bits"
    );
    assert_eq!(code(CR0_PE, 0, 0, 1, 3, 0), (32, 3, 0), "protected");
    assert_eq!(
        code(CR0_PE, 0, 1, 1, 0, 0),
        (32, 0, 0),
        "L without long mode"
    );
    assert_eq!(
        code(paged, 0, 0, 1, 0, 1 << 17),
        (16, 3, 0x5000),
        "virtual-8086"
    );
    assert_eq!(code(paged, EFER_LMA, 1, 0, 0, 0), (64, 0, 0x5000), "long");
    assert_eq!(
        code(paged, EFER_LMA, 0, 1, 3, 0),
        (32, 3, 0x5000),
        "compatibility"
    );
}
