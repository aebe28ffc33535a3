//! A pause interrupts a run, which then continues; whatever ends a run comes before it.
// The helpers are tests, too: a panic is the report.
#![allow(clippy::unwrap_used, clippy::panic)]

#[macro_use]
mod common;

use std::thread;
use std::time::Duration;

use common::{LONG, machine, port};
use vmm::{
    At, End, ExitHandler, KickCause, KickHandle, LeftOpen, Machine, Outcome, Reply, RouteTarget,
    RunLimits, Unanswered,
};

const SPIN: &str = "
    eb fe ; 1: jmp 1b
";

/// One write, and a halt.
const WRITE: &str = "
    e6 e9 ; out %al,$0xe9
    f4    ; hlt
";

fn limits() -> RunLimits {
    RunLimits {
        timeout: Some(Duration::from_secs(300)),
        ..RunLimits::default()
    }
}

fn run(machine: &mut Machine, kick: &KickHandle, handler: &mut dyn ExitHandler) -> Outcome {
    machine.run(kick, limits(), handler).unwrap()
}

#[test]
fn any_cause_takes_the_place_of_a_pause_and_none_gives_way_to_it() {
    for cause in [
        KickCause::Stop,
        KickCause::Timeout,
        KickCause::Close,
        KickCause::Peer,
    ] {
        let kick = KickHandle::new();
        for next in [KickCause::Pause, cause, KickCause::Pause] {
            kick.kick(next);
        }
        assert_eq!(kick.requested(), Some(cause));
        assert!(!kick.resume());
        assert_eq!(kick.requested(), Some(cause));
    }
    let kick = KickHandle::new();
    assert!(!kick.resume());
    kick.kick(KickCause::Pause);
    assert_eq!(kick.requested(), Some(KickCause::Pause));
    assert!(kick.resume() && kick.requested().is_none());
}

#[test]
fn a_run_goes_on_after_a_pause_with_the_same_handle() {
    require!(LONG);
    let mut machine = machine(LONG, SPIN, &[]);
    let kick = KickHandle::new();
    for cause in [KickCause::Pause, KickCause::Pause, KickCause::Stop] {
        let outcome = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(2));
                kick.kick(cause);
            });
            run(&mut machine, &kick, &mut ())
        });
        assert_eq!(outcome.end, End::Kicked(cause));
        assert_eq!(kick.resume(), cause == KickCause::Pause);
    }
}

/// Sees a write, and answers it after a pause.
#[derive(Default)]
struct Late {
    kick: KickHandle,
    is_open: bool,
    seen: u32,
    /// What comes of it when the same is asked again.
    then: Option<Unanswered>,
}

impl ExitHandler for Late {
    fn write(&mut self, _: At, _: u64) -> Reply<()> {
        if std::mem::take(&mut self.is_open) {
            return self.then.map_or(Ok(()), Err);
        }
        self.seen += 1;
        self.is_open = true;
        self.kick.kick(KickCause::Pause);
        Err(Unanswered::Paused)
    }

    fn left_open(&self) -> LeftOpen {
        if self.is_open {
            LeftOpen::Answer
        } else {
            LeftOpen::Nothing
        }
    }
}

fn paused() -> (Machine, Late) {
    let mut machine = machine(LONG, WRITE, &[port(0xe9, 1, RouteTarget::Device)]);
    let mut late = Late::default();
    let kick = late.kick.clone();
    let outcome = run(&mut machine, &kick, &mut late);
    assert_eq!(outcome.end, End::Kicked(KickCause::Pause));
    assert_eq!((outcome.exits, late.seen), (1, 1));
    (machine, late)
}

#[test]
fn an_answer_after_a_pause_is_that_of_the_question_before_it() {
    require!(LONG);
    let (mut machine, mut late) = paused();
    let kick = late.kick.clone();
    assert!(kick.resume());
    let outcome = run(&mut machine, &kick, &mut late);
    assert_eq!(outcome.end.name(), "hlt");
    assert_eq!((outcome.exits, late.seen), (1, 1));
}

#[test]
fn what_was_seen_before_a_pause_is_settled_before_the_run_ends() {
    require!(LONG);
    // The answer was there, or the run did not wait for it: either way the write is done.
    for then in [None, Some(Unanswered::Interrupted)] {
        let (mut machine, mut late) = paused();
        let kick = late.kick.clone();
        late.then = then;
        kick.kick(KickCause::Stop);
        let outcome = run(&mut machine, &kick, &mut late);
        assert_eq!(outcome.end, End::Kicked(KickCause::Stop));
        assert!(!late.is_open);
        let outcome = run(&mut machine, &KickHandle::new(), &mut late);
        assert_eq!((outcome.end.name(), late.seen), ("hlt", 1));
    }
}

#[test]
fn text_waits_for_the_rest_of_the_run() {
    require!(LONG);
    let text = "
        b0 41 ; mov $'A',%al
        e6 e8 ; out %al,$0xe8
        e6 e9 ; out %al,$0xe9
        f4    ; hlt
    ";
    let console = RouteTarget::Console { deliver: false };
    let routes = [port(0xe8, 1, console), port(0xe9, 1, RouteTarget::Device)];
    let mut machine = machine(LONG, text, &routes);
    let mut late = Late::default();
    let kick = late.kick.clone();
    let outcome = run(&mut machine, &kick, &mut late);
    assert_eq!(outcome.end, End::Kicked(KickCause::Pause));
    assert!(outcome.output.bytes.is_empty());
    assert!(kick.resume());
    let outcome = run(&mut machine, &kick, &mut late);
    assert_eq!(outcome.output.bytes, b"A");
}
