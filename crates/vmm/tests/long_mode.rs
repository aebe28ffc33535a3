//! 64-bit mode in ring 0.

#[macro_use]
mod common;

use common::{CONSOLE, LONG, config, exit, machine, port, read, run};
use vmm::{End, Exit, Machine, MachineConfig, MemorySlot, MmioAccess};

#[test]
fn a_guest_prints_stores_and_halts() {
    require!(LONG);
    const GUEST: &str = "
        b0 68                               ; mov $'h',%al
        e6 e9                               ; out %al,$0xe9
        b0 69                               ; mov $'i',%al
        e6 e9                               ; out %al,$0xe9
        48 c7 04 25 00 04 00 00 2a 00 00 00 ; movq $42,0x400
        48 c7 c0 2a 00 00 00                ; mov $42,%rax
        f4                                  ; hlt
    ";
    let mut machine = machine(LONG, GUEST, &[port(0xe9, 1, CONSOLE)]);
    let outcome = run(&mut machine);
    assert_eq!(exit(&outcome), &Exit::Hlt);
    assert_eq!(
        (outcome.output.bytes.as_slice(), outcome.exits),
        (&b"hi"[..], 3)
    );
    assert_eq!(read(&machine, 0x400), 42u64.to_le_bytes());
    assert_eq!(machine.registers().unwrap().rax, 42);
}

#[test]
fn a_guest_reloads_its_segments_from_the_gdt() {
    require!(LONG);
    const GUEST: &str = "
        8c c9                               ; mov %cs,%ecx
        66 b8 10 00                         ; mov $0x10,%ax
        8e d8                               ; mov %ax,%ds
        8e c0                               ; mov %ax,%es
        8e d0                               ; mov %ax,%ss
        6a 08                               ; push $0x08
        48 8d 05 04 00 00 00                ; lea 1f(%rip),%rax
        50                                  ; push %rax
        48 cb                               ; lretq
        f4                                  ; hlt
        8c cb                               ; 1: mov %cs,%ebx
        48 c7 04 25 00 04 00 00 2a 00 00 00 ; movq $42,0x400
        f4                                  ; hlt
    ";
    let mut machine = machine(LONG, GUEST, &[]);
    assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
    let registers = machine.registers().unwrap();
    assert_eq!((registers.rcx, registers.rbx), (0x08, 0x08));
    assert_eq!(read(&machine, 0x400), 42u64.to_le_bytes());
    let sregs = machine.special_registers().unwrap();
    for segment in [sregs.ds, sregs.es, sregs.ss] {
        assert_eq!(segment.selector, 0x10);
    }
    assert_eq!((sregs.cs.selector, sregs.cs.db, sregs.cs.l), (0x08, 0, 1));
}

#[test]
fn registers_are_64_bits_wide() {
    require!(LONG);
    const GUEST: &str = "
        48 b8 88 77 66 55 44 33 22 11 ; movabs $0x1122334455667788,%rax
        49 89 c7                      ; mov %rax,%r15
        49 c1 c7 08                   ; rol $8,%r15
        f4                            ; hlt
    ";
    let mut machine = machine(LONG, GUEST, &[]);
    assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
    assert_eq!(machine.registers().unwrap().r15, 0x2233_4455_6677_8811);
}

#[test]
fn the_stack_begins_at_the_top_of_memory() {
    require!(LONG);
    const GUEST: &str = "
        68 78 56 34 12 ; push $0x12345678
        48 89 e0       ; mov %rsp,%rax
        5b             ; pop %rbx
        f4             ; hlt
    ";
    let mut machine = machine(LONG, GUEST, &[]);
    assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
    let registers = machine.registers().unwrap();
    assert_eq!((registers.rax, registers.rbx), (0x1f_fff8, 0x1234_5678));
    assert_eq!(read(&machine, 0x1f_fff8), 0x1234_5678u64.to_le_bytes());
}

#[test]
fn memory_above_4_gib_is_reached() {
    require!(LONG);
    const GUEST: &str = "
        48 bb f8 0f 00 40 01 00 00 00 ; movabs $0x140000ff8,%rbx
        48 8b 03                      ; mov (%rbx),%rax
        48 c7 43 f8 2a 00 00 00       ; movq $42,-8(%rbx)
        f4                            ; hlt
    ";
    let slot = MemorySlot {
        gpa: 5 << 30,
        bytes: 4096,
        read_only: false,
    };
    let mut machine = Machine::new(MachineConfig {
        slots: vec![slot],
        ..config(LONG, GUEST, &[])
    })
    .unwrap();
    let value = 0x1122_3344_5566_7788u64;
    machine
        .memory()
        .write(0x1_4000_0ff8, &value.to_le_bytes())
        .unwrap();
    assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
    assert_eq!(machine.registers().unwrap().rax, value);
    assert_eq!(read(&machine, 0x1_4000_0ff0), 42u64.to_le_bytes());
}

#[test]
fn a_guest_starts_in_a_slot_above_4_gib() {
    require!(LONG);
    const GUEST: &str = "
        48 8d 05 00 00 00 00 ; lea 0(%rip),%rax
        f4                   ; hlt
    ";
    let gpa = 4 << 30;
    let slot = MemorySlot {
        gpa,
        bytes: 4096,
        read_only: false,
    };
    let mut config = MachineConfig {
        slots: vec![slot],
        ..config(LONG, GUEST, &[])
    };
    config.payload.load_gpa = gpa;
    config.payload.entry_gpa = Some(gpa);
    let mut machine = Machine::new(config).unwrap();
    assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
    assert_eq!(machine.registers().unwrap().rax, gpa + 7);
}

#[test]
fn an_address_without_memory_is_mmio() {
    require!(LONG);
    const GUEST: &str = "
        bb 00 00 00 d0    ; mov $0xd0000000,%ebx
        c7 03 44 33 22 11 ; movl $0x11223344,(%rbx)
        f4                ; hlt
    ";
    let mut machine = machine(LONG, GUEST, &[]);
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
