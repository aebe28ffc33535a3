//! Interrupts from outside: lines of the in-kernel irqchip, vectors without one, and NMIs.
//!
//! The guest is in real mode, where an interrupt goes through the vector table at 0.
#![allow(clippy::unwrap_used, clippy::panic)] // in helpers of tests a panic is the report

#[macro_use]
mod common;

use std::sync::Arc;

use common::{Answer, Question};
use common::{LONG, REAL, code, exit, port, run_with};
use vmm::{
    CpuMode, End, ErrorCode, Exit, Interrupts, KickCause, KickHandle, Machine, MachineConfig,
    RouteTarget, RunLimits,
};

const GUEST: u16 = 0x1000;
const HANDLER: u16 = 0x1100;
const NMI_HANDLER: u16 = 0x1200;
/// The PIC's line 4 arrives here.
const VECTOR: u8 = 0x24;

/// Sets up the PIC with line 4 open, and halts between interrupts.
const WITH_PIC: &str = "
    b0 11 ; mov $0x11,%al
    e6 20 ; out %al,$0x20
    b0 20 ; mov $0x20,%al
    e6 21 ; out %al,$0x21
    b0 04 ; mov $4,%al
    e6 21 ; out %al,$0x21
    b0 01 ; mov $1,%al
    e6 21 ; out %al,$0x21
    b0 ef ; mov $0xef,%al
    e6 21 ; out %al,$0x21
    e6 e1 ; out %al,$0xe1
    fb    ; sti
    f4    ; 1: hlt
    eb fd ; jmp 1b
";

const WITHOUT_PIC: &str = "
    e6 e1 ; out %al,$0xe1
    fb    ; sti
    f4    ; 1: hlt
    eb fd ; jmp 1b
";

/// Counts at 0x500, tells the PIC, tells us.
const COUNT: &str = "
    ff 06 00 05 ; incw 0x500
    b0 20       ; mov $0x20,%al
    e6 20       ; out %al,$0x20
    e6 e0       ; out %al,$0xe0
    cf          ; iret
";

const COUNT_NMI: &str = "
    ff 06 02 05 ; incw 0x502
    e6 e2       ; out %al,$0xe2
    cf          ; iret
";

fn machine(irqchip: bool, guest: &str) -> Machine {
    let mut config = MachineConfig::new(CpuMode::Real, code(guest));
    config.payload.load_gpa = u64::from(GUEST);
    config.payload.entry_gpa = Some(u64::from(GUEST));
    config.irqchip = irqchip;
    config.routes = vec![port(0xe0, 3, RouteTarget::Device)];
    if !irqchip {
        config.routes.push(port(0x20, 2, RouteTarget::Discard));
    }
    let machine = Machine::new(config).unwrap();
    let memory = machine.memory();
    for (vector, handler) in [(VECTOR, HANDLER), (2, NMI_HANDLER)] {
        let entry = u32::from(handler).to_le_bytes();
        memory.write(u64::from(vector) * 4, &entry).unwrap();
    }
    memory.write(HANDLER.into(), &code(COUNT)).unwrap();
    memory.write(NMI_HANDLER.into(), &code(COUNT_NMI)).unwrap();
    machine
}

fn counts(machine: &Machine) -> [u16; 2] {
    let bytes: [u8; 4] = common::read(machine, 0x500);
    [
        u16::from_le_bytes([bytes[0], bytes[1]]),
        u16::from_le_bytes([bytes[2], bytes[3]]),
    ]
}

/// Runs, and calls `raise` when the guest is ready and after every interrupt, until the guest has
/// counted `count`.
fn run_to(machine: &mut Machine, count: u32, raise: impl Fn(&Interrupts, u32)) -> vmm::Outcome {
    let interrupts = Arc::clone(machine.interrupts());
    let (kick, mut done) = (KickHandle::new(), 0);
    let limits = RunLimits {
        timeout: Some(std::time::Duration::from_secs(300)),
        ..RunLimits::default()
    };
    let mut handler = |question: Question<'_>| {
        if let Question::Write { offset, .. } = question {
            done += u32::from(offset != 1);
            if done == count {
                kick.kick(KickCause::Stop);
            } else {
                raise(&interrupts, done);
            }
        }
        Answer::Done
    };
    machine
        .run(&kick, limits, &mut common::handler(&mut handler))
        .unwrap()
}

