//! 32-bit protected mode with 4 MiB pages.

#[macro_use]
mod common;

use common::{CONSOLE, PAGED32, exit, machine, port, read, run};
use vmm::{Exit, MmioAccess};

#[test]
fn a_guest_prints_stores_and_halts() {
    require!(PAGED32);
    const GUEST: &str = "
        b0 68                         ; mov $'h',%al
        e6 e9                         ; out %al,$0xe9
        b0 69                         ; mov $'i',%al
        e6 e9                         ; out %al,$0xe9
        c7 05 00 04 00 00 2a 00 00 00 ; movl $42,0x400
        b8 2a 00 00 00                ; mov $42,%eax
        f4                            ; hlt
    ";
    let mut machine = machine(PAGED32, GUEST, &[port(0xe9, 1, CONSOLE)]);
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
    require!(PAGED32);
    const GUEST: &str = "
        66 b8 10 00    ; mov $0x10,%ax
        8e d8          ; mov %ax,%ds
        8e d0          ; mov %ax,%ss
        6a 08          ; push $0x08
        68 11 00 00 00 ; push $1f
        cb             ; lret
        f4             ; hlt
        8c cb          ; 1: mov %cs,%ebx
        f4             ; hlt
    ";
    let mut machine = machine(PAGED32, GUEST, &[]);
    assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
    assert_eq!(machine.registers().unwrap().rbx, 0x08);
    assert_eq!(machine.special_registers().unwrap().ds.selector, 0x10);
}

#[test]
fn a_guest_reads_its_own_page_directory() {
    require!(PAGED32);
    const GUEST: &str = "
        0f 20 de ; mov %cr3,%esi
        8b 46 04 ; mov 4(%esi),%eax
        f4       ; hlt
    ";
    let mut machine = machine(PAGED32, GUEST, &[]);
    assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
    let registers = machine.registers().unwrap();
    assert_eq!(registers.rsi, boot::layout::TOP_TABLE);
    // The second 4 MiB page; the processor may have set accessed (bit 5).
    assert_eq!(registers.rax & !0x20, 0x40_0083);
}

#[test]
fn an_address_without_memory_is_mmio() {
    require!(PAGED32);
    const GUEST: &str = "
        a1 00 00 00 d0 ; mov 0xd0000000,%eax
        f4             ; hlt
    ";
    let mut machine = machine(PAGED32, GUEST, &[]);
    let gpa = 0xd000_0000;
    assert_eq!(
        exit(&run(&mut machine)),
        &Exit::MmioRead(MmioAccess { gpa, size: 4 })
    );
    machine.reply(0x1122_3344).unwrap();
    assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
    assert_eq!(machine.registers().unwrap().rax, 0x1122_3344);
}
