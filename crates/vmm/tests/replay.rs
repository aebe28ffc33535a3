//! The last instruction before a shutdown, found from a snapshot.
// The helpers are tests, too: a panic is the report.
#![allow(clippy::unwrap_used, clippy::panic)]

#[macro_use]
mod common;

use std::time::Duration;

use common::{CONSOLE, Cpu, FLAT, LONG, USER, config, gpa, port, run, set};
use vmm::{
    CpuMode, ErrorCode, Exception, Faults, Machine, MachineConfig, Replay, ReplayLimits,
    RouteConfig, RouteTarget, backend, replay,
};

/// Steps wherever it runs.
const STEPS: ReplayLimits = ReplayLimits {
    instructions: 100_000,
    timeout: Duration::from_secs(300),
    always_steps: true,
};

const QUEUE: RouteTarget = RouteTarget::Queue { read_value: None };
const COALESCE: RouteTarget = RouteTarget::Coalesce { read_value: None };

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

/// Every fault shuts it down.
fn machine(cpu: Cpu, guest: &str, routes: &[RouteConfig]) -> Machine {
    Machine::new(MachineConfig {
        faults: Some(Faults::Off),
        ..config(cpu, guest, routes)
    })
    .unwrap()
}

/// RIP, RCX and the vector.
fn place(replay: &Replay) -> (u64, u64, u8) {
    let last = replay.last.as_ref().unwrap();
    (
        last.registers.rip,
        last.registers.rcx,
        last.exception.unwrap().vector,
    )
}

fn replayed(cpu: Cpu, guest: &str, routes: &[RouteConfig], limits: ReplayLimits) -> Replay {
    replay(&machine(cpu, guest, routes).snapshot().unwrap(), limits).unwrap()
}

