//! A program about signals, built by the C compilers that are here: in ring 3 it prints what it
//! prints on the host, and ends as there.
#![allow(clippy::unwrap_used, clippy::panic)] // in helpers of tests a panic is the report

#[macro_use]
mod common;
mod native;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use native::{process_of, run};
use vmm::{End, Machine, UserStop};

const WRITE: u64 = 1;
const STDOUT: u64 = 1;
const ENOSYS: u64 = 38;
const SOURCE: &str = "../../__test__/fixtures/native/signals.c";

/// Parts of the program that end by themselves, then those that a signal ends.
const PARTS: [&str; 13] = [
    "plain",
    "order",
    "nested",
    "masks",
    "stacks",
    "faults",
    "divides",
    "floats",
    "vectors",
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

/// The program, removed at the end; why there is none without its compiler.
struct Built(PathBuf);

impl Built {
    fn new(compiler: &str, what: &str) -> Result<Self, String> {
        let name = format!("vmexit-{compiler}-{}-{what}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut command = Command::new(compiler);
        command.args(["-O2", "-static", "-w", "-o"]).arg(&path);
        let built = command.arg(SOURCE).status();
        let status = built.map_err(|error| format!("{compiler}: {error}"))?;
        assert!(status.success(), "{compiler}: {status}");
        Ok(Self(path))
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What it has printed, and its exit code or signal.
type Printed = (String, Option<i32>, Option<i32>);

fn on_the_host(program: &Path, part: &str) -> Printed {
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

fn agree(program: &Built, parts: &[&str]) {
    let image = std::fs::read(&program.0).unwrap();
    for part in parts {
        let expected = on_the_host(&program.0, part);
        assert!(!expected.0.is_empty(), "{part}");
        assert_eq!(in_ring_3(&image, part), expected, "{part}");
    }
}

/// The same with each C library.
macro_rules! agrees {
    ($($name:ident: $compiler:literal, $parts:expr;)*) => {
        $(
            #[test]
            fn $name() {
                require!();
                match Built::new($compiler, stringify!($name)) {
                    Ok(program) => agree(&program, &$parts),
                    Err(reason) => skip!("{reason}"),
                }
            }
        )*
    };
}

agrees! {
    what_signals_do_with_musl: "musl-gcc", PARTS;
    what_signals_do_with_glibc: "gcc", PARTS;
    what_ends_a_program_with_musl: "musl-gcc", DEADLY;
    what_ends_a_program_with_glibc: "gcc", DEADLY;
}

#[test]
fn what_avx_has_survives_a_handler() {
    require!();
    if !std::is_x86_feature_detected!("avx") {
        skip!("no AVX");
    }
    match Built::new("gcc", "wide") {
        Ok(program) => agree(&program, &["wide"]),
        Err(reason) => skip!("{reason}"),
    }
}
