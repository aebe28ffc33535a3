//! After a run, an access that was answered is completed when somebody looks or changes something:
//! registers are always those after the instruction, and what completing finds is not lost.
// The helpers are tests, too: a panic is the report.
#![allow(clippy::unwrap_used, clippy::panic)]

#[macro_use]
mod common;

use std::sync::atomic::{AtomicU32, Ordering};

use common::{Answer, Cpu, LONG, PAGED32, PROTECTED, REAL, USER};
use common::{config, exit, exit_code, gpa, machine, pattern, port, read_vec, run, run_with, set};
use vmm::{Exit, KickCause, KickHandle, Machine, RouteConfig, RouteTarget};

const STOP: RouteConfig = RouteConfig {
    base: vmm::Base::Port(0xf4),
    length: 1,
    target: RouteTarget::Stop,
};

/// `out`, then 42 in RAX. In every mode the same bytes.
const OUT: &str = "
    e6 60 ; out %al,$0x60
    b0 2a ; mov $42,%al
    f4    ; hlt
";

const EVERY: [Cpu; 5] = [REAL, PROTECTED, PAGED32, LONG, USER];

/// Those of the modes that this KVM runs.
fn cpus() -> impl Iterator<Item = Cpu> {
    EVERY
        .into_iter()
        .filter(|cpu| common::missing(&[*cpu]).is_none())
}

/// Runs until the first write, which an unclaimed exit, a `stop` route, a device that stops the
/// run, or a kick before the next entry ends.
fn until_written(cpu: Cpu, listing: &str, how: usize) -> Machine {
    let target = [
        None,
        Some(RouteTarget::Stop),
        Some(RouteTarget::Device),
        Some(RouteTarget::Count),
    ];
    let routes = target[how].map(|target| port(0x60, 1, target));
    let mut machine = machine(cpu, listing, routes.as_slice());
    let kick = KickHandle::new();
    let outcome = common::try_run(&mut machine, &kick, |_| match how {
        0 => Answer::End,
        _ => {
            kick.kick(KickCause::Stop);
            Answer::Done
        }
    });
    // The vCPU has gone on to its halt where nothing stops it.
    assert_eq!(
        outcome.unwrap().exits,
        if how == 3 { 2 } else { 1 },
        "{cpu:?} {how}"
    );
    machine
}

#[test]
fn whatever_ended_the_run_registers_are_those_after_the_write() {
    require!(PROTECTED);
    for cpu in cpus().filter(|cpu| *cpu != USER) {
        for (how, rip) in [(0, 2), (1, 2), (2, 2), (3, 5)] {
            let mut machine = until_written(cpu, OUT, how);
            assert_eq!(machine.registers().unwrap().rip, rip, "{cpu:?} {how}");
            // A second look finds the same, and the guest goes on where it was.
            assert_eq!(machine.registers().unwrap().rip, rip);
        }
    }
}

#[test]
fn whether_somebody_looks_or_not_the_guest_goes_on_after_the_write() {
    require!(PROTECTED);
    for cpu in cpus().filter(|cpu| *cpu != USER) {
        for looks in [false, true] {
            let mut machine = until_written(cpu, OUT, 0);
            if looks {
                machine.registers().unwrap();
            }
            let outcome = run(&mut machine);
            assert_eq!((exit(&outcome), outcome.exits), (&Exit::Hlt, 1));
            assert_eq!(machine.registers().unwrap().rax & 0xff, 42, "{cpu:?}");
        }
    }
}

#[test]
fn what_is_set_after_a_write_is_set_after_its_instruction() {
    require!(PROTECTED);
    for cpu in cpus().filter(|cpu| *cpu != USER) {
        for special in [false, true] {
            let mut machine = until_written(cpu, OUT, 0);
            if special {
                let mut registers = until_written(cpu, OUT, 0).special_registers().unwrap();
                registers.cr2 = 0x1234;
                machine.set_special_registers(&registers).unwrap();
            } else {
                let mut registers = until_written(cpu, OUT, 0).registers().unwrap();
                registers.rbx = 0x1234;
                machine.set_registers(&registers).unwrap();
            }
            assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
            assert_eq!(machine.registers().unwrap().rip, 5, "{cpu:?} {special}");
        }
    }
}

/// An instruction that KVM asks about in two exits: 3 bytes below a page border, 5 above.
const ACROSS: &str = "
    48 89 03 ; mov %rax,(%rbx)
    e6 f4    ; out %al,$0xf4
";

fn across(cpu: Cpu) -> Machine {
    let mut machine = machine(cpu, ACROSS, &[STOP]);
    set(&mut machine, |registers| {
        (registers.rax, registers.rbx) = (0x8877_6655_4433_2211, 0xd000_0ffd);
    });
    machine
}

#[test]
fn the_second_half_of_a_write_is_asked_and_counted_by_the_run_that_asks_it() {
    require!(LONG, USER);
    for cpu in [LONG, USER] {
        for looks in [false, true] {
            let mut machine = across(cpu);
            let mut ends = Vec::new();
            for _ in 0..3 {
                let outcome = run(&mut machine);
                if looks {
                    machine.registers().unwrap();
                }
                ends.push((outcome.end.name(), outcome.exits));
            }
            let expected = [("mmio-write", 1), ("mmio-write", 1), ("exit-port", 1)];
            assert_eq!(ends, expected, "{cpu:?} {looks}");
            assert_eq!(machine.counters().total_exits(), 3);
        }
    }
}

