//! Signals of a process from outside, on the real KVM, and how they meet calls that wait, runs that
//! compute, snapshots, and a caller that watches all calls.
#![allow(clippy::unwrap_used, clippy::panic)] // in helpers of tests a panic is the report

mod native;

use std::time::Duration;

use native::{BASE, Code, ENTRY, TELL, call, process, run, run_for, told};
use vmm::{Machine, UserStop, WatchedCalls};

const SIGACTION: u32 = 13;
const SIGRETURN: u32 = 15;
const PAUSE: u32 = 34;
const KILL: u32 = 62;
const SIGSUSPEND: u32 = 130;
/// A call that waits, and is made again after a handler: `read` of the standard input.
const READ: u32 = 0;
const PROCESS: u64 = 2;
const RESTORER: u64 = 0x0400_0000;
const RESTART: u64 = 0x1000_0000;
const EINTR: u64 = 4_u64.wrapping_neg();
/// Signals.
const USR1: u32 = 10;
const TERM: u32 = 15;
const CHLD: u32 = 17;
/// Where handler, restorer and data are.
const HANDLER: u64 = BASE + 0x8000;
const RESTORE: u64 = BASE + 0x9000;
const DATA: u64 = BASE + 0xa000;
/// What the handler tells.
const HANDLED: u64 = 0x4a;

/// A process of this code. Its handler tells `HANDLED` and returns.
fn machine(code: Code) -> Machine {
    let mut machine = process(&code.0);
    let handler = Code::new().call(TELL, &[HANDLED]).bytes(&[0xc3]);
    machine.user_write(HANDLER, &handler.0).unwrap();
    let restore = Code::new().call(SIGRETURN, &[]);
    machine.user_write(RESTORE, &restore.0).unwrap();
    machine
}

/// `rt_sigaction`.
fn handle(code: Code, signal: u32, flags: u64) -> Code {
    let at = DATA + 0x100;
    let words = [HANDLER, flags | RESTORER, RESTORE, 0];
    let code = words.iter().zip(0..).fold(code, |code, (word, index)| {
        code.store_word(at + index * 8, *word)
    });
    code.call(SIGACTION, &[signal.into(), at, 0, 8])
}

/// mov rdi, rax; the host is told.
fn tell_result(code: Code) -> Code {
    code.bytes(&[0x48, 0x89, 0xc7]).call_as_is(TELL)
}

fn ended_by(machine: &mut Machine) -> u32 {
    let outcome = run(machine);
    match machine.user_stop() {
        Some(UserStop::Killed { signal }) => *signal,
        other => panic!("{other:?} {outcome:?}"),
    }
}

#[test]
fn a_signal_from_outside_interrupts_a_call_that_waits() {
    for (number, flags, again) in [
        (READ, 0, false),
        (READ, RESTART, true),
        (PAUSE, RESTART, false),
    ] {
        let code = handle(Code::new(), USR1, flags).call(number, &[0, 0, 0]);
        let mut machine = machine(tell_result(code));
        assert_eq!(call(&mut machine).0, u64::from(number));
        // What is ignored by default interrupts nothing.
        assert!(!machine.user_signal(CHLD).unwrap());
        assert!(machine.user_signal(USR1).unwrap());
        machine.user_answer(EINTR).unwrap();
        assert_eq!(told(&mut machine), HANDLED);
        if again {
            assert_eq!(call(&mut machine).0, u64::from(number));
            machine.user_answer(3).unwrap();
            assert_eq!(told(&mut machine), 3, "{number}");
        } else {
            assert_eq!(told(&mut machine), EINTR, "{number}");
        }
    }
}

#[test]
fn a_call_that_waits_for_a_signal_blocks_what_it_says() {
    // USR1 and TERM are blocked, and sigsuspend waits for USR1 alone.
    let both = 1 << (USR1 - 1) | 1 << (TERM - 1);
    let code = handle(Code::new(), USR1, 0).store_word(DATA, both);
    let code = code
        .call(14, &[0, DATA, 0, 8])
        .store_word(DATA, 1 << (TERM - 1));
    let code = tell_result(code.call(SIGSUSPEND, &[DATA, 8]));
    // What is blocked afterwards.
    let code = code.call(14, &[0, 0, DATA, 8]).tell_word(DATA);
    let mut machine = machine(code);
    assert_eq!(call(&mut machine).0, u64::from(SIGSUSPEND));
    assert!(!machine.user_signal(TERM).unwrap());
    assert!(machine.user_signal(USR1).unwrap());
    machine.user_answer(EINTR).unwrap();
    assert_eq!(told(&mut machine), HANDLED);
    assert_eq!(told(&mut machine), EINTR);
    assert_eq!(told(&mut machine), both);
}

