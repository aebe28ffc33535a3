//! What each answer of a handler means for each question.

#[macro_use]
mod common;

use common::Answer;
use common::{Asked, FLAT, LONG, PROTECTED, USER};
use common::{exit, exit_code, gpa, machine, port, run_silently, run_with, try_run};
use vmm::{ErrorCode, KickHandle, RouteConfig, RouteTarget};

const STOP: RouteConfig = RouteConfig {
    base: vmm::Base::Port(0xf4),
    length: 1,
    target: RouteTarget::Stop,
};

/// Reads two bytes from port 0x60.
const IN: &str = "
    b8 5a 5a 5a 5a ; mov $0x5a5a5a5a,%eax
    66 e5 60       ; in $0x60,%ax
    e7 f4          ; out %eax,$0xf4
";

/// Writes two bytes to port 0x60.
const OUT: &str = "
    b8 34 12 00 00 ; mov $0x1234,%eax
    66 e7 60       ; out %ax,$0x60
    e7 f4          ; out %eax,$0xf4
";

#[test]
fn an_unclaimed_read_takes_a_value_bytes_or_nothing() {
    require!(PROTECTED, LONG, USER);
    for (answer, eax) in [
        (Answer::Value(0x9_8765), 0x5a5a_8765),
        (Answer::Bytes(vec![0x21, 0x43]), 0x5a5a_4321),
        (Answer::Done, 0x5a5a_ffff),
    ] {
        for cpu in FLAT {
            let mut machine = machine(cpu, IN, &[STOP]);
            let mut asked = 0;
            let outcome = run_with(&mut machine, |question| {
                let Asked::Unclaimed(exit, data) = Asked::from(&question) else {
                    panic!("{question:?}")
                };
                assert_eq!((exit.name(), data), ("pio-in", vec![0, 0]));
                asked += 1;
                answer.clone()
            });
            assert_eq!((exit_code(&outcome), asked), (eax, 1), "{answer:?} {cpu:?}");
        }
    }
}

#[test]
fn an_unclaimed_write_goes_on_with_done_or_any_value() {
    require!(PROTECTED, LONG, USER);
    for answer in [Answer::Done, Answer::Value(7)] {
        for cpu in FLAT {
            let mut machine = machine(cpu, OUT, &[STOP]);
            let mut written = Vec::new();
            let outcome = run_with(&mut machine, |question| {
                if let Asked::Unclaimed(_, data) = Asked::from(&question) {
                    written.push(data);
                }
                answer.clone()
            });
            assert_eq!(exit_code(&outcome), 0x1234, "{answer:?} {cpu:?}");
            assert_eq!(written, [[0x34, 0x12]]);
        }
    }
}

#[test]
fn end_ends_the_run_with_the_unclaimed_exit() {
    require!(PROTECTED, LONG, USER);
    for (guest, name) in [(IN, "pio-in"), (OUT, "pio-out")] {
        for cpu in FLAT {
            let outcome = run_with(&mut machine(cpu, guest, &[STOP]), |_| Answer::End);
            assert_eq!(exit(&outcome).name(), name, "{cpu:?}");
        }
    }
}

#[test]
fn a_failing_handler_fails_the_run_and_a_read_is_asked_again() {
    require!(PROTECTED, LONG, USER);
    // Bytes of the wrong number are no answer either.
    for answer in [Answer::Failed, Answer::Bytes(vec![1])] {
        for cpu in FLAT {
            let mut machine = machine(cpu, IN, &[STOP]);
            for _ in 0..2 {
                let failed = try_run(&mut machine, &KickHandle::new(), |_| answer.clone());
                assert_eq!(failed.unwrap_err().code, ErrorCode::Handler);
            }
            let outcome = run_with(&mut machine, |_| Answer::Value(0x4321));
            assert_eq!(exit_code(&outcome), 0x5a5a_4321, "{answer:?} {cpu:?}");
        }
    }
}

#[test]
fn a_failing_handler_has_seen_a_write() {
    require!(PROTECTED, LONG, USER);
    for answer in [Answer::Failed, Answer::Bytes(vec![1, 2])] {
        for cpu in FLAT {
            let mut machine = machine(cpu, OUT, &[STOP]);
            let failed = try_run(&mut machine, &KickHandle::new(), |_| answer.clone());
            assert_eq!(failed.unwrap_err().code, ErrorCode::Handler);
            assert_eq!(
                exit_code(&run_silently(&mut machine)),
                0x1234,
                "{answer:?} {cpu:?}"
            );
        }
    }
}

#[test]
fn a_device_answers_reads_with_a_value_or_like_an_empty_bus() {
    require!(PROTECTED, LONG, USER);
    for (answer, eax) in [
        (Answer::Value(0x4321), 0x5a5a_4321),
        (Answer::Done, 0x5a5a_ffff),
    ] {
        for cpu in FLAT {
            let device = port(0x60, 1, RouteTarget::Device);
            let outcome = run_with(&mut machine(cpu, IN, &[STOP, device]), |_| answer.clone());
            assert_eq!(exit_code(&outcome), eax, "{answer:?} {cpu:?}");
        }
    }
}

#[test]
fn end_and_bytes_are_no_answers_of_a_device() {
    require!(PROTECTED);
    let device = port(0x60, 1, RouteTarget::Device);
    for answer in [Answer::End, Answer::Bytes(vec![1, 2]), Answer::Failed] {
        for guest in [IN, OUT] {
            let mut machine = machine(PROTECTED, guest, &[STOP, device]);
            let failed = try_run(&mut machine, &KickHandle::new(), |_| answer.clone());
            assert_eq!(failed.unwrap_err().code, ErrorCode::Handler, "{answer:?}");
        }
    }
}

#[test]
fn unclaimed_mmio_takes_the_same_answers() {
    require!(LONG, USER);
    const GUEST: &str = "
        bb 00 00 00 d0 ; mov $0xd0000000,%ebx
        48 8b 03       ; mov (%rbx),%rax
        48 89 43 08    ; mov %rax,8(%rbx)
        e6 f4          ; out %al,$0xf4
    ";
    for cpu in [LONG, USER] {
        for (answer, value) in [
            (Answer::Value(0x1122_3344_5566_7788), 0x1122_3344_5566_7788),
            (Answer::Bytes((1..=8).collect()), 0x0807_0605_0403_0201),
            (Answer::Done, u64::MAX),
        ] {
            let other = gpa(0xe000_0000, 8, RouteTarget::Discard);
            let mut asked = Vec::new();
            let outcome = run_with(&mut machine(cpu, GUEST, &[STOP, other]), |question| {
                let Asked::Unclaimed(exit, data) = Asked::from(&question) else {
                    panic!("{question:?}")
                };
                asked.push((exit.name(), data));
                match asked.len() {
                    1 => answer.clone(),
                    _ => Answer::Done,
                }
            });
            assert_eq!(exit_code(&outcome), value as u32 & 0xff, "{cpu:?}");
            let written = value.to_le_bytes().to_vec();
            assert_eq!(asked, [("mmio-read", vec![0; 8]), ("mmio-write", written)]);
        }
    }
}
