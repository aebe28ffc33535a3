//! `KVM_EXIT_SHUTDOWN`: without an IDT every fault is a triple fault, and that is how the run ends.

#[macro_use]
mod common;

use common::{Cpu, LONG, PROTECTED, USER, config, exit, made, run};
use vmm::{Exit, Faults, MachineConfig};

/// The vector is that of the fault, whether or not KVM resets the vCPU.
fn assert_shutdown(cpu: Cpu, guest: &str, vector: u8) {
    let mut machine = made(MachineConfig {
        faults: Some(Faults::Off),
        ..config(cpu, guest, &[])
    });
    let outcome = run(&mut machine);
    assert_eq!(exit(&outcome), &Exit::Shutdown, "{cpu:?}");
    let told = outcome.shutdown.as_ref();
    assert_eq!(told.map(|told| told.vector), Some(Some(vector)), "{cpu:?}");
    let is_kept = outcome.whereabouts.is_some();
    assert_eq!(told.map(|told| told.registers_kept), Some(is_kept));
    assert_eq!(outcome.exits, 1);
    let index = Exit::Shutdown.kind();
    assert_eq!(machine.counters().exits[index].get(), 1);
}

#[test]
fn an_invalid_opcode() {
    require!(PROTECTED, LONG, USER);
    const GUEST: &str = "
        0f 0b ; ud2
    ";
    for cpu in [PROTECTED, LONG, USER] {
        assert_shutdown(cpu, GUEST, 6);
    }
}

#[test]
fn a_selector_behind_the_gdt() {
    // Not in ring 3: a KVM that runs it on the host's own GDT has other selectors there.
    require!(PROTECTED, LONG);
    const GUEST: &str = "
        b8 28 00 00 00 ; mov $0x28,%eax
        8e d8          ; mov %eax,%ds
    ";
    for cpu in [PROTECTED, LONG] {
        assert_shutdown(cpu, GUEST, 13);
    }
}

#[test]
fn an_address_that_no_page_maps() {
    require!(LONG, USER);
    // 16 TiB.
    const GUEST: &str = "
        48 bb 00 00 00 00 00 10 00 00 ; movabs $0x100000000000,%rbx
        8b 03                         ; mov (%rbx),%eax
    ";
    for cpu in [LONG, USER] {
        assert_shutdown(cpu, GUEST, 14);
    }
}

#[test]
fn a_privileged_instruction_in_ring_3() {
    require!(USER);
    const MOV_CR3: &str = "
        0f 22 d8 ; mov %rax,%cr3
    ";
    const LGDT: &str = "
        0f 01 14 25 00 04 00 00 ; lgdt 0x400
    ";
    assert_shutdown(USER, MOV_CR3, 13);
    assert_shutdown(USER, LGDT, 13);
}
