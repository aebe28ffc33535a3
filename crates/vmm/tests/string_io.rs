//! `rep outs` and `rep ins`: every item counts, however many one exit carries.
// The helpers are tests, too: a panic is the report.
#![allow(clippy::unwrap_used, clippy::panic)]

#[macro_use]
mod common;

use common::Answer;
use common::{Asked, CONSOLE, Cpu, FLAT, LONG, PROTECTED, REAL, USER};
use common::{
    affordable, exit_code, machine, pattern, port, read_vec, run_silently, run_with, set,
};
use vmm::{Machine, RouteConfig, RouteTarget};

const STOP: RouteConfig = RouteConfig {
    base: vmm::Base::Port(0xf4),
    length: 1,
    target: RouteTarget::Stop,
};

/// By item size. The host sets RSI, RCX and DX.
const OUTS: [(usize, &str); 3] = [
    (
        1,
        "f3 6e    ; rep outsb (%rsi),(%dx)
         e6 f4    ; out %al,$0xf4",
    ),
    (
        2,
        "66 f3 6f ; rep outsw (%rsi),(%dx)
         e6 f4    ; out %al,$0xf4",
    ),
    (
        4,
        "f3 6f    ; rep outsl (%rsi),(%dx)
         e6 f4    ; out %al,$0xf4",
    ),
];

/// The same with RDI.
const INS: [(usize, &str); 3] = [
    (
        1,
        "f3 6c    ; rep insb (%dx),(%rdi)
         e6 f4    ; out %al,$0xf4",
    ),
    (
        2,
        "66 f3 6d ; rep insw (%dx),(%rdi)
         e6 f4    ; out %al,$0xf4",
    ),
    (
        4,
        "f3 6d    ; rep insl (%dx),(%rdi)
         e6 f4    ; out %al,$0xf4",
    ),
];

/// Backwards.
const STD_OUTSW: &str = "
    fd       ; std
    66 f3 6f ; rep outsw (%esi),(%dx)
    e6 f4    ; out %al,$0xf4
";

const STD_INSB: &str = "
    fd    ; std
    f3 6c ; rep insb (%dx),(%edi)
    e6 f4 ; out %al,$0xf4
";

const DIRECTION: u64 = 1 << 10;

/// A machine whose string instruction moves `count` items from or to `gpa` through port 0x1f0.
fn string_machine(cpu: Cpu, guest: &str, target: RouteTarget, gpa: u64, count: usize) -> Machine {
    let mut machine = machine(cpu, guest, &[port(0x1f0, 1, target), STOP]);
    set(&mut machine, |registers| {
        (registers.rsi, registers.rdi) = (gpa, gpa);
        (registers.rcx, registers.rdx) = (count as u64, 0x1f0);
    });
    machine
}

/// 5,000 items only where one KVM emulates and where one runs natively.
fn counts(cpu: Cpu, size: usize) -> Vec<usize> {
    match (cpu, size) {
        (PROTECTED, _) | (USER, 1) => vec![1, 2, 3, 300, affordable(5000)],
        _ => vec![1, 2, 3, 300],
    }
}

fn numbers(bytes: &[u8], size: usize) -> Vec<u64> {
    let number = |item: &[u8]| {
        let bytes = item.iter().rev();
        bytes.fold(0, |value, byte| value << 8 | u64::from(*byte))
    };
    bytes.chunks(size).map(number).collect()
}

#[test]
fn rep_outs_to_a_console_is_that_many_bytes_of_text() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        for (size, guest) in OUTS {
            for count in counts(cpu, size) {
                let text = pattern(size * count);
                let mut machine = string_machine(cpu, guest, CONSOLE, 0x1000, count);
                machine.memory().write(0x1000, &text).unwrap();
                let outcome = run_silently(&mut machine);
                exit_code(&outcome);
                assert!(outcome.output.bytes == text, "{cpu:?} {size} {count}");
                assert_eq!(common::counts(&machine, 0).writes.get(), count as u64);
                let registers = machine.registers().unwrap();
                let behind = 0x1000 + (size * count) as u64;
                assert_eq!((registers.rcx, registers.rsi), (0, behind));
            }
        }
    }
}

#[test]
fn rep_outs_asks_a_device_once_for_each_item() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        for (size, guest) in OUTS {
            for count in counts(cpu, size) {
                let bytes = pattern(size * count);
                let mut machine = string_machine(cpu, guest, RouteTarget::Device, 0x1000, count);
                machine.memory().write(0x1000, &bytes).unwrap();
                let mut asked = Vec::new();
                exit_code(&run_with(&mut machine, |question| {
                    asked.push(Asked::from(&question));
                    Answer::Done
                }));
                let write = |value| Asked::Write(0, 0, size as u8, value);
                let expected: Vec<_> = numbers(&bytes, size).into_iter().map(write).collect();
                assert!(asked == expected, "{cpu:?} {size} {count}: {}", asked.len());
            }
        }
    }
}

