//! A nudge and a tick make the run's thread look around; the run goes on.

#[macro_use]
mod common;

use std::thread;
use std::time::Duration;

use common::{Answer, Question};
use common::{Asked, DELIVER, FLAT, LIMITS, LONG, PROTECTED, USER, machine, port, try_run};
use vmm::{End, ErrorCode, KickCause, KickHandle, RouteTarget, RunLimits};

const SPIN: &str = "
    eb fe ; 1: jmp 1b
";

const SAY_HI_AND_SPIN: &str = "
    b0 68 ; mov $'h',%al
    e6 e9 ; out %al,$0xe9
    b0 69 ; mov $'i',%al
    e6 e9 ; out %al,$0xe9
    eb fe ; 1: jmp 1b
";

const TICKING: RunLimits = RunLimits {
    tick: Some(Duration::from_millis(1)),
    ..LIMITS
};

#[test]
fn each_nudge_is_a_tick_and_the_run_goes_on() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        let mut machine = machine(cpu, SPIN, &[]);
        let (kick, mut ticks) = (KickHandle::new(), 0);
        // Each tick asks for the next.
        kick.nudge();
        let outcome = try_run(&mut machine, &kick, |question| {
            assert_eq!(Asked::from(&question), Asked::Tick);
            ticks += 1;
            match ticks {
                100 => kick.kick(KickCause::Stop),
                _ => kick.nudge(),
            }
            Answer::Done
        });
        let outcome = outcome.unwrap();
        assert_eq!(
            (outcome.end, outcome.exits),
            (End::Kicked(KickCause::Stop), 0)
        );
        assert_eq!(ticks, 100, "{cpu:?}");
    }
}

#[test]
fn nudges_from_another_thread_arrive() {
    require!(LONG);
    let mut machine = machine(LONG, SPIN, &[]);
    let (kick, mut ticks) = (KickHandle::new(), 0);
    let outcome = thread::scope(|scope| {
        let nudger = scope.spawn(|| {
            while kick.requested().is_none() {
                kick.nudge();
                thread::sleep(Duration::from_micros(50));
            }
        });
        let outcome = try_run(&mut machine, &kick, |question| {
            assert_eq!(Asked::from(&question), Asked::Tick);
            ticks += 1;
            if ticks == 50 {
                kick.kick(KickCause::Stop);
            }
            Answer::Done
        });
        kick.kick(KickCause::Close);
        nudger.join().unwrap();
        outcome.unwrap()
    });
    assert_eq!((outcome.end, ticks), (End::Kicked(KickCause::Stop), 50));
}

#[test]
fn text_arrives_at_a_tick_while_the_guest_spins() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        let mut machine = machine(cpu, SAY_HI_AND_SPIN, &[port(0xe9, 1, DELIVER)]);
        let (kick, mut asked) = (KickHandle::new(), Vec::new());
        let mut text = 0;
        let mut handler = |question: Question<'_>| {
            let question = Asked::from(&question);
            if let Asked::Console(0, bytes) = &question {
                text += bytes.len();
            }
            if text == 2 && question == Asked::Tick {
                kick.kick(KickCause::Stop);
            }
            asked.push(question);
            Answer::Done
        };
        let outcome = machine
            .run(&kick, TICKING, &mut common::handler(&mut handler))
            .unwrap();
        assert_eq!(outcome.end, End::Kicked(KickCause::Stop), "{cpu:?}");
        assert_eq!(
            (outcome.output.bytes.len(), outcome.undelivered.len()),
            (0, 0)
        );
        let text: Vec<u8> = asked
            .iter()
            .filter_map(|question| match question {
                Asked::Console(0, bytes) => Some(bytes.as_slice()),
                _ => None,
            })
            .flatten()
            .copied()
            .collect();
        assert_eq!(text, b"hi");
        // Text comes first, then the tick that let it out.
        assert_eq!(asked.last(), Some(&Asked::Tick));
    }
}

#[test]
fn ticks_reach_a_guest_that_exits_all_the_time() {
    require!(PROTECTED);
    const FLOOD: &str = "
        e6 e9 ; 1: out %al,$0xe9
        eb fc ; jmp 1b
    ";
    let mut machine = machine(PROTECTED, FLOOD, &[port(0xe9, 1, RouteTarget::Discard)]);
    let (kick, mut ticks) = (KickHandle::new(), 0);
    let mut handler = |question: Question<'_>| {
        assert_eq!(Asked::from(&question), Asked::Tick);
        ticks += 1;
        if ticks == 5 {
            kick.kick(KickCause::Stop);
        }
        Answer::Done
    };
    let outcome = machine
        .run(&kick, TICKING, &mut common::handler(&mut handler))
        .unwrap();
    assert_eq!((outcome.end, ticks), (End::Kicked(KickCause::Stop), 5));
}

#[test]
fn a_nudge_changes_no_register() {
    require!(LONG);
    const GUEST: &str = "
        e6 e9 ; 1: out %al,$0xe9
        e2 fc ; loop 1b
        f4    ; hlt
    ";
    let mut machine = machine(LONG, GUEST, &[port(0xe9, 1, RouteTarget::Device)]);
    common::set(&mut machine, |registers| registers.rcx = 200);
    let (kick, mut writes, mut ticks) = (KickHandle::new(), 0, 0);
    let outcome = try_run(&mut machine, &kick, |question| {
        match Asked::from(&question) {
            Asked::Tick => ticks += 1,
            Asked::Write(..) => {
                writes += 1;
                kick.nudge();
            }
            other => panic!("{other:?}"),
        }
        Answer::Done
    });
    assert_eq!(common::exit(&outcome.unwrap()).name(), "hlt");
    assert_eq!((writes, ticks), (200, 200));
    assert_eq!(machine.registers().unwrap().rcx, 0);
}

#[test]
fn a_handler_that_fails_at_a_tick_fails_the_run() {
    require!(LONG);
    let mut machine = machine(LONG, SPIN, &[]);
    let kick = KickHandle::new();
    kick.nudge();
    let failed = try_run(&mut machine, &kick, |_| Answer::Failed);
    assert_eq!(failed.unwrap_err().code, ErrorCode::Handler);
}
