//! 32-bit protected mode without paging.

#[macro_use]
mod common;

use common::{CONSOLE, PROTECTED, exit, machine, port, read, run};
use vmm::{End, Exit, MmioAccess};

#[test]
fn a_guest_prints_stores_and_halts() {
    require!(PROTECTED);
    const GUEST: &str = "
        b0 68                         ; mov $'h',%al
        e6 e9                         ; out %al,$0xe9
        b0 69                         ; mov $'i',%al
        e6 e9                         ; out %al,$0xe9
        c7 05 00 04 00 00 2a 00 00 00 ; movl $42,0x400
        b8 2a 00 00 00                ; mov $42,%eax
        f4                            ; hlt
    ";
    let mut machine = machine(PROTECTED, GUEST, &[port(0xe9, 1, CONSOLE)]);
    let outcome = run(&mut machine);
    assert_eq!(exit(&outcome), &Exit::Hlt);
    assert_eq!(
        (outcome.output.bytes.as_slice(), outcome.exits),
        (&b"hi"[..], 3)
    );
    assert_eq!(read(&machine, 0x400), [42, 0, 0, 0]);
    assert_eq!(machine.registers().unwrap().rax, 42);
}

#[test]
fn a_guest_reloads_its_segments_from_the_gdt() {
    require!(PROTECTED);
    const GUEST: &str = "
        66 b8 10 00                   ; mov $0x10,%ax
        8e d8                         ; mov %ax,%ds
        8e c0                         ; mov %ax,%es
        8e d0                         ; mov %ax,%ss
        6a 08                         ; push $0x08
        68 13 00 00 00                ; push $1f
        cb                            ; lret
        f4                            ; hlt
        8c cb                         ; 1: mov %cs,%ebx
        c7 05 00 04 00 00 2a 00 00 00 ; movl $42,0x400
        f4                            ; hlt
    ";
    let mut machine = machine(PROTECTED, GUEST, &[]);
    assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
    assert_eq!(machine.registers().unwrap().rbx, 0x08);
    assert_eq!(read(&machine, 0x400), [42, 0, 0, 0]);
    let sregs = machine.special_registers().unwrap();
    for segment in [sregs.ds, sregs.es, sregs.ss] {
        assert_eq!(
            (segment.selector, segment.base, segment.limit),
            (0x10, 0, 0xffff_ffff)
        );
    }
    assert_eq!((sregs.cs.selector, sregs.cs.db, sregs.cs.l), (0x08, 1, 0));
}

#[test]
fn the_stack_begins_at_the_top_of_memory() {
    require!(PROTECTED);
    const GUEST: &str = "
        68 78 56 34 12 ; push $0x12345678
        89 e0          ; mov %esp,%eax
        5b             ; pop %ebx
        f4             ; hlt
    ";
    let mut machine = machine(PROTECTED, GUEST, &[]);
    assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
    let registers = machine.registers().unwrap();
    assert_eq!((registers.rax, registers.rbx), (0x1f_fffc, 0x1234_5678));
    assert_eq!(read(&machine, 0x1f_fffc), [0x78, 0x56, 0x34, 0x12]);
}

#[test]
fn an_address_without_memory_is_mmio() {
    require!(PROTECTED);
    const GUEST: &str = "
        c7 05 00 00 00 d0 44 33 22 11 ; movl $0x11223344,0xd0000000
        f4                            ; hlt
    ";
    let mut machine = machine(PROTECTED, GUEST, &[]);
    let outcome = run(&mut machine);
    let gpa = 0xd000_0000;
    assert_eq!(
        exit(&outcome),
        &Exit::MmioWrite(MmioAccess { gpa, size: 4 })
    );
    let End::Exit(record) = outcome.end else {
        panic!()
    };
    assert_eq!(record.data, [0x44, 0x33, 0x22, 0x11]);
    assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
}
