use kvm_bindings::kvm_segment;

use super::*;

const RW: (bool, bool) = (true, true);
const R: (bool, bool) = (true, false);
const W: (bool, bool) = (false, true);

type Found = Vec<(u64, u32, (bool, bool))>;

fn segment(base: u64, db: u8) -> kvm_segment {
    kvm_segment {
        base,
        db,
        ..Default::default()
    }
}

/// Registers that tell each other apart.
fn registers() -> kvm_regs {
    kvm_regs {
        rax: 0x1_0000_0a10,
        rbx: 0x2_0000_0b20,
        rcx: 3,
        rdx: 0xffff_ffff_ffff_ffff,
        rsi: 0x5_0000_0500,
        rdi: 0x6_0000_0600,
        rsp: 0x7_0000_8000,
        rbp: 0x8_0000_9000,
        r8: 0x80_0000,
        r12: 0x12_0000,
        rip: 0x1000,
        rflags: 2,
        ..Default::default()
    }
}

fn special(bits: u32) -> kvm_sregs {
    kvm_sregs {
        es: segment(0xe_0000, 1),
        cs: segment(0xc_0000, 1),
        ss: segment(0x5_0000, u8::from(bits > 16)),
        ds: segment(0xd_0000, 1),
        fs: segment(0xf_0000, 1),
        gs: segment(0x9_0000, 1),
        cr0: 1,
        ..Default::default()
    }
}

fn plain(all: Vec<MemoryAccess>) -> Found {
    all.iter()
        .map(|it| (it.linear, it.bytes, (it.reads, it.writes)))
        .collect()
}

fn of(bits: u32, bytes: &[u8]) -> Found {
    plain(accesses(bytes, bits, &registers(), &special(bits)))
}

#[test]
fn operands_in_64_bits() {
    // mov [rbx], eax; mov rax, [rsi+r12*4+0x10]; mov eax, fs:[rbx]; mov [gs:0x28], al.
    assert_eq!(of(64, &[0x89, 0x03]), [(0x2_0000_0b20, 4, W)]);
    let indexed = 0x5_0000_0500 + 0x12_0000 * 4 + 0x10;
    assert_eq!(of(64, &[0x4a, 0x8b, 0x44, 0xa6, 0x10]), [(indexed, 8, R)]);
    assert_eq!(of(64, &[0x64, 0x8b, 0x03]), [(0x2_000f_0b20, 4, R)]);
    let gs = [0x65, 0x88, 0x04, 0x25, 0x28, 0, 0, 0];
    assert_eq!(of(64, &gs), [(0x9_0028, 1, W)]);
    // Another segment has no base: mov eax, ss:[rbx].
    assert_eq!(of(64, &[0x36, 0x8b, 0x03]), [(0x2_0000_0b20, 4, R)]);
    // mov eax, [rip+0x100], relative to the end of it; mov eax, [ebx], of 32 bits.
    let relative = [0x8b, 0x05, 0, 1, 0, 0];
    assert_eq!(of(64, &relative), [(0x1106, 4, R)]);
    assert_eq!(of(64, &[0x67, 0x8b, 0x03]), [(0xb20, 4, R)]);
    // mov [rdx+2], al: addresses wrap.
    assert_eq!(of(64, &[0x88, 0x42, 0x02]), [(1, 1, W)]);
    // movabs rax, [0x1122334455667788].
    let absolute = [0x48, 0xa1, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11];
    assert_eq!(of(64, &absolute), [(0x1122_3344_5566_7788, 8, R)]);
}

#[test]
fn operands_in_32_and_16_bits() {
    // mov [ebx], eax in DS; mov eax, [ebp+8] in SS; mov [ebx], eax in FS.
    assert_eq!(of(32, &[0x89, 0x03]), [(0xd_0b20, 4, W)]);
    assert_eq!(of(32, &[0x8b, 0x45, 0x08]), [(0x5_9008, 4, R)]);
    assert_eq!(of(32, &[0x64, 0x89, 0x03]), [(0xf_0b20, 4, W)]);
    // mov [bx+si], ax in DS; mov ax, [bp] in SS; the sum has 16 bits: mov al, [bx+0xfff0].
    assert_eq!(of(16, &[0x89, 0x00]), [(0xd_1020, 2, W)]);
    assert_eq!(of(16, &[0x8b, 0x46, 0x00]), [(0x5_9000, 2, R)]);
    assert_eq!(of(16, &[0x8a, 0x87, 0xf0, 0xff]), [(0xd_0b10, 1, R)]);
    // mov [edx+2], al: linear addresses have 32 bits.
    assert_eq!(of(32, &[0x88, 0x42, 0x02]), [(0xd_0001, 1, W)]);
}

