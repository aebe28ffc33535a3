//! Several vCPUs: each runs on a thread of its own, and what ends the run for one ends it for all.
#![allow(clippy::unwrap_used, clippy::panic)] // in helpers of tests a panic is the report

#[macro_use]
mod common;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use common::{Answer, Question};
use common::{LIMITS, LONG, config, port, read};
use vmm::{
    End, ErrorCode, Exit, KickCause, KickHandle, Machine, Outcome, RouteConfig, RouteTarget,
    RunLimits, limits,
};

fn machine(vcpus: u32, listing: &str, routes: &[RouteConfig]) -> Machine {
    let mut config = config(LONG, listing, routes);
    config.vcpus = vcpus;
    Machine::new(config).unwrap()
}

/// Runs with the same handler for every vCPU.
fn run_all(
    machine: &mut Machine,
    kick: &KickHandle,
    handler: impl Fn(Question<'_>) -> Answer + Sync,
) -> vmm::Result<Outcome> {
    let handlers: Vec<_> = (0..machine.vcpus()).map(|_| &handler).collect();
    machine.run_together(kick, LIMITS, &mut common::handlers(handlers))
}

/// Each writes its index to port 0x60, waits until all four have, and halts.
const MEET: &str = "
    89 f8                   ; mov %edi,%eax
    e6 60                   ; out %al,$0x60
    f0 fe 04 25 00 05 00 00 ; lock incb 0x500
    80 3c 25 00 05 00 00 04 ; 1: cmpb $4,0x500
    75 f6                   ; jne 1b
    f4                      ; hlt
    eb fd                   ; jmp .-1
";

#[test]
fn each_starts_at_the_entry_and_knows_its_index() {
    require!(LONG);
    let mut machine = machine(4, MEET, &[port(0x60, 1, RouteTarget::Device)]);
    let seen = Mutex::new(BTreeMap::new());
    let outcome = run_all(&mut machine, &KickHandle::new(), |question| {
        if let Question::Write { value, vcpu, .. } = question {
            seen.lock().unwrap().insert(vcpu, value);
        }
        Answer::Done
    });
    let outcome = outcome.unwrap();
    let End::Exit(record) = &outcome.end else {
        panic!("{outcome:?}");
    };
    assert_eq!(record.exit, Exit::Hlt);
    assert!(outcome.vcpu.is_some_and(|vcpu| vcpu < 4));
    let expected: BTreeMap<u32, u64> = (0..4).map(|index| (index, u64::from(index))).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(read(&machine, 0x500), [4u8]);
    for index in 0..4 {
        let registers = machine.vcpu(index).unwrap().registers().unwrap();
        assert_eq!(registers.rdi, u64::from(index));
    }
    assert!(machine.vcpu(4).is_none());
}

#[test]
fn every_end_is_reported_once() {
    require!(LONG);
    let listing = "
        e6 61 ; out %al,$0x61
        eb fe ; 1: jmp 1b
    ";
    for _ in 0..20 {
        let mut machine = machine(3, listing, &[]);
        let mut ended: Vec<u32> = Vec::new();
        for _ in 0..3 {
            let outcome = run_all(&mut machine, &KickHandle::new(), |_| Answer::End).unwrap();
            let End::Exit(record) = &outcome.end else {
                panic!("{outcome:?}");
            };
            assert!(matches!(record.exit, Exit::PioOut(_)), "{record:?}");
            ended.extend(outcome.vcpu);
        }
        ended.sort_unstable();
        assert_eq!(ended, [0, 1, 2]);
    }
}

#[test]
fn an_unclaimed_read_of_each_gets_its_own_reply() {
    require!(LONG);
    let listing = "
        e4 61 ; in $0x61,%al
        e6 60 ; out %al,$0x60
        eb fe ; 1: jmp 1b
    ";
    let mut machine = machine(2, listing, &[port(0x60, 1, RouteTarget::Device)]);
    let seen = Mutex::new(BTreeMap::new());
    let handler = |question: Question<'_>| match question {
        Question::Write { vcpu, value, .. } => {
            let mut seen = seen.lock().unwrap();
            seen.insert(vcpu, value);
            if seen.len() == 2 {
                Answer::Failed
            } else {
                Answer::Done
            }
        }
        _ => Answer::End,
    };
    for _ in 0..2 {
        let outcome = run_all(&mut machine, &KickHandle::new(), handler).unwrap();
        let again = run_all(&mut machine, &KickHandle::new(), handler).unwrap_err();
        assert_eq!(again.code, ErrorCode::UnansweredRead);
        machine
            .reply(u64::from(outcome.vcpu.unwrap()) + 0x40)
            .unwrap();
    }
    let failed = run_all(&mut machine, &KickHandle::new(), handler).unwrap_err();
    assert_eq!(failed.code, ErrorCode::Handler);
    assert_eq!(
        *seen.lock().unwrap(),
        BTreeMap::from([(0, 0x40), (1, 0x41)])
    );
}

