//! A bug of ours in the middle of a run: the run ends with `Internal`, and the machine does nothing
//! any more.
// A panic is what is tested.
#![allow(clippy::unwrap_used, clippy::panic)]

#[macro_use]
mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{Answer, Question};
use common::{LONG, affordable, config, machine, port, try_run};
use vmm::{At, ErrorCode, ExitHandler, KickHandle, Machine, MachineConfig, Reply, RouteTarget};

/// Asks once, and stores what it got.
const READ: &str = "
    e4 60 ; in $0x60,%al
    f4    ; hlt
";

#[test]
fn after_a_panic_the_guest_never_goes_on_with_a_value_that_nobody_gave() {
    require!(LONG);
    let mut machine = machine(LONG, READ, &[port(0x60, 1, RouteTarget::Device)]);
    let kick = KickHandle::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        try_run(&mut machine, &kick, |_| panic!("on purpose"))
    }));
    assert!(panicked.is_err());
    let mut asked = 0;
    for _ in 0..2 {
        let error = try_run(&mut machine, &KickHandle::new(), |_| {
            asked += 1;
            Answer::Value(7)
        });
        let error = error.unwrap_err();
        assert_eq!((error.code, error.errno), (ErrorCode::Internal, None));
        assert_eq!(error.code.name(), "ERR_INTERNAL");
    }
    assert_eq!(asked, 0);
}

/// Panics when its vCPU asks.
struct Panics(bool);

impl ExitHandler for Panics {
    fn read(&mut self, _: At) -> Reply<Option<u64>> {
        assert!(!self.0, "on purpose");
        Ok(Some(1))
    }
}

#[test]
fn a_panic_on_one_of_several_vcpus_ends_the_run_of_all() {
    require!(LONG);
    const ASK: &str = "
        e4 60 ; 1: in $0x60,%al
        eb fc ; jmp 1b
    ";
    for panics in [[true, false], [false, true]] {
        let mut machine = Machine::new(MachineConfig {
            vcpus: 2,
            ..config(LONG, ASK, &[port(0x60, 1, RouteTarget::Device)])
        })
        .unwrap();
        let kick = KickHandle::new();
        let mut handlers = panics.map(Panics);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            machine.run_together(&kick, common::LIMITS, &mut handlers)
        }));
        assert!(panicked.is_err());
        let mut handlers = [Panics(false), Panics(false)];
        let error = machine
            .run_together(&KickHandle::new(), common::LIMITS, &mut handlers)
            .unwrap_err();
        assert_eq!(error.code, ErrorCode::Internal);
    }
}

#[test]
fn other_machines_run_on() {
    require!(LONG);
    for _ in 0..affordable(10) {
        let mut broken = machine(LONG, READ, &[port(0x60, 1, RouteTarget::Device)]);
        let run = || try_run(&mut broken, &KickHandle::new(), |_| panic!("on purpose"));
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        let mut whole = machine(LONG, READ, &[port(0x60, 1, RouteTarget::Device)]);
        try_run(&mut whole, &KickHandle::new(), |question| match question {
            Question::Read { .. } => Answer::Value(7),
            _ => Answer::End,
        })
        .unwrap();
        assert_eq!(whole.registers().unwrap().rax & 0xff, 7);
    }
}