#[test]
fn who_reads_and_who_writes() {
    let at = 0x2_0000_0b20;
    // add [rbx], eax; cmp [rbx], eax; test [rbx], al; inc dword [rbx]; not byte [rbx].
    assert_eq!(of(64, &[0x01, 0x03]), [(at, 4, RW)]);
    assert_eq!(of(64, &[0x39, 0x03]), [(at, 4, R)]);
    assert_eq!(of(64, &[0x84, 0x03]), [(at, 1, R)]);
    assert_eq!(of(64, &[0xff, 0x03]), [(at, 4, RW)]);
    assert_eq!(of(64, &[0xf6, 0x13]), [(at, 1, RW)]);
    // xchg [rbx], rax; lock cmpxchg [rbx], ecx; cmpxchg16b; lock xadd [rbx], al; sete [rbx].
    assert_eq!(of(64, &[0x48, 0x87, 0x03]), [(at, 8, RW)]);
    assert_eq!(of(64, &[0xf0, 0x0f, 0xb1, 0x0b]), [(at, 4, RW)]);
    assert_eq!(of(64, &[0x48, 0x0f, 0xc7, 0x0b]), [(at, 16, RW)]);
    assert_eq!(of(64, &[0xf0, 0x0f, 0xc0, 0x03]), [(at, 1, RW)]);
    assert_eq!(of(64, &[0x0f, 0x94, 0x03]), [(at, 1, W)]);
    // mul dword [rbx]; imul dword [rbx]; imul eax, [rbx]; lgdt [rbx]; sgdt [rbx]; xlatb.
    assert_eq!(of(64, &[0xf7, 0x23]), [(at, 4, R)]);
    assert_eq!(of(64, &[0xf7, 0x2b]), [(at, 4, R)]);
    assert_eq!(of(64, &[0x0f, 0xaf, 0x03]), [(at, 4, R)]);
    assert_eq!(of(64, &[0x0f, 0x01, 0x13]), [(at, 10, R)]);
    assert_eq!(of(64, &[0x0f, 0x01, 0x03]), [(at, 10, W)]);
    assert_eq!(of(64, &[0xd7]), [(at + 0x10, 1, R)]);
    // fld qword [rbx]; fstp tbyte [rbx]; fxsave [rbx].
    assert_eq!(of(64, &[0xdd, 0x03]), [(at, 8, R)]);
    assert_eq!(of(64, &[0xdb, 0x3b]), [(at, 10, W)]);
    assert_eq!(of(64, &[0x0f, 0xae, 0x03]), [(at, 512, W)]);
}

#[test]
fn addresses_that_are_only_computed_are_no_accesses() {
    // lea rax, [rbx]; nop [rbx]; prefetcht0 [rbx]; invlpg [rbx]; mov eax, ebx; in al, 0x10.
    for bytes in [
        &[0x48, 0x8d, 0x03][..],
        &[0x0f, 0x1f, 0x03],
        &[0x0f, 0x18, 0x0b],
        &[0x0f, 0x01, 0x3b],
        &[0x89, 0xd8],
        &[0xe4, 0x10],
    ] {
        assert_eq!(of(64, bytes), [], "{bytes:02x?}");
    }
    // And what begins no instruction, in no known size.
    assert_eq!(of(64, &[0x06]), []);
    assert_eq!(of(64, &[]), []);
    assert_eq!(
        plain(accesses(&[0x89, 3], 8, &registers(), &special(32))),
        []
    );
}

