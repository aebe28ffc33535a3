//! `KVM_EXIT_INTERNAL_ERROR`: what a KVM cannot emulate.

#[macro_use]
mod common;

use common::{LONG, PROTECTED, exit, machine, run};
use vmm::Exit;

/// KVM_INTERNAL_ERROR_EMULATION.
const EMULATION: u32 = 1;

#[test]
fn code_outside_memory_cannot_be_emulated() {
    require!(PROTECTED);
    const GUEST: &str = "
        b8 00 00 00 d0 ; mov $0xd0000000,%eax
        ff e0          ; jmp *%eax
    ";
    let mut machine = machine(PROTECTED, GUEST, &[]);
    let outcome = run(&mut machine);
    match exit(&outcome) {
        Exit::InternalError { suberror, .. } => assert_eq!(*suberror, EMULATION),
        other => skip!("this KVM ends it with {}", other.name()),
    }
    assert_eq!(machine.registers().unwrap().rip, 0xd000_0000);
}

#[test]
fn an_instruction_that_the_emulator_lacks_is_shown() {
    require!(LONG);
    const GUEST: &str = "
        f3 0f b8 c3 ; popcnt %ebx,%eax
        f4          ; hlt
    ";
    let mut machine = machine(LONG, GUEST, &[]);
    let outcome = run(&mut machine);
    let Exit::InternalError {
        suberror,
        data,
        instruction_bytes,
    } = exit(&outcome)
    else {
        skip!("this KVM runs popcnt in ring 0");
    };
    assert_eq!((*suberror, outcome.exits), (EMULATION, 1));
    if instruction_bytes.is_empty() {
        assert!(data.len() < 4, "{data:x?}");
    } else {
        assert_eq!(instruction_bytes[..4], common::code(GUEST)[..4]);
    }
    assert_eq!(machine.registers().unwrap().rip, 0);
}