/// Each writes 0, 1, 2, … with its index in the top byte to port 0x200 until the word at 0x500 is
/// reached.
const NUMBERED: &str = "
    66 ba 00 02             ; mov $0x200,%dx
    31 c9                   ; xor %ecx,%ecx
    89 f8                   ; 1: mov %edi,%eax
    c1 e0 18                ; shl $24,%eax
    09 c8                   ; or %ecx,%eax
    ef                      ; out %eax,(%dx)
    ff c1                   ; inc %ecx
    3b 0c 25 00 05 00 00    ; cmp 0x500,%ecx
    75 ed                   ; jne 1b
    f0 ff 04 25 04 05 00 00 ; lock incl 0x504
    83 3c 25 04 05 00 00 04 ; 2: cmpl $4,0x504
    75 f6                   ; jne 2b
    f4                      ; hlt
";

#[test]
fn four_write_through_one_route_and_each_keeps_its_order() {
    require!(LONG);
    let targets = [
        RouteTarget::Queue { read_value: None },
        RouteTarget::Device,
        RouteTarget::Coalesce { read_value: None },
    ];
    for target in targets {
        let mut machine = machine(4, NUMBERED, &[port(0x200, 4, target)]);
        machine
            .memory()
            .write(0x500, &2000u32.to_le_bytes())
            .unwrap();
        let feed = machine.feeds().first().map(|(_, feed)| feed.clone());
        let values = Mutex::new(Vec::new());
        let take = || {
            let mut values = values.lock().unwrap();
            let events = feed.as_ref().map(vmm::Feed::drain).unwrap_or_default();
            values.extend(events.iter().map(|event| event.value));
        };
        let outcome = run_all(&mut machine, &KickHandle::new(), |question| {
            match question {
                Question::Write { value, .. } => values.lock().unwrap().push(value),
                Question::Posted | Question::Full { .. } => take(),
                _ => {}
            }
            Answer::Done
        });
        assert!(matches!(outcome.unwrap().end, End::Exit(_)));
        take();
        let values = values.into_inner().unwrap();
        assert_eq!(values.len(), 8000, "{target:?}");
        for vcpu in 0..4 {
            let own = values.iter().filter(|value| *value >> 24 == vcpu);
            assert!(
                own.map(|value| value & 0xff_ffff).eq(0..2000),
                "{target:?} {vcpu}"
            );
        }
        assert_eq!(common::counts(&machine, 0).writes.get(), 8000);
    }
}

#[test]
fn console_text_of_several_is_whole() {
    require!(LONG);
    let listing = "
        b9 e8 03 00 00          ; mov $1000,%ecx
        8d 47 30                ; lea '0'(%rdi),%eax
        e6 e9                   ; 1: out %al,$0xe9
        ff c9                   ; dec %ecx
        75 fa                   ; jnz 1b
        f0 ff 04 25 04 05 00 00 ; lock incl 0x504
        83 3c 25 04 05 00 00 04 ; 2: cmpl $4,0x504
        75 f6                   ; jne 2b
        f4                      ; hlt
    ";
    for deliver in [false, true] {
        let mut machine = machine(
            4,
            listing,
            &[port(0xe9, 1, RouteTarget::Console { deliver })],
        );
        let text = Mutex::new(Vec::new());
        let outcome = run_all(&mut machine, &KickHandle::new(), |question| {
            if let Question::Console { bytes, .. } = question {
                text.lock().unwrap().extend_from_slice(bytes);
            }
            Answer::Done
        });
        let outcome = outcome.unwrap();
        let mut text = text.into_inner().unwrap();
        text.extend(outcome.undelivered.into_iter().flat_map(|(_, bytes)| bytes));
        text.extend(outcome.output.bytes);
        text.sort_unstable();
        let expected: Vec<u8> = (b'0'..b'4').flat_map(|digit| [digit; 1000]).collect();
        assert_eq!(text, expected);
    }
}

#[test]
fn a_kick_ends_all() {
    require!(LONG);
    let mut machine = machine(4, "eb fe ; 1: jmp 1b", &[]);
    let kick = KickHandle::new();
    let later = kick.clone();
    let kicker = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(20));
        later.kick(KickCause::Stop);
    });
    let outcome = run_all(&mut machine, &kick, |_| Answer::End).unwrap();
    assert_eq!(
        (outcome.end, outcome.vcpu),
        (End::Kicked(KickCause::Stop), None)
    );
    kicker.join().unwrap();
}

