//! A kick arrives although no more realtime signals can be queued: the limit counts those of all
//! processes of a user.
// Alone in its process, whose limit it lowers.
#![allow(unsafe_code, clippy::unwrap_used, clippy::panic)]

#[macro_use]
mod common;

use std::thread;
use std::time::Duration;

use common::{Answer, Question};
use common::{LONG, PROTECTED, USER, machine, port};
use vmm::{End, KickCause, KickHandle, RouteTarget, RunLimits};

const SPIN: &str = "
    eb fe ; 1: jmp 1b
";

/// Takes the process all entries in the queue.
fn forbid_queued_signals() {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the struct lives through the call.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_SIGPENDING, &raw const none) };
    assert_eq!(result, 0);
    // SAFETY: no precondition.
    let this_thread = unsafe { libc::pthread_self() };
    // SAFETY: the thread is alive; mask and handler do not matter for a signal that cannot be sent.
    let sent = unsafe { libc::pthread_kill(this_thread, libc::SIGRTMIN()) };
    assert_eq!(sent, libc::EAGAIN, "the limit does not hold");
}

/// The test ends in any case, so that the program says which one hung.
const LONG_ENOUGH: Duration = Duration::from_secs(300);

/// Runs in a thread of its own; whether it came to an end.
fn ends(run: impl FnOnce() + Send + 'static) -> bool {
    let thread = thread::spawn(run);
    let begin = std::time::Instant::now();
    while !thread.is_finished() && begin.elapsed() < LONG_ENOUGH {
        thread::sleep(Duration::from_millis(1));
    }
    thread.is_finished() && thread.join().is_ok()
}

#[test]
fn kicks_nudges_and_pokes_arrive_with_a_full_signal_queue() {
    require!(LONG, PROTECTED, USER);
    forbid_queued_signals();
    for cpu in [PROTECTED, LONG, USER] {
        let timed_out = ends(move || {
            let limits = RunLimits {
                timeout: Some(Duration::from_millis(20)),
                ..RunLimits::default()
            };
            let mut handler = |_: Question<'_>| Answer::Done;
            let outcome = machine(cpu, SPIN, &[]).run(
                &KickHandle::new(),
                limits,
                &mut common::handler(&mut handler),
            );
            assert_eq!(outcome.unwrap().end, End::Kicked(KickCause::Timeout));
        });
        assert!(timed_out, "time-out, {cpu:?}");
        let ticked = ends(move || {
            let limits = RunLimits {
                tick: Some(Duration::from_millis(5)),
                ..RunLimits::default()
            };
            let (kick, mut ticks) = (KickHandle::new(), 0);
            let mut handler = |_: Question<'_>| {
                ticks += 1;
                if ticks == 3 {
                    kick.kick(KickCause::Stop);
                }
                Answer::Done
            };
            let outcome =
                machine(cpu, SPIN, &[]).run(&kick, limits, &mut common::handler(&mut handler));
            assert_eq!(outcome.unwrap().end, End::Kicked(KickCause::Stop));
        });
        assert!(ticked, "ticks, {cpu:?}");
    }
    let poked = ends(|| {
        // Writes once, then spins; the NMI finds no table, and ends it as a triple fault.
        let listing = "
            e6 60 ; out %al,$0x60
            eb fe ; 1: jmp 1b
        ";
        let mut machine = machine(LONG, listing, &[port(0x60, 1, RouteTarget::Device)]);
        let (kick, interrupts) = (KickHandle::new(), machine.interrupts().clone());
        let mut handler = |_: Question<'_>| {
            let (kick, interrupts) = (kick.clone(), interrupts.clone());
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(20));
                interrupts.nmi(0).unwrap();
                kick.poke(0);
            });
            Answer::Done
        };
        let outcome = machine.run(
            &kick,
            RunLimits::default(),
            &mut common::handler(&mut handler),
        );
        assert_eq!(outcome.unwrap().end.name(), "shutdown");
    });
    assert!(poked, "a poke");
}
