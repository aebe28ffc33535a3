//! `KVM_EXIT_HLT`: the run ends after the instruction, and a further run continues there.

#[macro_use]
mod common;

use common::{LONG, PROTECTED, REAL, exit, machine, run, run_silently};
use vmm::Exit;

#[test]
fn a_further_run_goes_on_behind_it() {
    require!(REAL, PROTECTED, LONG);
    // The same bytes in all modes; INC would be a prefix in long mode.
    const GUEST: &str = "
        b0 01 ; mov $1,%al
        f4    ; hlt
        b0 02 ; mov $2,%al
        f4    ; hlt
        f4    ; hlt
        b0 03 ; mov $3,%al
        f4    ; hlt
    ";
    for cpu in [REAL, PROTECTED, LONG] {
        let mut machine = machine(cpu, GUEST, &[]);
        for (rip, rax) in [(3, 1), (6, 2), (7, 2), (10, 3)] {
            let outcome = run(&mut machine);
            assert_eq!((exit(&outcome), outcome.exits), (&Exit::Hlt, 1));
            let registers = machine.registers().unwrap();
            assert_eq!((registers.rip, registers.rax), (rip, rax), "{cpu:?}");
        }
    }
}

#[test]
fn a_guest_may_halt_in_a_loop() {
    require!(LONG);
    const GUEST: &str = "
        ff c1 ; 1: inc %ecx
        f4    ; hlt
        eb fb ; jmp 1b
    ";
    let mut machine = machine(LONG, GUEST, &[]);
    for round in 1..=100 {
        assert_eq!(exit(&run_silently(&mut machine)), &Exit::Hlt);
        assert_eq!(machine.registers().unwrap().rcx, round);
    }
    assert_eq!(machine.counters().exits[Exit::Hlt.kind()].get(), 100);
}
