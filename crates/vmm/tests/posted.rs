//! Posted writes: `queue`, `coalesce` and `event`.
#![allow(clippy::unwrap_used)] // in helpers of tests a panic is the report

#[macro_use]
mod common;

use common::{Answer, Question};
use common::{LONG, exit, gpa, machine, port, run, run_with, set, try_run};
use vmm::limits::{MAX_QUEUED_EVENTS, QUEUE_BELL_EVENTS};
use vmm::{
    ErrorCode, Exit, ExitHandler, Feed, KickCause, KickHandle, Machine, PostedWrite, Reply,
    RouteTarget, RunLimits,
};

const QUEUE: RouteTarget = RouteTarget::Queue { read_value: None };
const COALESCE: RouteTarget = RouteTarget::Coalesce { read_value: None };

/// Numbers 0 to ECX - 1 to port 0x200, four bytes each.
const NUMBERS: &str = "
    31 c0             ; xor %eax,%eax
    66 ba 00 02       ; mov $0x200,%dx
    ef                ; 1: out %eax,(%dx)
    ff c0             ; inc %eax
    39 c8             ; cmp %ecx,%eax
    75 f9             ; jne 1b
    f4                ; hlt
";

fn numbers(count: u64, target: RouteTarget, length: u64) -> (Machine, Feed) {
    let mut machine = machine(LONG, NUMBERS, &[port(0x200, length, target)]);
    set(&mut machine, |registers| registers.rcx = count);
    let feed = common::feed(&machine);
    (machine, feed)
}

/// Checks that events are `next`, `next + 1`, … and moves on after them.
fn expect_numbers(events: &[PostedWrite], next: &mut u64) {
    for event in events {
        assert_eq!(
            *event,
            PostedWrite {
                offset: 0,
                size: 4,
                value: *next
            }
        );
        *next += 1;
    }
}

#[test]
fn a_queue_keeps_every_write_in_order_and_bells_at_its_fill_level() {
    require!(LONG);
    let count = QUEUE_BELL_EVENTS as u64 * 2 + 10;
    let (mut machine, feed) = numbers(count, QUEUE, 1);
    let (mut next, mut bells) = (0, 0);
    let outcome = run_with(&mut machine, |question| {
        assert!(matches!(question, Question::Posted), "{question:?}");
        bells += 1;
        expect_numbers(&feed.drain(), &mut next);
        Answer::Done
    });
    assert_eq!((exit(&outcome), bells), (&Exit::Hlt, 2));
    expect_numbers(&feed.drain(), &mut next);
    assert_eq!(next, count);
    assert_eq!(common::counts(&machine, 0).writes.get(), count);
}

#[test]
fn a_full_ring_makes_the_vcpu_wait_and_the_wait_is_counted() {
    require!(LONG);
    let count = MAX_QUEUED_EVENTS as u64 + 100;
    for target in [QUEUE, COALESCE] {
        let (mut machine, feed) = numbers(count, target, 4);
        let (mut next, mut full) = (0, 0);
        run_with(&mut machine, |question| {
            if matches!(question, Question::Full { .. }) {
                full += 1;
                // The third look finds a consumer.
                if full == 3 {
                    expect_numbers(&feed.drain(), &mut next);
                }
            }
            Answer::Done
        });
        expect_numbers(&feed.drain(), &mut next);
        assert_eq!(
            (next, full, machine.counters().ring_waits.get()),
            (count, 3, 1)
        );
    }
}

#[test]
fn a_kick_while_the_ring_is_full_loses_nothing() {
    require!(LONG);
    let count = MAX_QUEUED_EVENTS as u64 + 500;
    for target in [QUEUE, COALESCE] {
        let (mut machine, feed) = numbers(count, target, 4);
        let kick = KickHandle::new();
        let outcome = machine.run(
            &kick,
            RunLimits::default(),
            &mut common::handler(|question| {
                if matches!(question, Question::Full { .. }) {
                    kick.kick(KickCause::Stop);
                }
                Answer::Done
            }),
        );
        assert_eq!(outcome.unwrap().end, vmm::End::Kicked(KickCause::Stop));
        let mut next = 0;
        expect_numbers(&feed.drain(), &mut next);
        assert!(next >= MAX_QUEUED_EVENTS as u64);
        let outcome = run_with(&mut machine, |_| Answer::Done);
        assert_eq!(exit(&outcome), &Exit::Hlt);
        expect_numbers(&feed.drain(), &mut next);
        assert_eq!(next, count);
    }
}

