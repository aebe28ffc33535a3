//! 16-bit real-address mode.

#[macro_use]
mod common;

use common::{CONSOLE, REAL, code, config, exit, machine, port, read, run};
use vmm::{End, Exit, Machine, MachineConfig, MmioAccess, Payload};

#[test]
fn a_guest_prints_stores_and_halts() {
    require!(REAL);
    const GUEST: &str = "
        b0 68             ; mov $'h',%al
        e6 e9             ; out %al,$0xe9
        b0 69             ; mov $'i',%al
        e6 e9             ; out %al,$0xe9
        c7 06 00 04 2a 00 ; movw $42,0x400
        b8 2a 00          ; mov $42,%ax
        f4                ; hlt
    ";
    let mut machine = machine(REAL, GUEST, &[port(0xe9, 1, CONSOLE)]);
    let outcome = run(&mut machine);
    assert_eq!(exit(&outcome), &Exit::Hlt);
    assert_eq!(
        (outcome.output.bytes.as_slice(), outcome.exits),
        (&b"hi"[..], 3)
    );
    assert_eq!(read(&machine, 0x400), [42, 0]);
    assert_eq!(machine.registers().unwrap().rax, 42);
}

#[test]
fn an_entry_above_64_kib_is_reached_through_cs() {
    require!(REAL);
    const GUEST: &str = "
        8c c8    ; mov %cs,%ax
        e8 00 00 ; call 1f
        5b       ; 1: pop %bx
        f4       ; hlt
    ";
    let hlts = [0xf4; 0x10];
    let image = [&hlts[..], &code(GUEST)].concat();
    let mut machine = Machine::new(MachineConfig {
        payload: Payload {
            image: image.into(),
            load_gpa: 0x2_0000,
            entry_gpa: Some(0x2_0010),
            ..Payload::default()
        },
        ..config(REAL, GUEST, &[])
    })
    .unwrap();
    assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
    let registers = machine.registers().unwrap();
    // The call's return address is 0x10 + 2 + 3.
    assert_eq!((registers.rax, registers.rbx), (0x2000, 0x15));
    assert_eq!(registers.rip, 0x17);
}

#[test]
fn the_stack_begins_at_the_top_of_its_segment() {
    require!(REAL);
    const GUEST: &str = "
        68 34 12 ; pushw $0x1234
        89 e0    ; mov %sp,%ax
        5b       ; pop %bx
        f4       ; hlt
    ";
    let mut machine = machine(REAL, GUEST, &[]);
    assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
    let registers = machine.registers().unwrap();
    assert_eq!((registers.rax, registers.rbx), (0xfffe, 0x1234));
    assert_eq!(read(&machine, 0xfffe), [0x34, 0x12]);
}

#[test]
fn a_machine_smaller_than_a_segment_has_its_stack_in_memory() {
    require!(REAL);
    const GUEST: &str = "
        68 34 12 ; pushw $0x1234
        f4       ; hlt
    ";
    let mut machine = Machine::new(MachineConfig {
        memory_bytes: 0x8000,
        ..config(REAL, GUEST, &[])
    })
    .unwrap();
    assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
    assert_eq!(read(&machine, 0x7ffe), [0x34, 0x12]);
}

#[test]
fn an_address_behind_memory_is_mmio() {
    require!(REAL);
    const GUEST: &str = "
        b8 00 b8             ; mov $0xb800,%ax
        8e c0                ; mov %ax,%es
        26 c7 06 02 00 41 07 ; movw $0x0741,%es:(2)
        f4                   ; hlt
    ";
    let mut machine = Machine::new(MachineConfig {
        memory_bytes: 0x1_0000,
        ..config(REAL, GUEST, &[])
    })
    .unwrap();
    let outcome = run(&mut machine);
    let gpa = 0xb_8002;
    assert_eq!(
        exit(&outcome),
        &Exit::MmioWrite(MmioAccess { gpa, size: 2 })
    );
    let End::Exit(record) = outcome.end else {
        panic!()
    };
    assert_eq!(record.data, [0x41, 0x07]);
}