#[test]
fn a_question_that_waits_for_its_turn_ends_with_the_run() {
    require!(LONG);
    // One is asked and stays in its handler until the kick; the others wait for the same route.
    let listing = "
        e6 60 ; out %al,$0x60
        eb fe ; 1: jmp 1b
    ";
    let mut machine = machine(4, listing, &[port(0x60, 1, RouteTarget::Device)]);
    let kick = KickHandle::new();
    let asked = Mutex::new(0);
    let outcome = run_all(&mut machine, &kick, |_| {
        *asked.lock().unwrap() += 1;
        std::thread::sleep(std::time::Duration::from_millis(30));
        kick.kick(KickCause::Stop);
        Answer::Done
    });
    assert_eq!(outcome.unwrap().end, End::Kicked(KickCause::Stop));
    assert_eq!(*asked.lock().unwrap(), 1);
    // The others' writes were not lost.
    let all = Mutex::new(0);
    let kick = KickHandle::new();
    let outcome = run_all(&mut machine, &kick, |_| {
        let mut all = all.lock().unwrap();
        *all += 1;
        if *all == 3 {
            kick.kick(KickCause::Stop);
        }
        Answer::Done
    });
    assert!(outcome.is_ok());
    assert_eq!(*all.lock().unwrap(), 3);
}

#[test]
fn their_number_is_checked() {
    require!(LONG);
    for vcpus in [0, limits::MAX_VCPUS + 1] {
        let mut config = config(LONG, "f4 ; hlt", &[]);
        config.vcpus = vcpus;
        let error = Machine::new(config).unwrap_err();
        assert_eq!(error.code, ErrorCode::Limit);
        assert_eq!(error.message, format!("vcpus must be 1 to 64, got {vcpus}"));
    }
    let mut machine = machine(2, "f4 ; hlt", &[]);
    let mut end = |_: Question<'_>| Answer::End;
    let error = machine
        .run(&KickHandle::new(), LIMITS, &mut common::handler(&mut end))
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidOption);
    assert!(error.message.contains("2 vCPUs"), "{error}");
    let error = machine
        .run_together(&KickHandle::new(), LIMITS, &mut common::handlers([end]))
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidOption);
}

/// Ticks often, and ends for sure.
const TICKING: RunLimits = RunLimits {
    tick: Some(Duration::from_millis(1)),
    ..LIMITS
};

/// Waits for something that another vCPU brings about; whether it came.
fn comes(is_there: impl Fn() -> bool) -> bool {
    let begin = Instant::now();
    while !is_there() && begin.elapsed() < Duration::from_secs(300) {
        std::thread::yield_now();
    }
    is_there()
}

#[test]
fn a_tick_waits_for_nobody_who_is_being_asked() {
    require!(LONG);
    // Each writes to port 0x200 and its index.
    let listing = "
        66 ba 00 02 ; mov $0x200,%dx
        01 fa       ; add %edi,%edx
        ee          ; 1: out %al,(%dx)
        eb fd       ; jmp 1b
    ";
    let routes = [
        port(0x200, 1, RouteTarget::Device),
        port(0x201, 1, RouteTarget::Device),
        port(0xe9, 1, common::DELIVER),
    ];
    let mut machine = machine(2, listing, &routes);
    let (kick, asked, enough) = (KickHandle::new(), AtomicU32::new(0), AtomicBool::new(false));
    let wanted = common::affordable(5000) as u32;
    let handler = |question: Question<'_>| {
        match question {
            Question::Write { vcpu: 0, .. } => {
                asked.fetch_add(1, Ordering::SeqCst);
            }
            Question::Write { .. } => {
                let came = comes(|| asked.load(Ordering::SeqCst) >= wanted);
                enough.store(came, Ordering::SeqCst);
                kick.kick(KickCause::Stop);
            }
            _ => {}
        }
        Answer::Done
    };
    let handlers = [&handler, &handler];
    let outcome = machine
        .run_together(&kick, TICKING, &mut common::handlers(handlers))
        .unwrap();
    assert_eq!(outcome.end, End::Kicked(KickCause::Stop));
    assert!(enough.into_inner(), "asked {asked:?} times");
}

#[test]
fn text_of_one_goes_out_while_the_first_is_being_asked() {
    require!(LONG);
    // The first asks, the others print and spin.
    let listing = "
        85 ff       ; test %edi,%edi
        75 06       ; jne 1f
        66 ba 00 02 ; mov $0x200,%dx
        ee          ; out %al,(%dx)
        f4          ; hlt
        e6 e9       ; 1: out %al,$0xe9
        eb fe       ; 2: jmp 2b
    ";
    let routes = [
        port(0x200, 1, RouteTarget::Device),
        port(0xe9, 1, common::DELIVER),
    ];
    let mut machine = machine(2, listing, &routes);
    let (kick, heard, met) = (
        KickHandle::new(),
        AtomicBool::new(false),
        AtomicBool::new(false),
    );
    let handler = |question: Question<'_>| {
        match question {
            Question::Console { .. } => heard.store(true, Ordering::SeqCst),
            Question::Write { .. } => {
                met.store(comes(|| heard.load(Ordering::SeqCst)), Ordering::SeqCst);
                kick.kick(KickCause::Stop);
            }
            _ => {}
        }
        Answer::Done
    };
    let handlers = [&handler, &handler];
    machine
        .run_together(&kick, TICKING, &mut common::handlers(handlers))
        .unwrap();
    assert!(met.into_inner());
}