const STOPPED: End = End::Kicked(KickCause::Stop);

#[test]
fn each_pulse_of_a_line_is_one_interrupt() {
    require!(REAL);
    let mut machine = machine(true, WITH_PIC);
    let outcome = run_to(&mut machine, 1000, |interrupts, _| {
        interrupts.pulse(4).unwrap();
    });
    assert_eq!((outcome.end, counts(&machine)), (STOPPED, [1000, 0]));
}

#[test]
fn a_line_that_is_raised_and_lowered_is_one_edge() {
    require!(REAL);
    let mut machine = machine(true, WITH_PIC);
    let outcome = run_to(&mut machine, 100, |interrupts, _| {
        // The PIC is edge-triggered: a line that stays up interrupts no second time.
        interrupts.set_line(4, false).unwrap();
        interrupts.set_line(4, true).unwrap();
        interrupts.set_line(4, true).unwrap();
    });
    assert_eq!((outcome.end, counts(&machine)), (STOPPED, [100, 0]));
}

#[test]
fn a_closed_line_interrupts_nobody() {
    require!(REAL);
    let mut machine = machine(true, WITH_PIC);
    let outcome = run_to(&mut machine, 10, |interrupts, _| {
        interrupts.pulse(3).unwrap();
        interrupts.pulse(4).unwrap();
    });
    assert_eq!((outcome.end, counts(&machine)), (STOPPED, [10, 0]));
}

#[test]
fn without_an_irqchip_vectors_are_injected_when_the_guest_takes_them() {
    require!(REAL);
    let mut machine = machine(false, WITHOUT_PIC);
    let outcome = run_to(&mut machine, 1000, |interrupts, done| {
        // Two at once now and then: the second waits for the first one's iret.
        if done % 2 == 0 {
            interrupts.interrupt(0, VECTOR).unwrap();
            interrupts.interrupt(0, VECTOR).unwrap();
        }
    });
    assert_eq!((outcome.end, counts(&machine)), (STOPPED, [1000, 0]));
}

#[test]
fn without_anything_that_waits_a_halt_ends_the_run_and_the_next_goes_on() {
    require!(REAL);
    let mut machine = machine(false, WITHOUT_PIC);
    for count in 0..3 {
        let outcome = run_with(&mut machine, |_| Answer::Done);
        assert_eq!((exit(&outcome), counts(&machine)), (&Exit::Hlt, [count, 0]));
        machine.interrupts().interrupt(0, VECTOR).unwrap();
    }
}

#[test]
fn a_halt_with_interrupts_disabled_is_ended_by_no_vector() {
    require!(REAL);
    // cli; hlt
    let mut machine = machine(false, "fa ; cli\n f4 ; hlt");
    machine.interrupts().interrupt(0, VECTOR).unwrap();
    let outcome = run_with(&mut machine, |_| Answer::Done);
    assert_eq!((exit(&outcome), counts(&machine)), (&Exit::Hlt, [0, 0]));
}

#[test]
fn an_nmi_comes_through_with_and_without_an_irqchip() {
    require!(REAL);
    for (irqchip, guest) in [(true, WITH_PIC), (false, WITHOUT_PIC)] {
        let mut machine = machine(irqchip, guest);
        let outcome = run_to(&mut machine, 100, |interrupts, _| {
            interrupts.nmi(0).unwrap();
        });
        assert_eq!((outcome.end, counts(&machine)), (STOPPED, [0, 100]));
    }
}

#[test]
fn a_poke_from_another_thread_reaches_a_spinning_guest() {
    require!(REAL);
    // sti; jmp .
    let mut machine = machine(false, "e6 e1 ; out %al,$0xe1\n fb ; sti\n eb fe ; jmp .");
    let interrupts = Arc::clone(machine.interrupts());
    let kick = KickHandle::new();
    let poker = kick.clone();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(20));
        interrupts.interrupt(0, VECTOR).unwrap();
        poker.poke(0);
    });
    let mut handler = |question: Question<'_>| {
        if matches!(question, Question::Write { offset: 0, .. }) {
            kick.kick(KickCause::Stop);
        }
        Answer::Done
    };
    let outcome = machine
        .run(&kick, common::LIMITS, &mut common::handler(&mut handler))
        .unwrap();
    assert_eq!((outcome.end, counts(&machine)), (STOPPED, [1, 0]));
    thread.join().unwrap();
}

