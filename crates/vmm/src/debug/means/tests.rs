#![allow(clippy::unwrap_used)]

use super::subject::{CODE, END, Subject};
use super::*;
use crate::kvm::exit::Exit;
use crate::kvm::vcpu_debug::control::GuestDebug;

/// `mov $100,%cl; 1: nop; dec %cl; jnz 1b`, and the end.
const LOOP: [u8; 7] = [0xb1, 100, 0x90, 0xfe, 0xc9, 0x75, 0xfb];
const ROUNDS: usize = 100;
/// The instruction of each round that is stopped at.
const STOP: u64 = 2;
/// Instructions of all of it, but for the end.
const INSTRUCTIONS: usize = 1 + 3 * ROUNDS;

const INT3: u8 = 0xcc;
const HLT: u8 = 0xf4;
const NOP: u8 = 0x90;

/// None without a KVM, which the test says.
fn subject(name: &str) -> Option<Subject> {
    match Host::get() {
        Ok(host) => Some(Subject::new(host).unwrap()),
        Err(error) => {
            println!("skipped: {name}: {}", error.message);
            None
        }
    }
}

/// Runs the loop with one byte replaced, over which the host goes by setting RIP; counts its hits.
fn hits(subject: &mut Subject, debug: GuestDebug, byte: u8, is_hit: fn(&Exit) -> bool) -> usize {
    subject.begin(&[&LOOP]).unwrap();
    subject.patch(STOP, byte).unwrap();
    subject.vcpu().set_debug(&debug).unwrap();
    let mut hits = 0;
    loop {
        let left = subject.enter().unwrap();
        if !is_hit(&left.exit) {
            return hits;
        }
        hits += 1;
        let mut registers = subject.vcpu().registers().unwrap();
        registers.rip = CODE + STOP + 1;
        subject.vcpu().set_registers(&registers).unwrap();
    }
}

#[test]
fn an_int3_that_is_claimed_ends_every_entry_at_it_and_one_that_is_not_ends_none() {
    let Some(mut subject) =
        subject("an_int3_that_is_claimed_ends_every_entry_at_it_and_one_that_is_not_ends_none")
    else {
        return;
    };
    let int3 = GuestDebug {
        int3: true,
        ..GuestDebug::default()
    };
    for place in Place::ALL {
        let _alarm = subject.go(place).unwrap();
        let debug = |exit: &Exit| matches!(exit, Exit::Debug { .. });
        let error = |exit: &Exit| matches!(exit, Exit::InternalError { suberror: 1, .. });
        let found = [
            hits(&mut subject, int3, INT3, debug),
            hits(&mut subject, int3, INT3, error),
        ];
        let wanted = match DebugMeans::get().unwrap().at(place).int3 {
            Some(Int3::Debug) => [ROUNDS, 0],
            Some(Int3::InternalError) => [0, ROUNDS],
            None => [0, 0],
        };
        assert_eq!(found, wanted, "{place:?}");
    }
}

#[test]
fn a_hlt_that_is_claimed_ends_every_entry_after_it() {
    let Some(mut subject) = subject("a_hlt_that_is_claimed_ends_every_entry_after_it") else {
        return;
    };
    for place in Place::ALL {
        let _alarm = subject.go(place).unwrap();
        let is_hlt = |exit: &Exit| *exit == Exit::Hlt;
        let found = hits(&mut subject, GuestDebug::default(), HLT, is_hlt);
        let is_claimed = DebugMeans::get().unwrap().at(place).hlt;
        assert_eq!(found, if is_claimed { ROUNDS } else { 0 }, "{place:?}");
    }
}

/// Steps until there is no debug exit any more; where each step came to.
fn steps(subject: &mut Subject) -> Vec<u64> {
    let step = GuestDebug {
        step: true,
        ..GuestDebug::default()
    };
    let mut trace = Vec::new();
    loop {
        subject.vcpu().set_debug(&step).unwrap();
        let left = subject.enter().unwrap();
        if !left.is_debug(1) {
            return trace;
        }
        trace.push(left.at);
    }
}

#[test]
fn steps_that_are_claimed_come_to_each_instruction_once() {
    let Some(mut subject) = subject("steps_that_are_claimed_come_to_each_instruction_once") else {
        return;
    };
    for place in Place::ALL {
        let _alarm = subject.go(place).unwrap();
        subject.begin(&[&LOOP]).unwrap();
        let trace = steps(&mut subject);
        if !DebugMeans::get().unwrap().at(place).step {
            assert!(trace.is_empty(), "{place:?}");
            continue;
        }
        let rounds = trace.iter().filter(|at| **at == STOP).count();
        assert_eq!((trace.len(), rounds), (INSTRUCTIONS, ROUNDS), "{place:?}");
    }
}

#[test]
fn a_step_follows_whatever_loads_the_flags() {
    let Some(mut subject) = subject("a_step_follows_whatever_loads_the_flags") else {
        return;
    };
    for place in Place::ALL {
        let _alarm = subject.go(place).unwrap();
        if !DebugMeans::get().unwrap().at(place).step {
            continue;
        }
        // push $2; popf; nop; out %al,$0x10; nop; nop
        let code = [&[0x6a, 2, 0x9d, NOP][..], &END, &[NOP, NOP]];
        subject.begin(&code).unwrap();
        assert_eq!(steps(&mut subject), [2, 3, 4], "{place:?}");
        // The host sets registers as they are.
        let registers = subject.vcpu().registers().unwrap();
        subject.vcpu().complete().unwrap();
        let completed = subject.vcpu().registers().unwrap();
        assert!(completed.rip >= registers.rip);
        subject.vcpu().set_registers(&completed).unwrap();
        assert_eq!(steps(&mut subject), [7, 8], "{place:?}");
    }
}
