//! A run that ends between a question and its answer goes on there: a write that the handler has
//! seen is done, a read is asked again, and no item is lost, doubled or reordered.
// The helpers are tests, too: a panic is the report.
#![allow(clippy::unwrap_used, clippy::panic)]

#[macro_use]
mod common;

use common::Answer;
use common::{Asked, Cpu, FLAT, LONG, PROTECTED, USER};
use common::{exit_code, gpa, machine, pattern, port, read_vec, run_with, set, try_run};
use vmm::RouteTarget;
use vmm::{End, ErrorCode, KickCause, KickHandle, Machine, Outcome, RouteConfig};

const STOP: RouteConfig = RouteConfig {
    base: vmm::Base::Port(0xf4),
    length: 1,
    target: RouteTarget::Stop,
};

/// The host sets ESI, ECX and EDX.
const REP_OUTSB: &str = "
    f3 6e ; rep outsb (%esi),(%dx)
    e6 f4 ; out %al,$0xf4
";

/// The host sets EDI, ECX and EDX.
const REP_INSB: &str = "
    f3 6c ; rep insb (%dx),(%edi)
    e6 f4 ; out %al,$0xf4
";

const OUT: &str = "
    e6 60    ; out %al,$0x60
    83 c0 01 ; add $1,%eax
    e6 60    ; out %al,$0x60
    e6 f4    ; out %al,$0xf4
";

const IN: &str = "
    e4 60 ; in $0x60,%al
    e6 f4 ; out %al,$0xf4
";

fn string_machine(cpu: Cpu, guest: &str) -> Machine {
    let mut machine = machine(cpu, guest, &[STOP, port(0x60, 1, RouteTarget::Device)]);
    set(&mut machine, |registers| {
        (registers.rsi, registers.rdi) = (0x1000, 0x1000);
        (registers.rcx, registers.rdx) = (300, 0x60);
    });
    machine
}

fn assert_stopped(outcome: vmm::Result<Outcome>) {
    assert_eq!(outcome.unwrap().end, End::Kicked(KickCause::Stop));
}

#[test]
fn a_string_write_that_is_kicked_at_any_item_arrives_once_and_in_order() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        for kick_at in [0, 1, 119, 120, 299] {
            let text = pattern(300);
            let mut machine = string_machine(cpu, REP_OUTSB);
            machine.memory().write(0x1000, &text).unwrap();
            let mut arrived = Vec::new();
            let kick = KickHandle::new();
            let mut take = |question: common::Question<'_>| {
                let Asked::Write(1, 0, 1, value) = Asked::from(&question) else {
                    panic!("{question:?}")
                };
                arrived.push(value as u8);
                if arrived.len() == kick_at + 1 {
                    kick.kick(KickCause::Stop);
                }
                Answer::Done
            };
            assert_stopped(try_run(&mut machine, &kick, &mut take));
            exit_code(&run_with(&mut machine, &mut take));
            assert!(arrived == text, "{cpu:?} {kick_at}: {}", arrived.len());
            assert_eq!(common::counts(&machine, 1).writes.get(), 300);
        }
    }
}

#[test]
fn a_string_read_that_is_kicked_at_any_item_takes_each_value_once() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        for kick_at in [0, 1, 119, 120, 299] {
            let text = pattern(300);
            let mut machine = string_machine(cpu, REP_INSB);
            let (mut asked, kick) = (0, KickHandle::new());
            let mut give = |_: common::Question<'_>| {
                asked += 1;
                if asked == kick_at + 1 {
                    kick.kick(KickCause::Stop);
                }
                Answer::Value(text[asked - 1].into())
            };
            assert_stopped(try_run(&mut machine, &kick, &mut give));
            exit_code(&run_with(&mut machine, &mut give));
            assert_eq!(asked, 300, "{cpu:?} {kick_at}");
            assert!(read_vec(&machine, 0x1000, 300) == text, "{cpu:?} {kick_at}");
            assert_eq!(common::counts(&machine, 1).reads.get(), 300);
        }
    }
}

/// The value of every write that is asked, the first being answered with `answer` and a kick.
fn writes_around(cpu: Cpu, routes: &[RouteConfig], answer: &Answer) -> (Vec<u8>, Machine) {
    let mut machine = machine(cpu, OUT, routes);
    let kick = KickHandle::new();
    let mut asked = Vec::new();
    let mut take = |question: common::Question<'_>| {
        match Asked::from(&question) {
            Asked::Write(1, 0, 1, value) => asked.push(value as u8),
            Asked::Unclaimed(_, data) => asked.extend(data),
            other => panic!("{other:?}"),
        }
        if asked.len() > 1 {
            return Answer::Done;
        }
        kick.kick(KickCause::Stop);
        answer.clone()
    };
    let first = try_run(&mut machine, &kick, &mut take);
    match answer {
        Answer::Failed => assert_eq!(first.unwrap_err().code, ErrorCode::Handler),
        _ => assert_stopped(first),
    }
    assert_eq!(exit_code(&run_with(&mut machine, &mut take)), 1);
    (asked, machine)
}

