//! A program with a clock and chance of its own, on the real KVM.
#![allow(clippy::unwrap_used, clippy::panic)] // in helpers of tests a panic is the report

mod native;

use std::time::Instant;

use native::{BASE, Code, image, run, told};
use vmm::{CpuMode, Machine, MachineConfig, UserConfig, UserFiles, UserStop};

const NANOSLEEP: u32 = 35;
const CLOCK_GETTIME: u32 = 228;
const CLOCK_NANOSLEEP: u32 = 230;
const GETRANDOM: u32 = 318;
const REALTIME: u64 = 0;
const MONOTONIC: u64 = 1;
const ABSOLUTE: u64 = 1;
const DATA: u64 = BASE + 0xa000;
const TIME: u64 = DATA + 0x100;
/// 2023-11-14 22:13:20.5 UTC, in milliseconds.
const DATE: i64 = 1_700_000_000_500;

fn machine(code: &Code, clock: Option<i64>, seed: Option<u64>) -> Machine {
    let mut config = MachineConfig::new(CpuMode::Long, image(&code.0));
    config.memory_bytes = 16 << 20;
    config.user = Some(UserConfig {
        clock,
        seed,
        ..UserConfig::default()
    });
    Machine::new(config).unwrap()
}

/// Seconds, then nanoseconds.
fn tell_time(code: Code, clock: u64) -> Code {
    let code = code.call(CLOCK_GETTIME, &[clock, TIME]).tell_word(TIME);
    code.tell_word(TIME + 8)
}

#[test]
fn time_passes_by_what_is_slept_and_at_once() {
    let code = tell_time(tell_time(Code::new(), REALTIME), MONOTONIC);
    let code = code
        .store_word(DATA, 3600)
        .store_word(DATA + 8, 250_000_000);
    let code = code.call(NANOSLEEP, &[DATA, 0]);
    let code = tell_time(tell_time(code, REALTIME), MONOTONIC);
    let code = code.store_word(DATA, 1_700_009_999).store_word(DATA + 8, 0);
    let code = code.call(CLOCK_NANOSLEEP, &[REALTIME, ABSOLUTE, DATA, 0]);
    let mut machine = machine(&tell_time(code, REALTIME), Some(DATE), None);
    let start = Instant::now();
    let mut time = || (told(&mut machine), told(&mut machine));
    assert_eq!(time(), (1_700_000_000, 500_000_000));
    assert_eq!(time(), (0, 1000));
    assert_eq!(time(), (1_700_003_600, 750_000_000));
    assert_eq!(time(), (3600, 250_002_000));
    assert_eq!(time(), (1_700_009_999, 0));
    assert!(start.elapsed().as_secs() < 3600);
}

#[test]
fn what_waits_with_a_time_waits_for_that_alone() {
    const POLL: u32 = 7;
    const PPOLL: u32 = 271;
    const FUTEX: u32 = 202;
    // FUTEX_WAIT for 7 seconds, then FUTEX_WAIT_BITSET until 1000 of the monotonic clock.
    let code = Code::new().call(POLL, &[0, 0, 2500]);
    let code = code.store_word(DATA, 7).store_word(DATA + 8, 0);
    let code = tell_time(code.call(PPOLL, &[0, 0, DATA, 0, 8]), MONOTONIC);
    let code = code.call(FUTEX, &[DATA + 0x40, 0x80, 0, DATA, 0, 0]);
    let code = tell_time(code, MONOTONIC).store_word(DATA, 1000);
    let code = code.call(FUTEX, &[DATA + 0x40, 0x89, 0, DATA, 0, u64::MAX]);
    let mut machine = machine(&tell_time(code, MONOTONIC), Some(DATE), None);
    let mut time = || (told(&mut machine), told(&mut machine));
    assert_eq!(time(), (9, 500_001_000));
    assert_eq!(time(), (16, 500_002_000));
    // A look at the clock, and then until 1000.
    assert_eq!(time(), (1000, 1000));
}

#[test]
fn what_waits_for_a_timer_goes_by_the_same_clock() {
    const ALARM: u32 = 37;
    const PAUSE: u32 = 34;
    const KILLED: UserStop = UserStop::Killed { signal: 14 };
    let code = tell_time(Code::new().call(ALARM, &[3600]), MONOTONIC);
    let mut config = MachineConfig::new(CpuMode::Long, image(&code.call(PAUSE, &[]).0));
    config.memory_bytes = 16 << 20;
    config.user = Some(UserConfig {
        clock: Some(DATE),
        files: Some(UserFiles {
            directory: b"/".to_vec(),
            ..UserFiles::default()
        }),
        ..UserConfig::default()
    });
    let mut machine = Machine::new(config).unwrap();
    assert_eq!(told(&mut machine), 0);
    told(&mut machine);
    let outcome = run(&mut machine);
    assert_eq!(machine.user_stop(), Some(&KILLED), "{outcome:?}");
}

#[test]
fn chance_begins_with_the_seed_and_goes_on_after_a_snapshot() {
    let ask = |code: Code| code.call(GETRANDOM, &[DATA, 8, 0]).tell_word(DATA);
    let code = ask(ask(ask(ask(Code::new()))));
    let run = |seed: Option<u64>| {
        let mut machine = machine(&code, None, seed);
        let first = told(&mut machine);
        let snapshot = machine.snapshot().unwrap();
        let rest = |machine: &mut Machine| [(); 3].map(|()| told(machine));
        let once = rest(&mut machine);
        machine.restore(&snapshot).unwrap();
        machine.user_answer(0).unwrap();
        let again = rest(&mut machine);
        let mut forked = Machine::from_snapshot(&snapshot, &[]).unwrap();
        forked.user_answer(0).unwrap();
        (first, once, again, rest(&mut forked))
    };
    let (first, once, again, forked) = run(Some(7));
    assert_eq!((once, once), (again, forked));
    assert_eq!(run(Some(7)), (first, once, again, forked));
    assert_ne!(run(Some(8)).0, first);
    let (first, once, again, _) = run(None);
    assert_ne!(once, again);
    assert_ne!(run(None).0, first);
}

#[test]
fn what_a_c_library_seeds_itself_with_is_chance_too() {
    const STACK_END: u64 = 0x7fff_0000_0000;
    const AT_RANDOM: u64 = 25;
    let random = |seed| {
        let mut machine = machine(&Code::new(), None, seed);
        let stack = machine.user_program().unwrap().stack;
        let mut bytes = vec![0; (STACK_END - stack) as usize];
        machine.user_read(stack, &mut bytes).unwrap();
        let words = bytes.chunks_exact(8);
        let words = words.map(|word| u64::from_le_bytes(word.try_into().unwrap()));
        let tag = words.clone().position(|word| word == AT_RANDOM).unwrap();
        let at = words.clone().nth(tag + 1).unwrap() - stack;
        bytes[at as usize..at as usize + 16].to_vec()
    };
    assert_eq!(random(Some(1)), random(Some(1)));
    assert_ne!(random(Some(1)), random(Some(2)));
    assert_ne!(random(None), random(None));
}
