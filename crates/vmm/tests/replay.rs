//! The last instruction before a shutdown, found from a snapshot.
// The helpers are tests, too: a panic is the report.
#![allow(clippy::unwrap_used, clippy::panic)]

#[macro_use]
mod common;

use std::time::Duration;

use common::{Cpu, FLAT, USER, gpa, machine, set};
use vmm::{Replay, ReplayLimits, RouteTarget, backend, replay};

/// Steps wherever it runs.
const STEPS: ReplayLimits = ReplayLimits {
    instructions: 100_000,
    timeout: Duration::from_secs(60),
    always_steps: true,
};

const CRASH: &str = "
    b9 05 00 00 00 ; mov $5,%ecx
    83 e9 01       ; 1: sub $1,%ecx
    75 fb          ; jnz 1b
    0f 0b          ; ud2
";

/// What this KVM can step: not ring 3 where it runs on the host's own rings.
fn stepped() -> Vec<Cpu> {
    let is_stepped = |cpu: &Cpu| *cpu != USER || backend() != "kvm_pvm";
    FLAT.into_iter().filter(is_stepped).collect()
}

fn place(replay: &Replay) -> (u64, u64, u8) {
    let last = replay.last.as_ref().unwrap();
    (last.registers.rip, last.registers.rcx, last.vector)
}

#[test]
fn the_last_instruction_is_found_in_every_mode() {
    for cpu in FLAT {
        require!(cpu);
        let mut machine = machine(cpu, CRASH, &[]);
        let snapshot = machine.snapshot().unwrap();
        let found = replay(&snapshot, ReplayLimits::default()).unwrap();
        assert_eq!(place(&found), (10, 0, 6), "{cpu:?}");
        assert_eq!((found.ended, found.answered), ("shutdown", 0));
    }
}

#[test]
fn stepping_finds_it_with_all_registers() {
    for cpu in stepped() {
        require!(cpu);
        let mut machine = machine(cpu, CRASH, &[]);
        let special = machine.special_registers().unwrap();
        let snapshot = machine.snapshot().unwrap();
        let found = replay(&snapshot, STEPS).unwrap();
        assert_eq!((place(&found), found.steps), ((10, 0, 6), 11), "{cpu:?}");
        let last = found.last.unwrap();
        assert_eq!(last.special.cs, special.cs);
        assert_eq!(
            (last.special.cr0, last.special.cr3),
            (special.cr0, special.cr3)
        );
        assert_eq!(
            last.registers.rflags & 0x100,
            0,
            "the flag that steps is not the guest's"
        );
    }
}

#[test]
fn an_access_before_the_last_instruction_is_answered() {
    // A crash right after each kind of access.
    const GUESTS: [(&str, u64); 4] = [
        ("e6 10 0f 0b ; out %al,$0x10; ud2", 2),
        ("e4 10 0f 0b ; in $0x10,%al; ud2", 2),
        ("88 03 0f 0b ; mov %al,(%ebx); ud2", 2),
        ("8a 03 0f 0b ; mov (%ebx),%al; ud2", 2),
    ];
    for cpu in stepped() {
        require!(cpu);
        for (guest, rip) in GUESTS {
            let device = gpa(0x40_0000, 0x1000, RouteTarget::Device);
            let mut machine = machine(cpu, guest, &[device]);
            set(&mut machine, |registers| registers.rbx = 0x40_0000);
            let snapshot = machine.snapshot().unwrap();
            let found = replay(&snapshot, STEPS).unwrap();
            assert_eq!(place(&found), (rip, 0, 6), "{cpu:?} {guest}");
            assert_eq!((found.answered, found.exits), (1, 1), "{guest}");
            let low = found.last.unwrap().registers.rax & 0xff;
            let is_read = guest.starts_with("e4") || guest.starts_with("8a");
            assert_eq!(low, if is_read { 0xff } else { 0 }, "{guest}");
        }
    }
}