#[test]
fn the_last_instruction_is_found_in_every_mode() {
    for cpu in FLAT {
        require!(cpu);
        let found = replayed(cpu, CRASH, &[], ReplayLimits::default());
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

#[test]
fn an_error_code_is_told_and_an_exception_that_kvm_does_not_name() {
    require!(LONG);
    // mov $0x128,%eax; mov %eax,%ds: behind the GDT.
    const SELECTOR: &str = "b8 28 01 00 00 8e d8 ; mov $0x128,%eax; mov %eax,%ds";
    let found = replayed(LONG, SELECTOR, &[], STEPS);
    let general_protection = Exception {
        vector: 13,
        error_code: Some(0x128),
    };
    assert_eq!(found.last.unwrap().exception, Some(general_protection));
    // KVM on SVM takes no part in the delivery of this one, and has the vector of none.
    let breakpoint = Exception {
        vector: 3,
        error_code: None,
    };
    if backend() == "kvm_amd" {
        let found = replayed(LONG, "90 cc ; nop; int3", &[], STEPS);
        let last = found.last.unwrap();
        assert_eq!((last.registers.rip, last.exception), (1, Some(breakpoint)));
    }
}

#[test]
fn the_address_of_a_page_fault_is_found() {
    // 16 TiB: no page is there. A push, a write and a jump.
    const GUESTS: [(&str, u64, u64, u32); 3] = [
        (
            "48 bc 00 00 00 00 00 10 00 00 50 ; movabs $1<<44,%rsp; push %rax",
            10,
            (1 << 44) - 8,
            2,
        ),
        (
            "48 bb 00 00 00 00 00 10 00 00 88 03 ; movabs $1<<44,%rbx; mov %al,(%rbx)",
            10,
            1 << 44,
            2,
        ),
        (
            "48 bb 00 00 00 00 00 10 00 00 ff e3 ; movabs $1<<44,%rbx; jmp *%rbx",
            1 << 44,
            1 << 44,
            0,
        ),
    ];
    for cpu in stepped().into_iter().filter(|cpu| cpu.0 == CpuMode::Long) {
        require!(cpu);
        for (guest, rip, address, error_code) in GUESTS {
            let found = replayed(cpu, guest, &[], STEPS);
            let last = found.last.unwrap();
            let user = if cpu == USER { 4 } else { 0 };
            let exception = Exception {
                vector: 14,
                error_code: Some(error_code | user),
            };
            let expected = (rip, Some(exception), Some(address));
            assert_eq!(
                (last.registers.rip, last.exception, last.address),
                expected,
                "{guest}"
            );
        }
    }
}

/// Prints 32 bytes, then works for long, prints once more and crashes at once.
const PRINTS: &str = "
    b9 20 00 00 00 ; mov $32,%ecx
    e6 e9          ; 1: out %al,$0xe9
    83 e9 01       ; sub $1,%ecx
    75 f9          ; jnz 1b
    b9 00 80 00 00 ; mov $0x8000,%ecx
    83 e9 01       ; 1: sub $1,%ecx
    75 fb          ; jnz 1b
    e6 e9          ; out %al,$0xe9
    90             ; nop
    0f 0b          ; ud2
";

#[test]
fn what_comes_before_the_last_exit_is_not_stepped_through() {
    for cpu in stepped() {
        require!(cpu);
        for target in [CONSOLE, QUEUE, RouteTarget::Device] {
            let found = replayed(cpu, PRINTS, &[port(0xe9, 1, target)], STEPS);
            assert_eq!(place(&found), (25, 0, 6), "{cpu:?} {target:?}");
            assert_eq!(found.exits, 33);
            assert!((1..=2).contains(&found.steps), "{}", found.steps);
            let asked = if target == RouteTarget::Device { 33 } else { 0 };
            assert_eq!(found.answered, asked);
        }
    }
}

#[test]
fn a_full_ring_does_not_hold_a_replay() {
    // More writes than a ring has room for.
    const FLOOD: &str = "
        b9 80 10 00 00 ; mov $4224,%ecx
        e6 e9          ; 1: out %al,$0xe9
        83 e9 01       ; sub $1,%ecx
        75 f9          ; jnz 1b
        0f 0b          ; ud2
    ";
    require!(LONG);
    for target in [QUEUE, COALESCE] {
        let found = replayed(LONG, FLOOD, &[port(0xe9, 1, target)], STEPS);
        assert_eq!(place(&found), (12, 0, 6), "{target:?}");
    }
}

#[test]
fn a_replay_ends_with_its_limits() {
    require!(LONG);
    const LONG_WAY: &str = "
        b9 00 01 00 00 ; mov $256,%ecx
        83 e9 01       ; 1: sub $1,%ecx
        75 fb          ; jnz 1b
        0f 0b          ; ud2
    ";
    let few = ReplayLimits {
        instructions: 100,
        ..STEPS
    };
    let found = replayed(LONG, LONG_WAY, &[], few);
    assert_eq!(
        (found.last, found.ended, found.steps),
        (None, "instructions", 100)
    );
    let short = ReplayLimits {
        timeout: Duration::from_millis(20),
        ..STEPS
    };
    let found = replayed(LONG, "eb fe ; 1: jmp 1b", &[], short);
    assert_eq!((found.last, found.ended), (None, "timeout"));
}

#[test]
fn other_ends_are_told() {
    require!(LONG);
    let ends = [("f4 ; hlt", "hlt"), ("e6 f4 ; out %al,$0xf4", "exit-port")];
    for (guest, ended) in ends {
        let found = replayed(LONG, guest, &[port(0xf4, 1, RouteTarget::Stop)], STEPS);
        assert_eq!((found.last, found.ended), (None, ended));
    }
}

#[test]
fn a_snapshot_within_an_access_is_replayed() {
    for cpu in stepped() {
        require!(cpu);
        for guest in [
            "e4 10 0f 0b ; in $0x10,%al; ud2",
            "e6 10 0f 0b ; out %al,$0x10; ud2",
        ] {
            let mut machine = machine(cpu, guest, &[]);
            run(&mut machine);
            let snapshot = machine.snapshot().unwrap();
            let found = replay(&snapshot, STEPS).unwrap();
            assert_eq!(place(&found), (2, 0, 6), "{cpu:?} {guest}");
            assert_eq!(found.answered, u64::from(guest.starts_with("e4")));
        }
    }
}

#[test]
fn a_replay_leaves_the_machine_and_the_snapshot_as_they_are() {
    require!(LONG);
    // mov %al,0x1000: memory tells whether the guest has run.
    const WRITES: &str = "
        b0 07                ; mov $7,%al
        88 04 25 00 10 00 00 ; mov %al,0x1000
        0f 0b                ; ud2
    ";
    let mut machine = machine(LONG, WRITES, &[]);
    let snapshot = machine.snapshot().unwrap();
    let (first, second) = (replay(&snapshot, STEPS), replay(&snapshot, STEPS));
    assert_eq!(first.unwrap().last, second.unwrap().last);
    assert_eq!(common::read(&machine, 0x1000), [0]);
    assert_eq!(machine.registers().unwrap().rip, 0);
    assert_eq!(snapshot.registers().rip, 0);
}

#[test]
fn several_vcpus_are_refused() {
    require!(LONG);
    let mut machine = Machine::new(MachineConfig {
        vcpus: 2,
        ..config(LONG, CRASH, &[])
    })
    .unwrap();
    let error = replay(&machine.snapshot().unwrap(), STEPS).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidOption);
    assert!(error.message.ends_with("the snapshot has 2"), "{error}");
}