#[test]
fn what_the_machine_does_not_have_is_refused() {
    require!(LONG);
    let bare = common::machine(LONG, "f4 ; hlt", &[]);
    let chip = machine(true, WITH_PIC);
    let invalid = |result: vmm::Result<()>, what: &str| {
        let error = result.unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidOption);
        assert!(error.message.contains(what), "{error}");
    };
    invalid(bare.interrupts().pulse(4), "irqchip: true");
    invalid(bare.interrupts().set_line(4, true), "irqchip: true");
    invalid(
        bare.interrupts().interrupt(1, 32),
        "vcpu must be 0 to 0, got 1",
    );
    invalid(bare.interrupts().nmi(1), "vcpu must be 0 to 0, got 1");
    invalid(chip.interrupts().pulse(24), "line must be 0 to 23, got 24");
    invalid(chip.interrupts().interrupt(0, 32), "without an irqchip");
    for vector in 0..=255 {
        bare.interrupts().interrupt(0, vector).unwrap();
    }
    let error = bare.interrupts().interrupt(0, 32).unwrap_err();
    assert_eq!(error.code, ErrorCode::Limit);
}

#[test]
fn vectors_that_come_while_an_access_waits_for_its_answer_are_not_lost() {
    require!(REAL);
    let mut machine = machine(
        false,
        "
        e4 e1 ; in $0xe1,%al
        fb    ; sti
        f4    ; 1: hlt
        eb fd ; jmp 1b
        ",
    );
    let first = KickHandle::new();
    let mut stop = |_: Question<'_>| {
        first.kick(KickCause::Stop);
        Answer::Interrupted
    };
    let outcome = machine
        .run(&first, common::LIMITS, &mut common::handler(&mut stop))
        .unwrap();
    assert_eq!(outcome.end, STOPPED);
    let interrupts = Arc::clone(machine.interrupts());
    for _ in 0..3 {
        interrupts.interrupt(0, VECTOR).unwrap();
    }
    let (kick, mut counted) = (KickHandle::new(), 0);
    let mut handler = |question: Question<'_>| {
        if let Question::Write { offset: 0, .. } = question {
            counted += 1;
            if counted == 3 {
                kick.kick(KickCause::Stop);
            }
        }
        Answer::Done
    };
    let outcome = machine
        .run(&kick, common::LIMITS, &mut common::handler(&mut handler))
        .unwrap();
    assert_eq!((outcome.end, counts(&machine)), (STOPPED, [3, 0]));
}

#[test]
fn a_guest_whose_interrupts_the_host_turns_off_gets_none() {
    require!(REAL);
    let mut machine = machine(
        false,
        "
        fb    ; sti
        f4    ; hlt
        e6 e1 ; out %al,$0xe1
        fb    ; sti
        f4    ; 1: hlt
        eb fd ; jmp 1b
        ",
    );
    let outcome = run_with(&mut machine, |_| Answer::Done);
    assert_eq!(exit(&outcome), &Exit::Hlt);
    common::set(&mut machine, |registers| registers.rflags = 2);
    machine.interrupts().interrupt(0, VECTOR).unwrap();
    let (kick, mut asked) = (KickHandle::new(), Vec::new());
    let mut handler = |question: Question<'_>| {
        if let Question::Write { offset, .. } = question {
            asked.push(offset);
            if asked.len() == 2 {
                kick.kick(KickCause::Stop);
            }
        }
        Answer::Done
    };
    let outcome = machine
        .run(&kick, common::LIMITS, &mut common::handler(&mut handler))
        .unwrap();
    // The guest's own port first, then the handler's, after its sti.
    assert_eq!((outcome.end, asked), (STOPPED, vec![1, 0]));
}