#[test]
fn a_consumer_that_fails_ends_the_run_and_loses_nothing() {
    require!(LONG);
    let count = QUEUE_BELL_EVENTS as u64 + 300;
    for target in [QUEUE, COALESCE] {
        let (mut machine, feed) = numbers(count, target, 4);
        let error = try_run(&mut machine, &KickHandle::new(), |_| Answer::Failed).unwrap_err();
        assert_eq!(error.code, ErrorCode::Handler);
        let mut next = 0;
        expect_numbers(&feed.drain(), &mut next);
        assert!(next >= QUEUE_BELL_EVENTS as u64);
        run_with(&mut machine, |_| Answer::Done);
        expect_numbers(&feed.drain(), &mut next);
        assert_eq!(next, count);
    }
}

#[test]
fn coalesced_writes_make_few_exits() {
    require!(LONG);
    let (mut machine, feed) = numbers(1000, COALESCE, 4);
    let mut next = 0;
    let outcome = run_with(&mut machine, |_| {
        expect_numbers(&feed.drain(), &mut next);
        Answer::Done
    });
    expect_numbers(&feed.drain(), &mut next);
    assert_eq!(next, 1000);
    assert!(outcome.exits < 20, "{}", outcome.exits);
}

#[test]
fn what_was_posted_is_told_before_the_next_question() {
    require!(LONG);
    let listing = "
        e6 20       ; out %al,$0x20
        e6 10       ; out %al,$0x10
        e6 20       ; out %al,$0x20
        e6 11       ; out %al,$0x11
        f4          ; hlt
    ";
    let event = RouteTarget::Event { datamatch: None };
    for target in [QUEUE, COALESCE, event] {
        let device = port(0x10, 1, RouteTarget::Device);
        let mut machine = machine(LONG, listing, &[port(0x20, 1, target), device]);
        let feed = common::feed(&machine);
        let mut order = Vec::new();
        run_with(&mut machine, |question| {
            order.push(match question {
                Question::Posted => {
                    assert!(feed.waits());
                    feed.drain();
                    feed.take_count();
                    "posted"
                }
                Question::Write { .. } => "device",
                _ => "unclaimed",
            });
            Answer::Done
        });
        assert_eq!(order, ["posted", "device", "posted", "unclaimed"]);
    }
}

#[test]
fn whoever_takes_at_once_is_told_of_each_write_and_of_the_rest_at_the_next_exit() {
    struct AtOnce(Feed, Vec<usize>);
    impl ExitHandler for AtOnce {
        fn posted(&mut self) -> Reply<()> {
            let taken = self.0.drain().len() + self.0.take_count() as usize;
            self.1.push(taken);
            Ok(())
        }

        fn tick(&mut self) -> Reply<()> {
            panic!("a tick")
        }

        fn takes_at_once(&self) -> bool {
            true
        }
    }
    require!(LONG);
    let listing = "
        e6 20       ; out %al,$0x20
        e6 20       ; out %al,$0x20
        e6 30       ; out %al,$0x30
        f4          ; hlt
    ";
    let event = RouteTarget::Event { datamatch: None };
    for (target, expected) in [(QUEUE, &[1, 1][..]), (COALESCE, &[2]), (event, &[2])] {
        let sink = port(0x30, 1, RouteTarget::Discard);
        let mut machine = machine(LONG, listing, &[port(0x20, 1, target), sink]);
        let feed = common::feed(&machine);
        let mut handler = AtOnce(feed, Vec::new());
        let outcome = machine.run(&KickHandle::new(), common::LIMITS, &mut handler);
        assert_eq!(exit(&outcome.unwrap()), &Exit::Hlt);
        assert_eq!(handler.1, expected, "{target:?}");
    }
}