#[test]
fn rep_ins_asks_a_device_once_for_each_item() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        for (size, guest) in INS {
            for count in counts(cpu, size) {
                let bytes = pattern(size * count);
                let mut machine = string_machine(cpu, guest, RouteTarget::Device, 0x1000, count);
                let (mut values, mut asked) = (numbers(&bytes, size).into_iter(), 0);
                exit_code(&run_with(&mut machine, |question| {
                    assert_eq!(Asked::from(&question), Asked::Read(0, 0, size as u8));
                    asked += 1;
                    Answer::Value(values.next().unwrap())
                }));
                assert_eq!(asked, count, "{cpu:?} {size}");
                assert!(
                    read_vec(&machine, 0x1000, bytes.len()) == bytes,
                    "{cpu:?} {size} {count}"
                );
                let behind: [u8; 4] = common::read(&machine, 0x1000 + bytes.len() as u64);
                assert_eq!(behind, [0; 4]);
                assert_eq!(common::counts(&machine, 0).reads.get(), count as u64);
                let registers = machine.registers().unwrap();
                let end = 0x1000 + (size * count) as u64;
                assert_eq!((registers.rcx, registers.rdi), (0, end));
            }
        }
    }
}

#[test]
fn rep_ins_from_a_constant_repeats_it() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        for (size, guest) in INS {
            for count in counts(cpu, size) {
                let target = RouteTarget::Constant(0x4433_2211);
                let mut machine = string_machine(cpu, guest, target, 0x1000, count);
                exit_code(&run_silently(&mut machine));
                let expected = [0x11, 0x22, 0x33, 0x44][..size].repeat(count);
                let bytes = read_vec(&machine, 0x1000, expected.len());
                assert!(bytes == expected, "{cpu:?} {size} {count}");
            }
        }
    }
}

#[test]
fn items_of_no_count_are_no_access() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        for (_, guest) in OUTS.into_iter().chain(INS) {
            let mut machine = string_machine(cpu, guest, RouteTarget::Device, 0x1000, 0);
            let outcome = run_silently(&mut machine);
            assert_eq!((exit_code(&outcome), outcome.exits), (0, 1));
        }
    }
}

#[test]
fn the_direction_flag_reverses_the_items_and_not_their_bytes() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        let mut machine = string_machine(cpu, STD_OUTSW, CONSOLE, 0x1004, 3);
        machine.memory().write(0x1000, b"abcdef").unwrap();
        let outcome = run_silently(&mut machine);
        assert_eq!(outcome.output.bytes, b"efcdab", "{cpu:?}");
        assert_eq!(machine.registers().unwrap().rflags & DIRECTION, DIRECTION);

        let mut machine = string_machine(cpu, STD_INSB, RouteTarget::Device, 0x1004, 5);
        let mut value = 0;
        exit_code(&run_with(&mut machine, |_| {
            value += 1;
            Answer::Value(value)
        }));
        let bytes: [u8; 7] = common::read(&machine, 0xfff);
        assert_eq!(bytes, [0, 5, 4, 3, 2, 1, 0], "{cpu:?}");
    }
}

#[test]
fn an_item_may_lie_across_a_page_border() {
    require!(PROTECTED, LONG, USER);
    let ([_, _, (_, outsl)], [_, _, (_, insl)]) = (OUTS, INS);
    for cpu in FLAT {
        let text = pattern(12);
        let mut machine = string_machine(cpu, outsl, CONSOLE, 0x1ffa, 3);
        machine.memory().write(0x1ffa, &text).unwrap();
        assert_eq!(run_silently(&mut machine).output.bytes, text, "{cpu:?}");

        let mut machine = string_machine(cpu, insl, RouteTarget::Device, 0x1ffa, 3);
        let mut values = numbers(&text, 4).into_iter();
        exit_code(&run_with(&mut machine, |_| {
            Answer::Value(values.next().unwrap())
        }));
        assert_eq!(values.next(), None);
        assert_eq!(
            common::read::<12>(&machine, 0x1ffa),
            text.as_slice(),
            "{cpu:?}"
        );
    }
}

#[test]
fn real_mode_has_string_io_too() {
    require!(REAL);
    const GUEST: &str = "
        f3 6e    ; rep outsb (%si),(%dx)
        b9 2c 01 ; mov $300,%cx
        f3 6d    ; rep insw (%dx),(%di)
        e6 f4    ; out %al,$0xf4
    ";
    let text = pattern(300);
    let mut machine = machine(REAL, GUEST, &[port(0x1f0, 1, RouteTarget::Device), STOP]);
    machine.memory().write(0x1000, &text).unwrap();
    set(&mut machine, |registers| {
        (registers.rsi, registers.rdi) = (0x1000, 0x2000);
        (registers.rcx, registers.rdx) = (300, 0x1f0);
    });
    let (mut written, mut reads) = (Vec::new(), 0);
    exit_code(&run_with(&mut machine, |question| {
        match Asked::from(&question) {
            Asked::Write(0, 0, 1, value) => {
                written.push(value as u8);
                Answer::Done
            }
            Asked::Read(0, 0, 2) => {
                reads += 1;
                Answer::Value(reads)
            }
            other => panic!("{other:?}"),
        }
    }));
    assert_eq!((written, reads), (text, 300));
    let expected: Vec<u8> = (1..=300u16).flat_map(u16::to_le_bytes).collect();
    assert_eq!(read_vec(&machine, 0x2000, 600), expected);
}
