//! What a program of ring 3 needs beside its own memory: an entry for its system calls, a gate for
//! calls into it, and a way to change page tables that every KVM notices.
//!
//! `syscall` (Intel SDM vol. 2B, SYSCALL) leads to a page that ring 3 can execute, as some KVMs let
//! it stay in ring 3. What stands there writes to a port of ours; what counts is where it stands,
//! not who has jumped there with which registers.

use kvm_bindings::kvm_sregs;

use super::config::Table;
use super::segments::{self, Segments, gdt_bytes};
use super::spin::{PARK, SPIN, SPIN_CODE};
use super::{CR4_PAE, EFER_LME, EFER_NXE, Protocol, RFLAGS_FIXED, task, traps};
use crate::code::HLT;
use crate::layout::{USER_CODE, USER_EDIT, USER_MAILBOX};
use crate::mode::{CpuMode, Privilege};

/// The port that entry, gate and edit write to.
pub const USER_PORT: u8 = 0xfb;
/// EFER.SCE, `syscall` (vol. 3A §2.2.1).
pub const EFER_SCE: u64 = 1;
/// CR4.FSGSBASE, instructions for the bases of FS and GS (§2.5).
const CR4_FSGSBASE: u64 = 1 << 16;
/// Their bit in EBX of CPUID leaf 7.
const FSGSBASE: u32 = 1;
/// Selectors, the entry, and the flags that `syscall` clears (vol. 4, table 2-2).
const STAR: u32 = 0xc000_0081;
const LSTAR: u32 = 0xc000_0082;
const FMASK: u32 = 0xc000_0084;
/// TF, IF, DF, IOPL, NT, RF, AC, ID.
const CLEARED: u64 = 0x0025_7700;
/// What ring 3 can set in RFLAGS: CF, PF, AF, ZF, SF, TF, DF, OF, AC, ID (vol. 1 §3.4.3).
const FLAGS_OF_RING_3: u64 = 0x0024_0dd5;
/// RFLAGS.IF, without which nothing of ring 3 is as Linux has it.
const RFLAGS_IF: u64 = 1 << 9;
/// One past the addresses that ring 3 may have.
pub const USER_END: u64 = 1 << 47;

/// Bytes of an `out`.
const OUT_BYTES: u64 = 2;
const OUT: [u8; 2] = [0xe6, USER_PORT];
/// What follows it where ring 0 goes back: `sysretq`.
const SYSRET: [u8; 3] = [0x48, 0x0f, 0x07];
/// Where nothing goes on in ring 3: `ud2`.
const UD2: [u8; 2] = [0x0f, 0x0b];

/// The entry after its `out`, where ring 0 goes back to a program.
pub const ENTERED: u64 = USER_CODE + OUT_BYTES;

/// Where calls into the program begin.
pub const GATE: u64 = USER_CODE + 0x40;

#[rustfmt::skip]
const GATE_CODE: [u8; 147] = [
    0xf3, 0x0f, 0x7e, 0x05, 0xf0, 0x0f, 0x00, 0x00, // movq xmm0, [double 0]
    0xf3, 0x0f, 0x7e, 0x0d, 0xf0, 0x0f, 0x00, 0x00, // movq xmm1, [double 1]
    0xf3, 0x0f, 0x7e, 0x15, 0xf0, 0x0f, 0x00, 0x00, // movq xmm2, [double 2]
    0xf3, 0x0f, 0x7e, 0x1d, 0xf0, 0x0f, 0x00, 0x00, // movq xmm3, [double 3]
    0xf3, 0x0f, 0x7e, 0x25, 0xf0, 0x0f, 0x00, 0x00, // movq xmm4, [double 4]
    0xf3, 0x0f, 0x7e, 0x2d, 0xf0, 0x0f, 0x00, 0x00, // movq xmm5, [double 5]
    0xf3, 0x0f, 0x7e, 0x35, 0xf0, 0x0f, 0x00, 0x00, // movq xmm6, [double 6]
    0xf3, 0x0f, 0x7e, 0x3d, 0xf0, 0x0f, 0x00, 0x00, // movq xmm7, [double 7]
    0x48, 0x8b, 0x3d, 0x81, 0x0f, 0x00, 0x00, // mov rdi, [word 0]
    0x48, 0x8b, 0x35, 0x82, 0x0f, 0x00, 0x00, // mov rsi, [word 1]
    0x48, 0x8b, 0x15, 0x83, 0x0f, 0x00, 0x00, // mov rdx, [word 2]
    0x48, 0x8b, 0x0d, 0x84, 0x0f, 0x00, 0x00, // mov rcx, [word 3]
    0x4c, 0x8b, 0x05, 0x85, 0x0f, 0x00, 0x00, // mov r8, [word 4]
    0x4c, 0x8b, 0x0d, 0x86, 0x0f, 0x00, 0x00, // mov r9, [word 5]
    0xb8, 0x08, 0x00, 0x00, 0x00, // mov eax, 8: so many vector registers may have arguments
    0xff, 0x15, 0x4b, 0x0f, 0x00, 0x00, // call [function]
    0x48, 0x89, 0x05, 0xbc, 0x0f, 0x00, 0x00, // mov [result], rax
    0x66, 0x0f, 0xd6, 0x05, 0xbc, 0x0f, 0x00, 0x00, // movq [result], xmm0
    0x66, 0x0f, 0xd6, 0x0d, 0xbc, 0x0f, 0x00, 0x00, // movq [result], xmm1
    0x48, 0x89, 0x15, 0xbd, 0x0f, 0x00, 0x00, // mov [result], rdx
];