#[test]
fn a_signal_without_a_handler_ends_the_next_run() {
    let mut machine = machine(Code::new().call(TELL, &[1]));
    assert_eq!(told(&mut machine), 1);
    assert!(machine.user_signal(TERM).unwrap());
    let outcome = run(&mut machine);
    assert_eq!(
        machine.user_stop(),
        Some(&UserStop::Killed { signal: TERM })
    );
    assert_eq!(outcome.exits, 0);
    for none in [0, 65, u32::MAX] {
        machine.user_signal(none).unwrap_err();
    }
}

#[test]
fn a_program_that_computes_is_interrupted_where_it_is() {
    // L: inc r12; jmp L, which the handler leaves by a jump to what tells.
    let code = handle(Code::new(), USR1, 0);
    let at = code.0.len() as u64;
    let code = code.bytes(&[0x49, 0xff, 0xc4, 0xeb, 0xfb]);
    let mut machine = machine(code);
    let computes = |machine: &mut Machine| {
        let before = machine.registers().unwrap().r12;
        for _ in 0..1000 {
            run_for(machine, Duration::from_millis(60));
            assert_eq!(machine.user_stop(), None);
            let registers = machine.registers().unwrap();
            if registers.r12 > before {
                assert!((ENTRY + at..ENTRY + at + 5).contains(&registers.rip));
                return;
            }
        }
        panic!("{:?}", machine.registers());
    };
    computes(&mut machine);
    assert!(machine.user_signal(USR1).unwrap());
    assert_eq!(told(&mut machine), HANDLED);
    computes(&mut machine);
    assert!(machine.user_signal(9).unwrap());
    assert_eq!(ended_by(&mut machine), 9);
}

#[test]
fn a_snapshot_within_a_handler_goes_back_from_it() {
    // movq xmm3, r12 before, movq rdi, xmm3 after.
    let code = handle(Code::new(), USR1, 0).set(12, 0x5eed);
    let code = code.bytes(&[0x66, 0x49, 0x0f, 0x6e, 0xdc]);
    let code = code.call(KILL, &[PROCESS, USR1.into()]);
    let code = code.bytes(&[0x66, 0x48, 0x0f, 0x7e, 0xdf]).call_as_is(TELL);
    let mut machine = machine(code);
    assert_eq!(told(&mut machine), HANDLED);
    let snapshot = machine.snapshot().unwrap();
    let mut forked = Machine::from_snapshot(&snapshot, &[]).unwrap();
    for _ in 0..3 {
        for machine in [&mut machine, &mut forked] {
            assert_eq!(told(machine), 0x5eed);
            machine.restore(&snapshot).unwrap();
            machine.user_answer(0).unwrap();
        }
    }
}

#[test]
fn a_caller_that_watches_all_calls_changes_nothing() {
    let code = handle(Code::new(), USR1, 0).set(12, 0x5eed);
    let code = code.bytes(&[0x66, 0x49, 0x0f, 0x6e, 0xdc]);
    let code = tell_result(code.call(KILL, &[PROCESS, USR1.into()]));
    let code = code.bytes(&[0x66, 0x48, 0x0f, 0x7e, 0xdf]).call_as_is(TELL);
    let mut machine = machine(code.call(KILL, &[PROCESS, 9]));
    machine.user_watch(WatchedCalls::All).unwrap();
    let mut seen = Vec::new();
    let signal = loop {
        run(&mut machine);
        match machine.user_stop().cloned() {
            Some(UserStop::Call {
                number, arguments, ..
            }) => {
                seen.push((number, arguments[0]));
                let value = machine.user_go_on().unwrap();
                if let Some(UserStop::Killed { signal }) = machine.user_stop() {
                    break *signal;
                }
                machine.user_answer(value.unwrap_or_default()).unwrap();
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(signal, 9);
    let seen: Vec<_> = seen
        .iter()
        .map(|(number, first)| (*number as u32, *first))
        .collect();
    let at = |number: u32| seen.iter().position(|(found, _)| *found == number).unwrap();
    assert!(at(SIGACTION) < at(KILL) && at(KILL) < at(TELL) && at(TELL) < at(SIGRETURN));
    let told: Vec<_> = seen.iter().filter(|(number, _)| *number == TELL).collect();
    assert_eq!(told, [&(TELL, HANDLED), &(TELL, 0), &(TELL, 0x5eed)]);
}

#[test]
fn a_library_has_no_signals() {
    let code = Code::new().call(KILL, &[PROCESS, 9]);
    let mut machine = native::machine(&code.0);
    assert_eq!(call(&mut machine).0, u64::from(KILL));
    assert!(!machine.user_signal(9).unwrap());
    machine.user_answer(0).unwrap();
    run(&mut machine);
    assert_eq!(machine.user_stop(), None);
}
