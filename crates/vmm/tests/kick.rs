//! A kick ends the run it is for, at whatever moment it comes, and no other.
// The helpers are tests, too: a panic is the report.
#![allow(clippy::unwrap_used, clippy::panic)]

#[macro_use]
mod common;

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::Answer;
use common::{FLAT, LONG, PROTECTED, USER, code, exit, gpa, machine, port, run, try_run};
use vmm::{End, KickCause, KickHandle, Machine, Outcome, RouteTarget, RunLimits};

const SPIN: &str = "
    eb fe ; 1: jmp 1b
";

/// One exit after another.
const FLOOD: &str = "
    e6 e9 ; 1: out %al,$0xe9
    eb fc ; jmp 1b
";

/// Reads memory-mapped registers for ever.
const POLL: &str = "
    bb 00 00 00 d0 ; mov $0xd0000000,%ebx
    48 8b 03       ; 1: mov (%rbx),%rax
    eb fb          ; jmp 1b
";

fn kicked(outcome: &Outcome) -> KickCause {
    match outcome.end {
        End::Kicked(cause) => cause,
        ref end => panic!("{end:?}"),
    }
}

fn spin(machine: &mut Machine, kick: &KickHandle) -> Outcome {
    try_run(machine, kick, |_| Answer::Done).unwrap()
}

/// Pseudo-random numbers, the same in every run (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Passes 0 to 50 µs.
fn delay(random: &mut Random) {
    let (begin, delay) = (Instant::now(), Duration::from_nanos(random.below(50_000)));
    while begin.elapsed() < delay {
        std::hint::spin_loop();
    }
}

/// Runs `machine` so often, each run being kicked at a moment of its own: before it begins, while
/// it enters the guest, and later.
fn assert_no_kick_is_lost(machine: &mut Machine, runs: u32) {
    let (sender, receiver) = mpsc::channel::<KickHandle>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut random = Random(0x9e37_79b9_7f4a_7c15);
            for handle in receiver {
                delay(&mut random);
                handle.kick(KickCause::Stop);
            }
        });
        // Dropped before the scope waits for the thread, on a failure too.
        let sender = sender;
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        for index in 0..runs {
            let kick = KickHandle::new();
            sender.send(kick.clone()).unwrap();
            delay(&mut random);
            let cause = kicked(&spin(machine, &kick));
            // A lost kick would leave it to the watchdog.
            assert_eq!(cause, KickCause::Stop, "run {index}");
        }
    });
}

#[test]
fn ten_thousand_kicks_of_a_spinning_guest_lose_none() {
    require!(LONG);
    assert_no_kick_is_lost(&mut machine(LONG, SPIN, &[]), 10_000);
}

#[test]
fn kicks_of_a_guest_in_ring_3_lose_none() {
    require!(USER);
    assert_no_kick_is_lost(&mut machine(USER, SPIN, &[]), 2_000);
}

#[test]
fn kicks_of_a_guest_that_exits_all_the_time_lose_none() {
    require!(PROTECTED, LONG);
    for target in [RouteTarget::Discard, RouteTarget::Device] {
        let mut port_machine = machine(PROTECTED, FLOOD, &[port(0xe9, 1, target)]);
        assert_no_kick_is_lost(&mut port_machine, 1_000);
        let mut mmio_machine = machine(LONG, POLL, &[gpa(0xd000_0000, 8, target)]);
        assert_no_kick_is_lost(&mut mmio_machine, 1_000);
    }
}

#[test]
fn a_kick_before_the_run_ends_it_before_the_first_instruction() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        for cause in [KickCause::Stop, KickCause::Timeout, KickCause::Close] {
            let mut machine = machine(cpu, FLOOD, &[]);
            let kick = KickHandle::new();
            kick.kick(cause);
            assert_eq!(kick.requested(), Some(cause));
            let outcome = spin(&mut machine, &kick);
            assert_eq!((kicked(&outcome), outcome.exits), (cause, 0));
            assert_eq!(machine.registers().unwrap().rip, 0, "{cpu:?}");
        }
    }
}

#[test]
fn the_first_cause_counts() {
    require!(LONG);
    let kick = KickHandle::new();
    for cause in [KickCause::Close, KickCause::Stop, KickCause::Timeout] {
        kick.kick(cause);
    }
    let outcome = spin(&mut machine(LONG, SPIN, &[]), &kick);
    assert_eq!(kicked(&outcome), KickCause::Close);
}

#[test]
fn a_close_takes_the_place_of_any_cause() {
    require!(LONG);
    for earlier in [KickCause::Stop, KickCause::Timeout, KickCause::Peer] {
        let kick = KickHandle::new();
        for cause in [earlier, KickCause::Close, earlier] {
            kick.kick(cause);
        }
        assert_eq!(kick.requested(), Some(KickCause::Close));
        let outcome = spin(&mut machine(LONG, SPIN, &[]), &kick);
        assert_eq!(kicked(&outcome), KickCause::Close);
    }
}