#[test]
fn coalesced_mmio_keeps_offset_and_size() {
    require!(LONG);
    let listing = "
        bb 00 00 00 d0    ; mov $0xd0000000,%ebx
        b8 44 33 22 11    ; mov $0x11223344,%eax
        88 03             ; mov %al,(%rbx)
        66 89 43 02       ; mov %ax,2(%rbx)
        89 43 04          ; mov %eax,4(%rbx)
        48 89 43 08       ; mov %rax,8(%rbx)
        f4                ; hlt
    ";
    let mut machine = machine(LONG, listing, &[gpa(0xd000_0000, 0x100, COALESCE)]);
    let feed = common::feed(&machine);
    assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
    let event = |offset, size, value| PostedWrite {
        offset,
        size,
        value,
    };
    let expected = [
        event(0, 1, 0x44),
        event(2, 2, 0x3344),
        event(4, 4, 0x1122_3344),
        event(8, 8, 0x1122_3344),
    ];
    assert_eq!(feed.drain(), expected);
}

#[test]
fn coalesced_writes_of_a_spinning_guest_arrive_at_a_tick() {
    require!(LONG);
    let listing = "
        b0 07       ; mov $7,%al
        e6 40       ; out %al,$0x40
        eb fe       ; jmp .
    ";
    let mut machine = machine(LONG, listing, &[port(0x40, 1, COALESCE)]);
    let feed = common::feed(&machine);
    let (kick, mut events) = (KickHandle::new(), Vec::new());
    let limits = RunLimits {
        timeout: Some(std::time::Duration::from_secs(300)),
        tick: Some(std::time::Duration::from_millis(5)),
        ..RunLimits::default()
    };
    let outcome = machine.run(
        &kick,
        limits,
        &mut common::handler(|question| {
            if matches!(question, Question::Posted) {
                events.extend(feed.drain());
                kick.kick(KickCause::Stop);
            }
            Answer::Done
        }),
    );
    assert_eq!(outcome.unwrap().end, vmm::End::Kicked(KickCause::Stop));
    assert_eq!(
        events,
        [PostedWrite {
            offset: 0,
            size: 1,
            value: 7
        }]
    );
}

#[test]
fn reads_have_the_value_that_was_given_or_are_not_claimed() {
    require!(LONG);
    let listing = "
        e4 40       ; in $0x40,%al
        f4          ; hlt
    ";
    let value = RouteTarget::Queue {
        read_value: Some(0x5a),
    };
    let mut answered = machine(LONG, listing, &[port(0x40, 1, value)]);
    run(&mut answered);
    assert_eq!(answered.registers().unwrap().rax, 0x5a);
    for target in [QUEUE, COALESCE, RouteTarget::Event { datamatch: None }] {
        let mut unclaimed = machine(LONG, listing, &[port(0x40, 1, target)]);
        assert!(matches!(exit(&run(&mut unclaimed)), Exit::PioIn(_)));
    }
}

#[test]
fn an_event_is_counted_by_the_kernel() {
    require!(LONG);
    let event = RouteTarget::Event { datamatch: None };
    let (mut machine, feed) = numbers(100, event, 1);
    let outcome = run(&mut machine);
    assert_eq!((exit(&outcome), outcome.exits), (&Exit::Hlt, 1));
    assert_eq!((feed.take_count(), feed.take_count()), (100, 0));
}

#[test]
fn a_datamatch_counts_one_value_of_one_size() {
    require!(LONG);
    let event = RouteTarget::Event {
        datamatch: Some((3, 4)),
    };
    let (mut machine, feed) = numbers(5, event, 1);
    let mut others = Vec::new();
    run_with(&mut machine, |question| match question {
        Question::Unclaimed { data, .. } => {
            others.push(data.to_vec());
            Answer::Done
        }
        _ => Answer::End,
    });
    assert_eq!(feed.take_count(), 1);
    let number = |value: u32| value.to_le_bytes().to_vec();
    assert_eq!(others, [0, 1, 2, 4].map(number));
}

#[test]
fn an_event_stands_at_one_address() {
    let config = common::config(
        LONG,
        "f4 ; hlt",
        &[port(0x40, 2, RouteTarget::Event { datamatch: None })],
    );
    assert_eq!(
        Machine::new(config).unwrap_err().code,
        ErrorCode::InvalidOption
    );
    let event = RouteTarget::Event {
        datamatch: Some((0, 3)),
    };
    let config = common::config(LONG, "f4 ; hlt", &[port(0x40, 1, event)]);
    assert_eq!(
        Machine::new(config).unwrap_err().code,
        ErrorCode::InvalidOption
    );
}