#[test]
fn a_write_that_the_handler_has_seen_is_done() {
    require!(PROTECTED, LONG, USER);
    let device = [STOP, port(0x60, 1, RouteTarget::Device)];
    for cpu in FLAT {
        for routes in [&device[..], &[STOP]] {
            for (answer, expected) in [
                (Answer::Done, &[0, 1][..]),
                (Answer::Interrupted, &[0, 1]),
                (Answer::Failed, &[0, 1]),
                (Answer::Withdrawn, &[0, 0, 1]),
            ] {
                let (asked, machine) = writes_around(cpu, routes, &answer);
                assert_eq!(asked, expected, "{cpu:?} {answer:?}");
                if let Some(counters) = machine.counters().route(vmm::RouteId::new(1)) {
                    // However often it is asked, the guest wrote it once.
                    assert_eq!(counters.writes.get(), 2, "{answer:?}");
                }
            }
        }
    }
}

#[test]
fn a_read_without_a_value_is_asked_again() {
    require!(PROTECTED, LONG, USER);
    let device = [STOP, port(0x60, 1, RouteTarget::Device)];
    for cpu in FLAT {
        for routes in [&device[..], &[STOP]] {
            for (answer, times) in [
                (Answer::Value(1), 1),
                (Answer::Interrupted, 2),
                (Answer::Failed, 2),
                (Answer::Withdrawn, 2),
            ] {
                let mut machine = machine(cpu, IN, routes);
                let (kick, mut asked) = (KickHandle::new(), 0);
                let mut give = |_: common::Question<'_>| {
                    asked += 1;
                    if asked > 1 {
                        return Answer::Value(2);
                    }
                    kick.kick(KickCause::Stop);
                    answer.clone()
                };
                let first = try_run(&mut machine, &kick, &mut give);
                assert_eq!(first.is_err(), answer == Answer::Failed);
                let code = exit_code(&run_with(&mut machine, &mut give));
                assert_eq!((code, asked), (times, times), "{cpu:?} {answer:?}");
                if let Some(counters) = machine.counters().route(vmm::RouteId::new(1)) {
                    assert_eq!(counters.reads.get(), 1, "{answer:?}");
                }
            }
        }
    }
}

#[test]
fn behind_a_read_that_was_answered_and_kicked_the_registers_are_final() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        let mut machine = machine(cpu, IN, &[STOP, port(0x60, 1, RouteTarget::Device)]);
        let kick = KickHandle::new();
        let kicked = try_run(&mut machine, &kick, |_| {
            kick.kick(KickCause::Stop);
            Answer::Value(7)
        });
        assert_stopped(kicked);
        let registers = machine.registers().unwrap();
        assert_eq!((registers.rax, registers.rip), (7, 2), "{cpu:?}");
        machine.set_registers(&registers).unwrap();
        assert_eq!(exit_code(&run_with(&mut machine, |_| Answer::Failed)), 7);
    }
}

#[test]
fn while_an_item_waits_registers_cannot_be_set() {
    require!(PROTECTED);
    let mut machine = string_machine(PROTECTED, REP_INSB);
    let kick = KickHandle::new();
    let kicked = try_run(&mut machine, &kick, |_| {
        kick.kick(KickCause::Stop);
        Answer::Withdrawn
    });
    assert_stopped(kicked);
    let registers = machine.registers().unwrap();
    assert_eq!((registers.rip, registers.rcx), (0, 300));
    let error = machine.set_registers(&registers).unwrap_err();
    assert_eq!(error.code, ErrorCode::UnansweredRead);
    exit_code(&run_with(&mut machine, |_| Answer::Value(7)));
    assert_eq!(read_vec(&machine, 0x1000, 301)[299..], [7, 0]);
}

#[test]
fn a_store_across_a_page_border_is_kicked_between_its_pieces() {
    require!(LONG, USER);
    const GUEST: &str = "
        48 89 03 ; mov %rax,(%rbx)
        e6 f4    ; out %al,$0xf4
    ";
    // 3 bytes up to the border, asked for as 1 and 2, then 5 as 4 and 1.
    let pieces = [
        Asked::Write(1, 0xffd, 1, 0x11),
        Asked::Write(1, 0xffe, 2, 0x3322),
        Asked::Write(1, 0x1000, 4, 0x7766_5544),
        Asked::Write(1, 0x1004, 1, 0x88),
    ];
    for cpu in [LONG, USER] {
        for kick_at in 0..pieces.len() {
            let device = gpa(0xd000_0000, 0x2000, RouteTarget::Device);
            let mut machine = machine(cpu, GUEST, &[STOP, device]);
            set(&mut machine, |registers| {
                (registers.rax, registers.rbx) = (0x8877_6655_4433_2211, 0xd000_0ffd);
            });
            let (mut asked, kick) = (Vec::new(), KickHandle::new());
            let mut take = |question: common::Question<'_>| {
                asked.push(Asked::from(&question));
                if asked.len() == kick_at + 1 {
                    kick.kick(KickCause::Stop);
                }
                Answer::Done
            };
            assert_stopped(try_run(&mut machine, &kick, &mut take));
            assert_eq!(exit_code(&run_with(&mut machine, &mut take)), 0x11);
            assert_eq!(asked, pieces, "{cpu:?} {kick_at}");
            assert_eq!(common::counts(&machine, 1).writes.get(), 2);
        }
    }
}

#[test]
fn a_write_that_was_seen_is_done_and_blocks_nothing() {
    require!(LONG);
    let mut machine = machine(
        LONG,
        "e6 60 ; out %al,$0x60",
        &[port(0x60, 1, RouteTarget::Device)],
    );
    try_run(&mut machine, &KickHandle::new(), |_| Answer::Failed).unwrap_err();
    let registers = machine.registers().unwrap();
    assert_eq!(registers.rip, 2);
    machine.set_registers(&registers).unwrap();
    assert_eq!(common::counts(&machine, 0).writes.get(), 1);
}