#[test]
fn vectors_have_their_size() {
    let at = 0x2_0000_0b20;
    // movaps [rbx], xmm0; movaps xmm0, [rbx]; addsd xmm0, [rbx]; movd [rbx], xmm0.
    assert_eq!(of(64, &[0x0f, 0x29, 0x03]), [(at, 16, W)]);
    assert_eq!(of(64, &[0x0f, 0x28, 0x03]), [(at, 16, R)]);
    assert_eq!(of(64, &[0xf2, 0x0f, 0x58, 0x03]), [(at, 8, R)]);
    assert_eq!(of(64, &[0x66, 0x0f, 0x7e, 0x03]), [(at, 4, W)]);
    // vmovdqu [rbx], ymm0; vmovdqu64 [rbx], zmm0; pextrb [rbx], xmm0, 1; maskmovdqu at rdi.
    assert_eq!(of(64, &[0xc5, 0xfe, 0x7f, 0x03]), [(at, 32, W)]);
    let wide = [0x62, 0xf1, 0xfe, 0x48, 0x7f, 0x03];
    assert_eq!(of(64, &wide), [(at, 64, W)]);
    assert_eq!(of(64, &[0x66, 0x0f, 0x3a, 0x14, 0x03, 0x01]), [(at, 1, W)]);
    let masked = [0x66, 0x0f, 0xf7, 0xc1];
    assert_eq!(of(64, &masked), [(0x6_0000_0600, 16, W)]);
    // movdir64b rdi, [rbx].
    let line = [0x66, 0x0f, 0x38, 0xf8, 0x3b];
    assert_eq!(of(64, &line), [(at, 64, R), (0x6_0000_0600, 64, W)]);
}

#[test]
fn pushes_and_pops() {
    let top = 0x7_0000_8000;
    // push rax; push word 1; pop rax; pushfq; call +0; ret; ret 8; leave.
    assert_eq!(of(64, &[0x50]), [(top - 8, 8, W)]);
    assert_eq!(of(64, &[0x66, 0x6a, 0x01]), [(top - 2, 2, W)]);
    assert_eq!(of(64, &[0x58]), [(top, 8, R)]);
    assert_eq!(of(64, &[0x9c]), [(top - 8, 8, W)]);
    assert_eq!(of(64, &[0xe8, 0, 0, 0, 0]), [(top - 8, 8, W)]);
    assert_eq!(of(64, &[0xc3]), [(top, 8, R)]);
    assert_eq!(of(64, &[0xc2, 8, 0]), [(top, 8, R)]);
    assert_eq!(of(64, &[0xc9]), [(0x8_0000_9000, 8, R)]);
    // push qword [rbx]; call [rbx]; pop qword [rsp+8], of which RSP has moved.
    let at = 0x2_0000_0b20;
    assert_eq!(of(64, &[0xff, 0x33]), [(at, 8, R), (top - 8, 8, W)]);
    assert_eq!(of(64, &[0xff, 0x13]), [(at, 8, R), (top - 8, 8, W)]);
    let pop = [0x8f, 0x44, 0x24, 0x08];
    assert_eq!(of(64, &pop), [(top + 16, 8, W), (top, 8, R)]);
    // iretq; retfq; enter 16, 3.
    assert_eq!(of(64, &[0x48, 0xcf]), [(top, 40, R)]);
    assert_eq!(of(64, &[0x48, 0xcb]), [(top, 16, R)]);
    let nested = [(top - 32, 32, W), (0x8_0000_9000 - 16, 16, R)];
    assert_eq!(of(64, &[0xc8, 16, 0, 3]), nested);
}

#[test]
fn where_pushf_stores_flags() {
    let (registers, special) = (registers(), special(64));
    let at = |bytes: &[u8]| pushed_flags(bytes, 64, &registers, &special);
    let top = 0x7_0000_8000;
    // pushfq; pushfw; mov al, 0x9c; popfq.
    assert_eq!(at(&[0x9c]), Some(top - 8));
    assert_eq!(at(&[0x66, 0x9c, 0x90]), Some(top - 2));
    assert_eq!(at(&[0xb0, 0x9c]), None);
    assert_eq!(at(&[0x9d, 0x9c]), None);
    assert_eq!(at(&[]), None);
}

