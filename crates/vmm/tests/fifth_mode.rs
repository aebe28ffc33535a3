//! A mode that no preset has, built from special registers: 16-bit protected mode.

#[macro_use]
mod common;

use common::{PROTECTED, exit, machine, read, run, set};
use vmm::{Exit, kvm_segment};

#[test]
fn a_16_bit_segment_runs_16_bit_code_in_protected_mode() {
    require!(PROTECTED);
    // As 32-bit code, the first MOV would swallow the second, and SMSW tells that PE is set.
    const GUEST: &str = "
        b8 34 12          ; mov $0x1234,%ax
        bb 78 56          ; mov $0x5678,%bx
        0f 01 e1          ; smsw %cx
        c7 06 00 04 2a 00 ; movw $42,(0x400)
        50                ; push %ax
        89 e2             ; mov %sp,%dx
        f4                ; hlt
    ";
    let mut machine = machine(PROTECTED, GUEST, &[]);
    let mut special = machine.special_registers().unwrap();
    let segment_16_bit = |segment: kvm_segment, base| kvm_segment {
        base,
        limit: 0xffff,
        db: 0,
        g: 0,
        ..segment
    };
    special.cs = segment_16_bit(special.cs, 0x1_0000);
    special.ds = segment_16_bit(special.ds, 0x2_0000);
    special.ss = segment_16_bit(special.ss, 0x3_0000);
    machine
        .memory()
        .write(0x1_0000, &common::code(GUEST))
        .unwrap();
    machine.set_special_registers(&special).unwrap();
    set(&mut machine, |registers| registers.rsp = 0xffff_8000);

    assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
    let registers = machine.registers().unwrap();
    assert_eq!((registers.rax, registers.rbx), (0x1234, 0x5678));
    assert_eq!(registers.rcx & 1, 1);
    assert_eq!(registers.rip, common::code(GUEST).len() as u64);
    assert_eq!(read(&machine, 0x2_0400), [42, 0]);
    // A 16-bit stack segment uses SP and leaves the upper half of ESP alone.
    assert_eq!((registers.rdx, registers.rsp), (0x7ffe, 0xffff_7ffe));
    assert_eq!(read(&machine, 0x3_7ffe), [0x34, 0x12]);
}