#[test]
fn another_threads_cause_is_the_outcomes() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        for cause in [KickCause::Stop, KickCause::Timeout, KickCause::Close] {
            let mut machine = machine(cpu, SPIN, &[]);
            let kick = KickHandle::new();
            let outcome = thread::scope(|scope| {
                scope.spawn(|| {
                    thread::sleep(Duration::from_millis(2));
                    kick.kick(cause);
                });
                spin(&mut machine, &kick)
            });
            assert_eq!(kicked(&outcome), cause, "{cpu:?}");
        }
    }
}

#[test]
fn a_timeout_ends_a_spinning_guest() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        let mut machine = machine(cpu, SPIN, &[]);
        for timeout in [Duration::ZERO, Duration::from_millis(20)] {
            let limits = RunLimits {
                timeout: Some(timeout),
                ..RunLimits::default()
            };
            let handler = &mut |_: common::Question<'_>| Answer::Done;
            let outcome = machine
                .run(&KickHandle::new(), limits, &mut common::handler(handler))
                .unwrap();
            assert_eq!(kicked(&outcome), KickCause::Timeout, "{cpu:?}");
            assert!(outcome.duration >= timeout, "{:?}", outcome.duration);
        }
    }
}

#[test]
fn a_handler_may_kick_its_own_run() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        let mut machine = machine(cpu, FLOOD, &[port(0xe9, 1, RouteTarget::Device)]);
        let (kick, mut asked) = (KickHandle::new(), 0);
        let outcome = try_run(&mut machine, &kick, |_| {
            asked += 1;
            if asked == 3 {
                kick.kick(KickCause::Stop);
            }
            Answer::Done
        });
        assert_eq!(kicked(&outcome.unwrap()), KickCause::Stop, "{cpu:?}");
        assert_eq!(asked, 3);
    }
}

#[test]
fn a_late_kick_does_nothing_to_the_next_run() {
    require!(LONG);
    const GUEST: &str = "
        b9 64 00 00 00 ; mov $100,%ecx
        e6 e9          ; 1: out %al,$0xe9
        e2 fc          ; loop 1b
        f4             ; hlt
    ";
    let mut machine = machine(LONG, GUEST, &[port(0xe9, 1, RouteTarget::Device)]);
    let finished = KickHandle::new();
    let mut stop = |_: common::Question<'_>| {
        finished.kick(KickCause::Stop);
        Answer::Done
    };
    let outcome = machine
        .run(&finished, common::LIMITS, &mut common::handler(&mut stop))
        .unwrap();
    assert_eq!(kicked(&outcome), KickCause::Stop);
    // From the next run's own handler: the worst moment there is.
    let mut asked = 0;
    let outcome = try_run(&mut machine, &KickHandle::new(), |_| {
        asked += 1;
        finished.kick(KickCause::Close);
        finished.nudge();
        Answer::Done
    });
    assert_eq!((exit(&outcome.unwrap()).name(), asked), ("hlt", 99));
}

#[test]
fn a_kicked_guest_goes_on_where_it_was() {
    require!(USER);
    /// Counts twice, and compares; shows the count in memory, and continues until the next byte is
    /// set.
    const GUEST: &str = "
        48 ff c1                ; 1: inc %rcx
        48 ff c2                ; inc %rdx
        48 39 ca                ; cmp %rcx,%rdx
        75 14                   ; jne 2f
        48 89 0c 25 00 05 00 00 ; mov %rcx,0x500
        80 3c 25 08 05 00 00 00 ; cmpb $0,0x508
        74 e3                   ; je 1b
        b0 2a                   ; mov $42,%al
        e6 f4                   ; 2: out %al,$0xf4
    ";
    let mut machine = machine(USER, GUEST, &[port(0xf4, 1, RouteTarget::Stop)]);
    let memory = Arc::clone(machine.memory());
    let count = || {
        let mut bytes = [0; 8];
        memory.read(0x500, &mut bytes).unwrap();
        u64::from_le_bytes(bytes)
    };
    let mut before = 0;
    for _ in 0..20 {
        let kick = KickHandle::new();
        let outcome = thread::scope(|scope| {
            scope.spawn(|| {
                // In the middle of its work; a guest that stands still is the watchdog's.
                while count() == before && kick.requested().is_none() {
                    thread::yield_now();
                }
                kick.kick(KickCause::Stop);
            });
            spin(&mut machine, &kick)
        });
        assert_eq!(kicked(&outcome), KickCause::Stop);
        assert!(count() > before);
        before = count();
    }
    memory.write(0x508, &[1]).unwrap();
    assert_eq!(common::exit_code(&run(&mut machine)), 42);
    assert_eq!(machine.registers().unwrap().rcx, count());
}

#[test]
fn any_thread_may_run_the_machine() {
    require!(LONG);
    const GUEST: &str = "
        ff c0 ; inc %eax
        f4    ; hlt
        ff c0 ; inc %eax
        f4    ; hlt
    ";
    assert_eq!(code(GUEST)[2], 0xf4);
    let mut machine = machine(LONG, GUEST, &[]);
    assert_eq!(exit(&run(&mut machine)).name(), "hlt");
    let machine = thread::spawn(move || {
        assert_eq!(exit(&run(&mut machine)).name(), "hlt");
        machine
    });
    assert_eq!(machine.join().unwrap().registers().unwrap().rax, 2);
}