#[test]
fn pushes_and_pops_in_32_and_16_bits() {
    // push eax; push ax; pusha; popa; call far 8:0; iret; enter 0, 0.
    assert_eq!(of(32, &[0x50]), [(0x5_7ffc, 4, W)]);
    assert_eq!(of(32, &[0x66, 0x50]), [(0x5_7ffe, 2, W)]);
    assert_eq!(of(32, &[0x60]), [(0x5_7fe0, 32, W)]);
    assert_eq!(of(32, &[0x61]), [(0x5_8000, 32, R)]);
    assert_eq!(of(32, &[0x9a, 0, 0, 0, 0, 8, 0]), [(0x5_7ff8, 8, W)]);
    assert_eq!(of(32, &[0xcf]), [(0x5_8000, 12, R)]);
    assert_eq!(of(32, &[0xc8, 0, 0, 0]), [(0x5_7ffc, 4, W)]);
    // push ax; pusha; ret; retf; push es; a stack that wraps in its segment.
    assert_eq!(of(16, &[0x50]), [(0x5_7ffe, 2, W)]);
    assert_eq!(of(16, &[0x60]), [(0x5_7ff0, 16, W)]);
    assert_eq!(of(16, &[0xc3]), [(0x5_8000, 2, R)]);
    assert_eq!(of(16, &[0xcb]), [(0x5_8000, 4, R)]);
    assert_eq!(of(16, &[0x06]), [(0x5_7ffe, 2, W)]);
    let empty = kvm_regs {
        rsp: 0,
        ..registers()
    };
    let wrapped = accesses(&[0x50], 16, &empty, &special(16));
    assert_eq!(plain(wrapped), [(0x5_fffe, 2, W)]);
}

#[test]
fn interrupts_of_real_mode_go_by_its_table() {
    let real = kvm_sregs {
        cr0: 0x10,
        ..special(16)
    };
    // int $0x21; int3.
    let found = plain(accesses(&[0xcd, 0x21], 16, &registers(), &real));
    assert_eq!(found, [(0x5_7ffa, 6, W), (0x84, 4, R)]);
    let found = plain(accesses(&[0xcc], 16, &registers(), &real));
    assert_eq!(found, [(0x5_7ffa, 6, W), (0xc, 4, R)]);
    // Elsewhere a gate decides.
    assert_eq!(of(32, &[0xcd, 0x21]), []);
}

#[test]
fn strings_go_by_si_and_di() {
    let (si, di) = (0x5_0000_0500, 0x6_0000_0600);
    // movsb; stosd; lodsq; scasb; cmpsb; fs: movsb, of which only the source has a segment.
    assert_eq!(of(64, &[0xa4]), [(di, 1, W), (si, 1, R)]);
    assert_eq!(of(64, &[0xab]), [(di, 4, W)]);
    assert_eq!(of(64, &[0x48, 0xad]), [(si, 8, R)]);
    assert_eq!(of(64, &[0xae]), [(di, 1, R)]);
    assert_eq!(of(64, &[0xa6]), [(si, 1, R), (di, 1, R)]);
    assert_eq!(of(64, &[0x64, 0xa4]), [(di, 1, W), (si + 0xf_0000, 1, R)]);
    // insb and outsb, with ES and DS in 32 and 16 bits.
    assert_eq!(of(32, &[0x6c]), [(0xe_0600, 1, W)]);
    assert_eq!(of(32, &[0x6e]), [(0xd_0500, 1, R)]);
    assert_eq!(of(16, &[0xa5]), [(0xe_0600, 2, W), (0xd_0500, 2, R)]);
    assert_eq!(of(16, &[0x67, 0xaa]), [(0xe_0600, 1, W)]);
}

