//! What an outcome says of the place where a guest crashed or ran out of time.
// The helpers are tests, too: a panic is the report.
#![allow(clippy::unwrap_used, clippy::panic)]

#[macro_use]
mod common;

use std::time::Duration;

use common::{Answer, Question};
use common::{Cpu, FLAT, LIMITS, LONG, PAGED32, PROTECTED, REAL, USER, code, machine, run};
use vmm::{KickHandle, Machine, Outcome, RunLimits};

/// Without moving: `hlt` is privileged.
const SPIN: &str = "
    90    ; nop
    eb fe ; 1: jmp 1b
";

const CRASH: &str = "
    90    ; nop
    0f 0b ; ud2
";

fn time_out(machine: &mut Machine) -> Outcome {
    let limits = RunLimits {
        timeout: Some(Duration::from_millis(20)),
        ..LIMITS
    };
    let mut done = |_: Question<'_>| Answer::Done;
    machine
        .run(&KickHandle::new(), limits, &mut common::handler(&mut done))
        .unwrap()
}

#[test]
fn a_time_out_names_the_first_vcpu_with_its_mode_and_the_bytes_at_rip() {
    for cpu in [REAL, PROTECTED, LONG, USER, PAGED32] {
        require!(cpu);
        let mut machine = machine(cpu, SPIN, &[]);
        // It may not come as far as its second instruction in that time.
        common::set(&mut machine, |registers| registers.rip = 1);
        let at = time_out(&mut machine).whereabouts.unwrap();
        assert_eq!((at.vcpu, at.rip, at.mode), (0, 1, cpu.0.name()));
        assert_eq!(at.bytes[..2], code(SPIN)[1..]);
        assert_eq!(at.bytes.len(), 15);
        let special = machine.special_registers().unwrap();
        assert_eq!(at.cs, special.cs.selector);
    }
}

#[test]
fn a_shutdown_names_the_instruction_unless_kvm_has_reset_the_vcpu() {
    let crash = |cpu: Cpu| {
        let mut machine = machine(cpu, CRASH, &[]);
        let at = run(&mut machine).whereabouts;
        let is_reset = machine.registers().unwrap().rip == 0xfff0;
        assert_eq!(at.is_none(), is_reset);
        if let Some(at) = at {
            assert_eq!((at.rip, at.mode), (1, cpu.0.name()));
            assert_eq!(at.bytes[..2], code(CRASH)[1..]);
        }
    };
    for cpu in FLAT {
        require!(cpu);
        crash(cpu);
    }
}

#[test]
fn bytes_end_with_memory() {
    require!(LONG);
    // jmp to itself in the last two bytes of 2 MiB.
    let mut machine = machine(LONG, "f4 ; hlt", &[]);
    let last = (2 << 20) - 2;
    machine.memory().write(last, &[0xeb, 0xfe]).unwrap();
    common::set(&mut machine, |registers| registers.rip = last);
    let at = time_out(&mut machine).whereabouts.unwrap();
    assert_eq!((at.rip, at.bytes), (last, vec![0xeb, 0xfe]));
}

#[test]
fn an_end_that_explains_itself_has_none() {
    require!(LONG);
    for guest in ["f4 ; hlt", "e6 10 ; out %al,$0x10"] {
        let outcome = run(&mut machine(LONG, guest, &[]));
        assert_eq!(outcome.whereabouts, None);
    }
}
