//! 64-bit mode in ring 3: ports are open (IOPL 3), privileged instructions are not.

#[macro_use]
mod common;

use common::{CONSOLE, USER, exit, exit_code, machine, port, read, run};
use vmm::{End, Exit, MmioAccess, RouteTarget};

#[test]
fn a_guest_prints_stores_and_stops() {
    require!(USER);
    const GUEST: &str = "
        b0 68                               ; mov $'h',%al
        e6 e9                               ; out %al,$0xe9
        b0 69                               ; mov $'i',%al
        e6 e9                               ; out %al,$0xe9
        48 c7 04 25 00 04 00 00 2a 00 00 00 ; movq $42,0x400
        48 c7 c0 2a 00 00 00                ; mov $42,%rax
        e7 f4                               ; out %eax,$0xf4
    ";
    let routes = [port(0xe9, 1, CONSOLE), port(0xf4, 1, RouteTarget::Stop)];
    let mut machine = machine(USER, GUEST, &routes);
    let outcome = run(&mut machine);
    assert_eq!(exit_code(&outcome), 42);
    assert_eq!(
        (outcome.output.bytes.as_slice(), outcome.exits),
        (&b"hi"[..], 3)
    );
    assert_eq!(read(&machine, 0x400), 42u64.to_le_bytes());
    assert_eq!(machine.registers().unwrap().rax, 42);
}

#[test]
fn a_guest_runs_at_cpl_3_and_reloads_user_data_segments() {
    require!(USER);
    const GUEST: &str = "
        8c c9       ; mov %cs,%ecx
        66 b8 1b 00 ; mov $0x1b,%ax
        8e d8       ; mov %ax,%ds
        8e c0       ; mov %ax,%es
        e6 f4       ; out %al,$0xf4
    ";
    let mut machine = machine(USER, GUEST, &[port(0xf4, 1, RouteTarget::Stop)]);
    assert_eq!(exit_code(&run(&mut machine)), 0x1b);
    // A KVM that runs ring 3 on the host's own segments shows their selector; the ring is the same.
    assert_eq!(machine.registers().unwrap().rcx & 3, 3);
    let sregs = machine.special_registers().unwrap();
    assert_eq!((sregs.cs.selector, sregs.cs.dpl, sregs.cs.l), (0x23, 3, 1));
    assert_eq!((sregs.ds.selector, sregs.es.selector), (0x1b, 0x1b));
}

#[test]
fn the_stack_begins_at_the_top_of_memory() {
    require!(USER);
    const GUEST: &str = "
        68 78 56 34 12 ; push $0x12345678
        48 89 e0       ; mov %rsp,%rax
        5b             ; pop %rbx
        e6 f4          ; out %al,$0xf4
    ";
    let mut machine = machine(USER, GUEST, &[port(0xf4, 1, RouteTarget::Stop)]);
    assert_eq!(exit_code(&run(&mut machine)), 0xf8);
    let registers = machine.registers().unwrap();
    assert_eq!((registers.rax, registers.rbx), (0x1f_fff8, 0x1234_5678));
    assert_eq!(read(&machine, 0x1f_fff8), 0x1234_5678u64.to_le_bytes());
}

#[test]
fn an_address_without_memory_is_mmio() {
    require!(USER);
    const GUEST: &str = "
        bb 00 00 00 d0    ; mov $0xd0000000,%ebx
        c7 03 44 33 22 11 ; movl $0x11223344,(%rbx)
        e6 f4             ; out %al,$0xf4
    ";
    let mut machine = machine(USER, GUEST, &[port(0xf4, 1, RouteTarget::Stop)]);
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
    assert_eq!(exit_code(&run(&mut machine)), 0);
}

#[test]
fn hlt_is_privileged() {
    require!(USER);
    const GUEST: &str = "
        f4 ; hlt
    ";
    let End::Fault(fault) = run(&mut machine(USER, GUEST, &[])).end else {
        panic!()
    };
    assert_eq!((fault.vector, fault.error_code), (13, Some(0)));
}