#[test]
fn a_processor_that_nobody_starts_waits_even_with_an_nmi() {
    require!(LONG);
    let mut config = config(LONG, "f4 ; 1: hlt\n eb fd ; jmp 1b", &[]);
    (config.vcpus, config.irqchip) = (2, true);
    let mut machine = Machine::new(config).unwrap();
    machine.interrupts().nmi(1).unwrap();
    let limits = RunLimits {
        timeout: Some(Duration::from_millis(200)),
        ..LIMITS
    };
    let handler = |_: Question<'_>| Answer::Done;
    let handlers = [&handler, &handler];
    let kick = KickHandle::new();
    let outcome = machine
        .run_together(&kick, limits, &mut common::handlers(handlers))
        .unwrap();
    assert_eq!(outcome.end, End::Kicked(KickCause::Timeout));
    // It is asked a thousand times a second at most, and none of that is a kick.
    let kicks = machine.counters().kicks.get();
    assert!(kicks < 20, "{kicks}");
}

/// Who was asked about which unclaimed access: each vCPU's own handler knows.
fn asked_late(listing: &str) -> (Machine, BTreeMap<u32, usize>) {
    let mut machine = machine(2, listing, &[port(0x60, 1, RouteTarget::Device)]);
    // Both are asked before either is answered, so that both ends come, and one of them too late.
    let both = std::sync::Barrier::new(2);
    let first = |question: Question<'_>| {
        assert!(
            matches!(question, Question::Unclaimed { .. }),
            "{question:?}"
        );
        both.wait();
        Answer::End
    };
    let kick = KickHandle::new();
    let outcome = machine
        .run_together(&kick, LIMITS, &mut common::handlers([&first, &first]))
        .unwrap();
    let ended = outcome.vcpu.unwrap();
    if matches!(outcome.end, End::Exit(ref record) if record.exit.is_read()) {
        machine.reply(u64::from(ended) + 0x40).unwrap();
    }
    let (kick, asked, seen) = (
        KickHandle::new(),
        Mutex::new(BTreeMap::new()),
        Mutex::new(BTreeMap::new()),
    );
    let handler = |vcpu: u32| {
        let (kick, asked, seen) = (&kick, &asked, &seen);
        move |question: Question<'_>| match question {
            Question::Unclaimed { exit, data } => {
                *asked.lock().unwrap().entry(vcpu).or_insert(0) += 1;
                assert_eq!(data, if exit.is_read() { [0] } else { [vcpu as u8] });
                Answer::Value(u64::from(vcpu) + 0x40)
            }
            Question::Write { vcpu, value, .. } => {
                let mut seen = seen.lock().unwrap();
                seen.insert(vcpu, value);
                if seen.len() == 2 {
                    kick.kick(KickCause::Stop);
                }
                Answer::Done
            }
            _ => Answer::Done,
        }
    };
    let outcome = machine.run_together(
        &kick,
        LIMITS,
        &mut common::handlers([handler(0), handler(1)]),
    );
    assert_eq!(outcome.unwrap().end, End::Kicked(KickCause::Stop));
    let asked = asked.into_inner().unwrap();
    assert_eq!(asked, BTreeMap::from([(1 - ended, 1)]));
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), [0, 1]);
    (machine, asked)
}

#[test]
fn an_unclaimed_write_that_came_too_late_asks_the_next_runs_handler() {
    require!(LONG);
    // To ports 0x61 and 0x60, then for ever.
    let listing = "
        89 f8 ; mov %edi,%eax
        e6 61 ; out %al,$0x61
        e6 60 ; out %al,$0x60
        eb fe ; 1: jmp 1b
    ";
    for _ in 0..10 {
        asked_late(listing);
    }
}

#[test]
fn an_unclaimed_read_that_came_too_late_asks_the_next_runs_handler() {
    require!(LONG);
    let listing = "
        e4 61 ; in $0x61,%al
        e6 60 ; out %al,$0x60
        eb fe ; 1: jmp 1b
    ";
    for _ in 0..10 {
        let (mut machine, _) = asked_late(listing);
        for index in 0..2 {
            let registers = machine.vcpu(index).unwrap().registers().unwrap();
            assert_eq!(registers.rax, u64::from(index) + 0x40);
        }
    }
}