#[test]
fn between_the_halves_of_a_write_registers_cannot_be_set() {
    require!(LONG, USER);
    for cpu in [LONG, USER] {
        let mut machine = across(cpu);
        let registers = machine.registers().unwrap();
        run(&mut machine);
        let error = machine.set_registers(&registers).unwrap_err();
        assert_eq!(error.code, vmm::ErrorCode::UnansweredRead);
        // Nothing is lost by it.
        assert_eq!(run(&mut machine).end.name(), "mmio-write");
        assert_eq!(exit_code(&run(&mut machine)), 0x11);
    }
}

#[test]
fn a_string_write_that_ends_runs_is_whole_whether_somebody_looks_or_not() {
    require!(PROTECTED, LONG, USER);
    const REP_OUTSB: &str = "
        f3 6e ; rep outsb (%esi),(%dx)
        e6 f4 ; out %al,$0xf4
    ";
    for cpu in common::FLAT {
        for looks in [false, true] {
            let mut machine = machine(cpu, REP_OUTSB, &[STOP]);
            let text = pattern(5000);
            machine.memory().write(0x1000, &text).unwrap();
            set(&mut machine, |registers| {
                (registers.rsi, registers.rcx, registers.rdx) = (0x1000, 5000, 0x60);
            });
            let (mut arrived, mut exits) = (Vec::<u8>::new(), 0);
            loop {
                let outcome = run(&mut machine);
                exits += outcome.exits;
                let vmm::End::Exit(record) = &outcome.end else {
                    break;
                };
                arrived.extend(&record.data);
                if looks {
                    let registers = machine.registers().unwrap();
                    assert!(
                        registers.rcx <= 5000 - arrived.len() as u64,
                        "{registers:?}"
                    );
                }
            }
            assert!(arrived == text, "{cpu:?} {looks}: {}", arrived.len());
            assert_eq!(exits, machine.counters().total_exits());
        }
    }
}

#[test]
fn a_read_that_was_answered_has_changed_memory_when_its_run_is_over() {
    require!(PROTECTED, LONG, USER);
    const INSB: &str = "
        6c    ; insb (%dx),(%edi)
        e6 f4 ; out %al,$0xf4
    ";
    for cpu in common::FLAT {
        let mut machine = machine(cpu, INSB, &[STOP, port(0x60, 1, RouteTarget::Device)]);
        set(&mut machine, |registers| {
            (registers.rdi, registers.rdx) = (0x1000, 0x60);
        });
        let kick = KickHandle::new();
        let outcome = common::try_run(&mut machine, &kick, |_| {
            kick.kick(KickCause::Stop);
            Answer::Value(7)
        });
        assert_eq!(outcome.unwrap().end.name(), "stopped");
        assert_eq!(read_vec(&machine, 0x1000, 2), [7, 0], "{cpu:?}");
        let registers = machine.registers().unwrap();
        assert_eq!((registers.rip, registers.rdi), (1, 0x1001));
    }
}

#[test]
fn a_read_that_waits_for_its_reply_leaves_registers_as_they_were() {
    require!(PROTECTED, LONG, USER);
    const READS: &str = "
        8b 03    ; mov (%ebx),%eax
        e4 60    ; in $0x60,%al
        e6 f4    ; out %al,$0xf4
    ";
    for cpu in [PROTECTED, LONG, USER] {
        let mut machine = machine(cpu, READS, &[STOP]);
        set(&mut machine, |registers| registers.rbx = 0xd000_0000);
        for (rip, rax, after) in [(0, 0, 2), (2, 0x77, 4)] {
            run(&mut machine);
            let registers = machine.registers().unwrap();
            assert_eq!((registers.rip, registers.rax), (rip, rax), "{cpu:?}");
            machine.reply(0x77).unwrap();
            let registers = machine.registers().unwrap();
            assert_eq!((registers.rip, registers.rax), (after, 0x77), "{cpu:?}");
        }
    }
}

#[test]
fn every_vcpu_that_has_written_can_be_looked_at() {
    require!(LONG);
    let mut config = config(LONG, OUT, &[]);
    config.vcpus = 4;
    let mut machine = Machine::new(config).unwrap();
    let (kick, asked) = (KickHandle::new(), AtomicU32::new(0));
    let handler = |_: common::Question<'_>| {
        asked.fetch_add(1, Ordering::SeqCst);
        while asked.load(Ordering::SeqCst) < 4 && kick.requested().is_none() {
            std::thread::yield_now();
        }
        kick.kick(KickCause::Stop);
        Answer::Done
    };
    let handlers: Vec<_> = (0..4).map(|_| &handler).collect();
    let outcome = machine.run_together(&kick, common::LIMITS, &mut common::handlers(handlers));
    assert_eq!(outcome.unwrap().end.name(), "stopped");
    for index in 0..4 {
        let rip = machine.vcpu(index).unwrap().registers().unwrap().rip;
        assert_eq!(rip, 2, "vCPU {index}");
    }
}

#[test]
fn mmio_is_completed_likewise() {
    require!(PROTECTED, LONG, USER);
    const STORE: &str = "
        89 03 ; mov %eax,(%ebx)
        e6 f4 ; out %al,$0xf4
    ";
    for cpu in [PROTECTED, LONG, USER] {
        let device = gpa(0xd000_0000, 4, RouteTarget::Stop);
        for routes in [&[STOP][..], &[STOP, device]] {
            let mut machine = machine(cpu, STORE, routes);
            set(&mut machine, |registers| {
                (registers.rax, registers.rbx) = (0x42, 0xd000_0000);
            });
            let first = run_with(&mut machine, |_| Answer::End);
            assert_eq!(first.exits, 1);
            assert_eq!(machine.registers().unwrap().rip, 2, "{cpu:?}");
            assert_eq!(exit_code(&run(&mut machine)), 0x42);
        }
    }
}
