//! What is counted: exits by kind, items by route, exits of one run.

#[macro_use]
mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Answer, Question};
use common::{CONSOLE, LONG, exit, gpa, machine, port, run, run_with, set};
use vmm::{Exit, KickHandle, RouteTarget, RunLimits};

/// Three writes and one read of port 0x60, one of 0xd0000000 each way, one halt.
const GUEST: &str = "
    b9 03 00 00 00 ; mov $3,%ecx
    e6 60          ; 1: out %al,$0x60
    e2 fc          ; loop 1b
    e4 60          ; in $0x60,%al
    bb 00 00 00 d0 ; mov $0xd0000000,%ebx
    89 03          ; mov %eax,(%rbx)
    8b 03          ; mov (%rbx),%eax
    f4             ; hlt
";

/// Counts of pio-out, pio-in, mmio-write, mmio-read, hlt.
const EXPECTED: [u64; 5] = [3, 1, 1, 1, 1];

#[test]
fn every_exit_is_counted_by_its_kind() {
    require!(LONG);
    let routes = [
        port(0x60, 1, RouteTarget::Count),
        gpa(0xd000_0000, 8, RouteTarget::Device),
    ];
    let mut machine = machine(LONG, GUEST, &routes);
    let counters = Arc::clone(machine.counters());
    let outcome = run_with(&mut machine, |_| Answer::Done);
    assert_eq!((exit(&outcome), outcome.exits), (&Exit::Hlt, 7));
    let mut expected = [0; Exit::KINDS.len()];
    expected[..5].copy_from_slice(&EXPECTED);
    let counts = |of: &vmm::Counters| of.exits.each_ref().map(vmm::Counter::get);
    assert_eq!(counts(&counters), expected);
    assert_eq!(counters.total_exits(), 7);
    let routes = |route: &vmm::RouteCounters| (route.reads.get(), route.writes.get());
    let by_route: Vec<_> = counters
        .routes()
        .iter()
        .map(|(_, counters)| routes(counters))
        .collect();
    assert_eq!(by_route, [(1, 3), (1, 1)]);
    // They outlive the machine.
    drop(machine);
    assert_eq!(counts(&counters), expected);
}

#[test]
fn time_in_the_guest_is_taken_only_when_asked() {
    require!(LONG);
    // eb fe  1: jmp 1b
    let mut machine = machine(LONG, "eb fe ;", &[]);
    let counters = Arc::clone(machine.counters());
    let mut run = |time_kvm_run| {
        let limits = RunLimits {
            timeout: Some(Duration::from_millis(20)),
            time_kvm_run,
            ..RunLimits::default()
        };
        let begin = Instant::now();
        let mut end = |_: Question<'_>| Answer::End;
        machine
            .run(&KickHandle::new(), limits, &mut common::handler(&mut end))
            .unwrap();
        begin.elapsed().as_nanos() as u64
    };
    run(false);
    assert_eq!(counters.kvm_run_ns.get(), 0);
    // A run that gets its processor late is not long in the guest, or not there at all.
    let is_most = (2..100).any(|runs| {
        let before = counters.kvm_run_ns.get();
        let whole = run(true);
        let inside = counters.kvm_run_ns.get() - before;
        assert!(inside <= whole, "{inside} of {whole}");
        assert!(counters.kicks.get() <= runs);
        inside >= whole / 10
    });
    assert!(is_most && counters.kicks.get() > 0);
}

#[test]
fn an_outcome_counts_the_exits_of_its_own_run() {
    require!(LONG);
    let mut machine = machine(LONG, GUEST, &[]);
    let mut exits = Vec::new();
    loop {
        let outcome = run(&mut machine);
        exits.push(outcome.exits);
        match exit(&outcome) {
            Exit::Hlt => break,
            Exit::PioIn(_) | Exit::MmioRead(_) => machine.reply(0).unwrap(),
            _ => {}
        }
    }
    assert_eq!(exits, [1; 7]);
    assert_eq!(machine.counters().total_exits(), 7);
}

#[test]
fn a_string_instruction_counts_its_items_whatever_the_exits() {
    require!(LONG);
    const STRINGS: &str = "
        66 f3 6f       ; rep outsw (%rsi),(%dx)
        b9 bc 02 00 00 ; mov $700,%ecx
        f3 6d          ; rep insl (%dx),(%rdi)
        f4             ; hlt
    ";
    for target in [
        CONSOLE,
        RouteTarget::Count,
        RouteTarget::Constant(1),
        RouteTarget::Device,
    ] {
        let mut machine = machine(LONG, STRINGS, &[port(0x60, 1, target)]);
        set(&mut machine, |registers| {
            (registers.rsi, registers.rdi) = (0x1000, 0x2000);
            (registers.rcx, registers.rdx) = (300, 0x60);
        });
        let outcome = run_with(&mut machine, |_| Answer::Done);
        assert_eq!(exit(&outcome), &Exit::Hlt);
        let route = common::counts(&machine, 0);
        assert_eq!(
            (route.writes.get(), route.reads.get()),
            (300, 700),
            "{target:?}"
        );
        assert_eq!(outcome.exits, machine.counters().total_exits());
    }
}