/// For each of the records from RBX on, EDX of them: words are copied to where they belong. They
/// consist of an address, how many words there are, and these. Afterwards no translation is
/// remembered.
#[rustfmt::skip]
const EDIT_CODE: [u8; 27] = [
    0x48, 0x8b, 0x3b, // mov rdi, [rbx]
    0x48, 0x8b, 0x4b, 0x08, // mov rcx, [rbx + 8]
    0x48, 0x8d, 0x73, 0x10, // lea rsi, [rbx + 16]
    0xf3, 0x48, 0xa5, // rep movsq
    0x48, 0x89, 0xf3, // mov rbx, rsi
    0xff, 0xca, // dec edx
    0x75, 0xeb, // jnz: the next one
    0x0f, 0x20, 0xd8, // mov rax, cr3
    0x0f, 0x22, 0xd8, // mov cr3, rax
];

/// RFLAGS that a program may go on with, whatever it has said.
pub const fn flags_of_ring_3(flags: u64) -> u64 {
    flags & FLAGS_OF_RING_3 | RFLAGS_FIXED | RFLAGS_IF
}

/// What has written to the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teller {
    /// `syscall`.
    Call,
    /// A called function is back.
    Return,
    /// Page tables are changed.
    Edit,
    /// There was no call for long.
    Park,
}

/// What stands at an address, at its `out` or right after it: KVMs differ in when they count an
/// instruction that exits.
pub const fn teller_at(linear: u64) -> Option<Teller> {
    const RETURN: u64 = GATE + GATE_CODE.len() as u64;
    const EDITED: u64 = USER_EDIT + EDIT_CODE.len() as u64;
    const fn is(linear: u64, out: u64) -> bool {
        linear == out || linear == out + OUT_BYTES
    }
    if is(linear, USER_CODE) {
        Some(Teller::Call)
    } else if is(linear, RETURN) {
        Some(Teller::Return)
    } else if is(linear, EDITED) {
        Some(Teller::Edit)
    } else if is(linear, PARK) {
        Some(Teller::Park)
    } else {
        None
    }
}

/// What `syscall` leads to.
pub fn entry() -> Table {
    Table {
        gpa: USER_CODE,
        bytes: [OUT.as_slice(), &SYSRET].concat(),
    }
}

/// GDT, TSS, trap table and the code of ours. Page tables are not among them.
pub fn tables() -> Vec<Table> {
    let protocol = Protocol::Plain;
    let gdt = Table {
        gpa: crate::layout::GDT,
        bytes: gdt_bytes(CpuMode::Long, protocol),
    };
    let code = |gpa, parts: &[&[u8]]| Table {
        gpa,
        bytes: parts.concat(),
    };
    let traps = traps::tables(CpuMode::Long, segments::kernel_code(protocol));
    let ours = [
        entry(),
        code(GATE, &[&GATE_CODE, &OUT, &UD2]),
        code(SPIN, &[&SPIN_CODE]),
        code(USER_EDIT, &[&EDIT_CODE, &OUT, &[HLT]]),
    ];
    std::iter::once(gdt)
        .chain(task::tables_with_ports(&[USER_PORT]))
        .chain(traps)
        .chain(ours)
        .collect()
}

/// Special registers of a program, given those of 64-bit mode in ring 3; `features` is EBX of CPUID
/// leaf 7.
pub fn special_registers(plain: &kvm_sregs, root: u64, features: u32) -> kvm_sregs {
    let bases = if features & FSGSBASE != 0 {
        CR4_FSGSBASE
    } else {
        0
    };
    debug_assert!(plain.cr4 & CR4_PAE != 0 && plain.efer & EFER_LME != 0);
    kvm_sregs {
        cr3: root,
        cr4: plain.cr4 | bases,
        efer: plain.efer | EFER_SCE | EFER_NXE,
        ..*plain
    }
}

/// Special registers with the code and the stack of a ring.
pub fn in_ring(special: &kvm_sregs, privilege: Privilege) -> kvm_sregs {
    let segments = Segments::flat(CpuMode::Long, privilege, Protocol::Plain);
    kvm_sregs {
        cs: segments.code,
        ss: segments.data,
        ..*special
    }
}

/// Model-specific registers by number, with what they are set to.
pub fn msrs() -> [(u32, u64); 3] {
    // `sysretq` loads CS from 16 after the second selector, and SS from 8 after it.
    let kernel = u64::from(segments::kernel_code(Protocol::Plain));
    let user = u64::from(segments::user_data(Protocol::Plain)) - 8;
    [
        (STAR, kernel << 32 | (user | 3) << 48),
        (LSTAR, USER_CODE),
        (FMASK, CLEARED),
    ]
}

const _: () = assert!(USER_MAILBOX == USER_CODE + 0x1000);