#[test]
fn strings_that_repeat_access_as_much_as_they_have_counted() {
    let stosw = [0xf3, 0x66, 0xab];
    let special = special(64);
    let before = kvm_regs {
        rcx: 10,
        rdi: 0x4000,
        ..registers()
    };
    let after = |rcx| kvm_regs { rcx, ..before };
    let until =
        |before: &kvm_regs, rcx| plain(accesses_until(&stosw, 64, before, &special, &after(rcx)));
    let one = plain(accesses(&stosw, 64, &before, &special));
    assert_eq!(one, [(0x4000, 2, W)]);
    assert_eq!(until(&before, 7), [(0x4000, 6, W)]);
    assert_eq!(until(&before, 0), [(0x4000, 20, W)]);
    // A page fault has come before the first.
    assert_eq!(until(&before, 10), [(0x4000, 2, W)]);
    let down = kvm_regs {
        rflags: 2 | 1 << 10,
        ..before
    };
    assert_eq!(until(&down, 7), [(0x4000 - 4, 6, W)]);
    let none = kvm_regs { rcx: 0, ..before };
    assert_eq!(until(&none, 0), []);
    assert_eq!(plain(accesses(&stosw, 64, &none, &special)), []);
    // The count has the size of addresses: 16 bits of it, and 32.
    let high = kvm_regs {
        rcx: 0x1_0000,
        ..before
    };
    assert_eq!(plain(accesses(&[0xf3, 0xaa], 16, &high, &special)), []);
    assert_eq!(accesses(&[0xf3, 0xaa], 32, &high, &special).len(), 1);
    // As many as there can be still fit.
    let all = kvm_regs {
        rcx: u64::MAX,
        ..before
    };
    assert_eq!(until(&all, 0), [(0x4000, u32::MAX, W)]);
}

#[test]
fn what_repeats_is_a_string_instruction_with_a_prefix() {
    // rep movsb, repne scasb, rep outsb with a prefix of its size.
    for bytes in [&[0xf3, 0xa4][..], &[0xf2, 0xae], &[0x66, 0xf3, 0x6f]] {
        assert!(repeats(bytes, 64) && repeats(bytes, 16), "{bytes:02x?}");
    }
    // movsb; pause; popcnt eax, ecx; addsd xmm0, [rbx]; what is cut off.
    let others = [
        &[0xa4][..],
        &[0xf3, 0x90],
        &[0xf3, 0x0f, 0xb8, 0xc1],
        &[0xf2, 0x0f, 0x58, 0x03],
        &[0xf3],
        &[],
    ];
    for bytes in others {
        assert!(!repeats(bytes, 64), "{bytes:02x?}");
    }
    assert!(!repeats(&[0xf3, 0xa4], 8));
}

#[test]
fn bits_of_a_string_lie_where_their_number_says() {
    let at = 0x2_0000_0b20;
    let with = |rcx: u64, bytes: &[u8]| {
        let registers = kvm_regs { rcx, ..registers() };
        plain(accesses(bytes, 64, &registers, &special(64)))
    };
    // bt [rbx], ecx; bts [rbx], rcx; btr [rbx], cx; bt dword [rbx], 100, of which 5 bits count.
    let bt = [0x0f, 0xa3, 0x0b];
    assert_eq!(with(31, &bt), [(at, 4, R)]);
    assert_eq!(with(32, &bt), [(at + 4, 4, R)]);
    assert_eq!(with(0xffff_ffff, &bt), [(at - 4, 4, R)]);
    assert_eq!(
        with(u64::MAX - 63, &[0x48, 0x0f, 0xab, 0x0b]),
        [(at - 8, 8, RW)]
    );
    assert_eq!(
        with(0x8000, &[0x66, 0x0f, 0xb3, 0x0b]),
        [(at - 0x1000, 2, RW)]
    );
    assert_eq!(with(0, &[0x0f, 0xba, 0x23, 100]), [(at, 4, R)]);
}

#[test]
fn random_bytes_are_taken_in_any_mode() {
    const TRIES: usize = 200_000;
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut accessed = 0;
    for _ in 0..TRIES {
        let words = [random(), random()];
        let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        let extreme = |value: u64| if value & 3 == 0 { u64::MAX } else { value };
        let registers = kvm_regs {
            rax: extreme(random()),
            rcx: extreme(random()),
            rsp: extreme(random()),
            rsi: extreme(random()),
            rdi: extreme(random()),
            rbp: extreme(random()),
            rip: extreme(random()),
            rflags: random(),
            ..registers()
        };
        let bits = [16, 32, 64][(random() % 3) as usize];
        let after = kvm_regs {
            rcx: random(),
            ..registers
        };
        let special = special(bits);
        let found = accesses(&bytes, bits, &registers, &special);
        let until = accesses_until(&bytes, bits, &registers, &special, &after);
        assert_eq!(found.len(), until.len());
        for access in found.iter().chain(&until) {
            assert!(access.reads || access.writes);
            assert!(bits == 64 || access.linear >> 32 == 0);
        }
        accessed += found.len();
    }
    assert!(accessed > TRIES / 4, "{accessed}");
}
