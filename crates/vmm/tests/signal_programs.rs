//! A program about signals, built by the C compilers that are here: in ring 3 it prints what it
//! prints on the host, and ends as there.
#![allow(clippy::unwrap_used, clippy::panic)] // in helpers of tests a panic is the report

mod native;

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;

use native::{process_of, run};
use vmm::{End, Machine, UserStop};

const WRITE: u64 = 1;
const STDOUT: u64 = 1;
const ENOSYS: u64 = 38;
const SOURCE: &str = "../../__test__/fixtures/native/signals.c";

/// Parts of the program that end by themselves, then those that a signal ends.
const PARTS: [&str; 14] = [
    "plain",
    "order",
    "nested",
    "masks",
    "stacks",
    "faults",
    "divides",
    "floats",
    "vectors",
    "wide",
    "registers",
    "waits",
    "pipes",
    "leaps",
];
const DEADLY: [&str; 12] = [
    "abort",
    "term",
    "realtime",
    "blocked",
    "ignored",
    "unblocked",
    "nowhere",
    "far",
    "stackless",
    "frameless",
    "restorerless",
    "overflow",
];

/// The program; none without that compiler, which is said.
fn built(compiler: &str, what: &str) -> Option<PathBuf> {
    let path =
        std::env::temp_dir().join(format!("vmexit-{compiler}-{}-{what}", std::process::id()));
    let built = Command::new(compiler)
        .args(["-O2", "-static", "-w", "-o"])
        .arg(&path)
        .arg(SOURCE)
        .status();
    match built {
        Ok(status) => assert!(status.success(), "{compiler}: {status}"),
        Err(error) => {
            eprintln!("skipped: {compiler}: {error}");
            return None;
        }
    }
    Some(path)
}

/// What it has printed, and its exit code or signal.
type Printed = (String, Option<i32>, Option<i32>);

fn on_the_host(program: &PathBuf, part: &str) -> Printed {
    let output = Command::new(program).arg(part).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (text, output.status.code(), output.status.signal())
}

fn in_ring_3(image: &[u8], part: &str) -> Printed {
    let mut machine = process_of(image.to_vec(), &[b"signals", part.as_bytes()]);
    let mut text = Vec::new();
    let end = loop {
        let outcome = run(&mut machine);
        match machine.user_stop().cloned() {
            Some(UserStop::Call {
                number, arguments, ..
            }) => {
                let value = answer(&mut machine, number, arguments, &mut text);
                machine.user_answer(value).unwrap();
            }
            Some(UserStop::Exit { code }) => break (Some(code), None),
            Some(UserStop::Killed { signal }) => break (None, Some(signal.cast_signed())),
            other => match outcome.end {
                End::Fault(fault) => break (None, Some(signal_of(fault.vector))),
                end => panic!("{part}: {other:?} {end:?}"),
            },
        }
    };
    (String::from_utf8(text).unwrap(), end.0, end.1)
}

fn answer(machine: &mut Machine, number: u64, arguments: [u64; 6], text: &mut Vec<u8>) -> u64 {
    let [descriptor, at, count, ..] = arguments;
    if (number, descriptor) != (WRITE, STDOUT) {
        return ENOSYS.wrapping_neg();
    }
    let mut bytes = vec![0; count as usize];
    machine.user_read(at, &mut bytes).unwrap();
    text.extend(bytes);
    count
}

/// SIGILL of #UD, else SIGSEGV.
const fn signal_of(vector: u8) -> i32 {
    match vector {
        6 => 4,
        _ => 11,
    }
}

fn agrees(compiler: &str, parts: &[&str]) {
    let Some(program) = built(compiler, parts[0]) else {
        return;
    };
    let image = std::fs::read(&program).unwrap();
    for part in parts {
        if *part == "wide" && !std::is_x86_feature_detected!("avx") {
            eprintln!("skipped: {part}: no AVX");
            continue;
        }
        let expected = on_the_host(&program, part);
        assert!(!expected.0.is_empty(), "{part}");
        assert_eq!(in_ring_3(&image, part), expected, "{compiler}, {part}");
    }
    std::fs::remove_file(&program).unwrap();
}

#[test]
fn what_signals_do_with_musl() {
    agrees("musl-gcc", &PARTS);
}

#[test]
fn what_ends_a_program_with_musl() {
    agrees("musl-gcc", &DEADLY);
}

#[test]
fn what_signals_do_with_glibc() {
    agrees("gcc", &PARTS);
}

#[test]
fn what_ends_a_program_with_glibc() {
    agrees("gcc", &DEADLY);
}
