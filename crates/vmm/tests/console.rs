//! Console text: kept for the outcome, or delivered in batches; in order, and none of it lost.
// The helpers are tests, too: a panic is the report.
#![allow(clippy::unwrap_used, clippy::panic)]

#[macro_use]
mod common;

use common::{Answer, Question};
use common::{Asked, CONSOLE, Cpu, DELIVER, LONG, PROTECTED};
use common::{exit, machine, pattern, port, run_silently, run_with, set, try_run};
use vmm::limits::CONSOLE_BATCH_BYTES;
use vmm::{ErrorCode, Exit, KickHandle, Machine, RouteConfig, RouteId, RouteTarget};

/// The host sets ESI, ECX and EDX.
const REP_OUTSL: &str = "
    f3 6f ; rep outsl (%esi),(%dx)
    f4    ; hlt
";

const TEXT_BYTES: usize = 2 * CONSOLE_BATCH_BYTES + 4096;

fn text_machine(cpu: Cpu, target: RouteTarget, text: &[u8]) -> Machine {
    let mut machine = machine(cpu, REP_OUTSL, &[port(0xe9, 1, target)]);
    machine.memory().write(0x1000, text).unwrap();
    set(&mut machine, |registers| {
        (registers.rsi, registers.rdx) = (0x1000, 0xe9);
        registers.rcx = text.len() as u64 / 4;
    });
    machine
}

fn console_bytes(question: &common::Question<'_>) -> (usize, Vec<u8>) {
    match Asked::from(question) {
        Asked::Console(route, bytes) => (route, bytes),
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_a_handler_all_of_it_is_in_the_outcome() {
    require!(PROTECTED);
    let text = pattern(TEXT_BYTES);
    let outcome = run_silently(&mut text_machine(PROTECTED, CONSOLE, &text));
    assert_eq!(exit(&outcome), &Exit::Hlt);
    assert!(outcome.output.bytes == text);
    assert_eq!(
        (outcome.output.dropped_bytes, outcome.undelivered.len()),
        (0, 0)
    );
}

#[test]
fn full_batches_are_delivered_and_the_rest_is_in_the_outcome() {
    require!(PROTECTED, LONG);
    for cpu in [PROTECTED, LONG] {
        let text = pattern(TEXT_BYTES);
        let mut batches = Vec::new();
        let outcome = run_with(&mut text_machine(cpu, DELIVER, &text), |question| {
            batches.push(console_bytes(&question));
            Answer::Done
        });
        assert_eq!(
            (exit(&outcome), outcome.output.bytes.len()),
            (&Exit::Hlt, 0)
        );
        let (full, rest) = text.split_at(2 * CONSOLE_BATCH_BYTES);
        let (first, second) = full.split_at(CONSOLE_BATCH_BYTES);
        assert!(
            batches == [(0, first.to_vec()), (0, second.to_vec())],
            "{cpu:?}"
        );
        assert!(
            outcome.undelivered == [(RouteId::new(0), rest.to_vec())],
            "{cpu:?}"
        );
    }
}

#[test]
fn a_batch_that_the_handler_has_not_seen_stays() {
    require!(PROTECTED);
    let text = pattern(TEXT_BYTES);
    let mut asked = 0;
    let outcome = run_with(&mut text_machine(PROTECTED, DELIVER, &text), |_| {
        asked += 1;
        Answer::Withdrawn
    });
    assert!(asked > 0);
    assert!(outcome.undelivered == [(RouteId::new(0), text)]);
}

#[test]
fn a_handler_that_fails_has_seen_its_batch_and_the_rest_follows() {
    require!(PROTECTED);
    let text = pattern(TEXT_BYTES);
    let mut machine = text_machine(PROTECTED, DELIVER, &text);
    let mut arrived = Vec::new();
    let mut take = |question: common::Question<'_>| {
        arrived.extend(console_bytes(&question).1);
        if arrived.len() == CONSOLE_BATCH_BYTES {
            Answer::Failed
        } else {
            Answer::Done
        }
    };
    let failed = try_run(&mut machine, &KickHandle::new(), &mut take);
    assert_eq!(failed.unwrap_err().code, ErrorCode::Handler);
    let outcome = run_with(&mut machine, &mut take);
    for (_, bytes) in outcome.undelivered {
        arrived.extend(bytes);
    }
    assert!(arrived == text);
}

#[test]
fn text_goes_before_a_question_and_what_a_failure_leaves_is_the_next_runs() {
    require!(PROTECTED);
    const GUEST: &str = "
        b0 61 ; mov $'a',%al
        e6 10 ; out %al,$0x10
        b0 62 ; mov $'b',%al
        e6 11 ; out %al,$0x11
        e6 60 ; out %al,$0x60
        b0 63 ; mov $'c',%al
        e6 10 ; out %al,$0x10
        f4    ; hlt
    ";
    let routes = [
        port(0x10, 1, DELIVER),
        port(0x11, 1, DELIVER),
        port(0x60, 1, RouteTarget::Device),
    ];
    let mut machine = machine(PROTECTED, GUEST, &routes);
    let mut asked = Vec::new();
    let failed = try_run(&mut machine, &KickHandle::new(), |question| {
        asked.push(Asked::from(&question));
        Answer::Failed
    });
    assert_eq!(failed.unwrap_err().code, ErrorCode::Handler);
    assert_eq!(asked, [Asked::Console(0, b"a".to_vec())]);
    asked.clear();
    let outcome = run_with(&mut machine, |question| {
        asked.push(Asked::from(&question));
        match question {
            Question::Unclaimed { .. } => Answer::End,
            _ => Answer::Done,
        }
    });
    assert_eq!(asked[0], Asked::Console(1, b"b".to_vec()));
    assert_eq!(asked[1], Asked::Write(2, 0, 1, 0x62));
    assert_eq!(
        (asked.len(), outcome.undelivered),
        (2, vec![(RouteId::new(0), b"c".to_vec())])
    );
}

#[test]
fn each_console_has_its_own_text() {
    require!(PROTECTED);
    const GUEST: &str = "
        b0 61 ; mov $'a',%al
        e6 10 ; out %al,$0x10
        b0 62 ; mov $'b',%al
        e6 11 ; out %al,$0x11
        b0 63 ; mov $'c',%al
        e6 12 ; out %al,$0x12
        b0 64 ; mov $'d',%al
        e6 10 ; out %al,$0x10
        b0 65 ; mov $'e',%al
        e6 12 ; out %al,$0x12
        f4    ; hlt
    ";
    let routes: [RouteConfig; 3] = [
        port(0x10, 1, DELIVER),
        port(0x11, 1, CONSOLE),
        port(0x12, 1, DELIVER),
    ];
    let outcome = run_silently(&mut machine(PROTECTED, GUEST, &routes));
    assert_eq!(outcome.output.bytes, b"b");
    assert_eq!(
        outcome.undelivered,
        [
            (RouteId::new(0), b"ad".to_vec()),
            (RouteId::new(2), b"ce".to_vec())
        ]
    );
}

#[test]
fn each_run_has_its_own_text() {
    require!(PROTECTED);
    const GUEST: &str = "
        b0 61 ; mov $'a',%al
        e6 10 ; out %al,$0x10
        e6 11 ; out %al,$0x11
        f4    ; hlt
        b0 62 ; mov $'b',%al
        e6 10 ; out %al,$0x10
        e6 11 ; out %al,$0x11
        f4    ; hlt
    ";
    let routes = [port(0x10, 1, CONSOLE), port(0x11, 1, DELIVER)];
    let mut machine = machine(PROTECTED, GUEST, &routes);
    for text in [b"a", b"b"] {
        let outcome = run_silently(&mut machine);
        assert_eq!(outcome.output.bytes, text);
        assert_eq!(outcome.undelivered, [(RouteId::new(1), text.to_vec())]);
    }
}
