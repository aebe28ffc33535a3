//! `KVM_EXIT_MMIO`: reads and writes of 1, 2, 4 and 8 bytes, and what KVM cuts at a page border.
// The helpers are tests, too: a panic is the report.
#![allow(clippy::unwrap_used, clippy::panic)]

#[macro_use]
mod common;

use common::Answer;
use common::{Asked, CONSOLE, Cpu, LONG, USER};
use common::{exit, exit_code, gpa, machine, port, run, run_silently, run_with, set};
use vmm::{End, Exit, Machine, MmioAccess, RouteConfig, RouteTarget};

const BASE: u64 = 0xd000_0000;

const VALUE: u64 = 0x8877_6655_4433_2211;

/// 64-bit code, in both rings.
const RINGS: [Cpu; 2] = [LONG, USER];

/// By size. The host sets RBX and RAX.
const STORES: [(u8, &str); 4] = [
    (
        1,
        "88 03    ; mov %al,(%rbx)
         e6 f4    ; out %al,$0xf4",
    ),
    (
        2,
        "66 89 03 ; mov %ax,(%rbx)
         e6 f4    ; out %al,$0xf4",
    ),
    (
        4,
        "89 03    ; mov %eax,(%rbx)
         e6 f4    ; out %al,$0xf4",
    ),
    (
        8,
        "48 89 03 ; mov %rax,(%rbx)
         e6 f4    ; out %al,$0xf4",
    ),
];

const LOADS: [(u8, &str); 4] = [
    (
        1,
        "8a 03    ; mov (%rbx),%al
         e6 f4    ; out %al,$0xf4",
    ),
    (
        2,
        "66 8b 03 ; mov (%rbx),%ax
         e6 f4    ; out %al,$0xf4",
    ),
    (
        4,
        "8b 03    ; mov (%rbx),%eax
         e6 f4    ; out %al,$0xf4",
    ),
    (
        8,
        "48 8b 03 ; mov (%rbx),%rax
         e6 f4    ; out %al,$0xf4",
    ),
];

fn mmio_machine(cpu: Cpu, guest: &str, target: Option<RouteTarget>, at: u64, rax: u64) -> Machine {
    let stop = port(0xf4, 1, RouteTarget::Stop);
    let mmio = target.map(|target| gpa(BASE, 0x2000, target));
    let routes: Vec<RouteConfig> = [stop].into_iter().chain(mmio).collect();
    let mut machine = machine(cpu, guest, &routes);
    set(&mut machine, |registers| {
        (registers.rbx, registers.rax) = (at, rax)
    });
    machine
}

/// What RAX holds after a load of `size` bytes of `value` over `before`.
fn loaded(size: u8, value: u64, before: u64) -> u64 {
    match size {
        1 => before & !0xff | value & 0xff,
        2 => before & !0xffff | value & 0xffff,
        4 => value & 0xffff_ffff,
        _ => value,
    }
}

fn low_bytes(value: u64, size: u8) -> u64 {
    value & u64::MAX >> (64 - 8 * u32::from(size))
}

#[test]
fn a_device_gets_a_write_of_each_size() {
    require!(LONG, USER);
    for cpu in RINGS {
        for (size, guest) in STORES {
            for offset in [0, 0x10, 0x101, 0x1ff8] {
                let target = Some(RouteTarget::Device);
                let mut machine = mmio_machine(cpu, guest, target, BASE + offset, VALUE);
                let mut asked = Vec::new();
                exit_code(&run_with(&mut machine, |question| {
                    asked.push(Asked::from(&question));
                    Answer::Done
                }));
                let expected = Asked::Write(1, offset as u32, size, low_bytes(VALUE, size));
                assert_eq!(asked, [expected], "{cpu:?}");
            }
        }
    }
}

#[test]
fn a_device_gives_a_read_of_each_size() {
    require!(LONG, USER);
    for cpu in RINGS {
        for (size, guest) in LOADS {
            for offset in [0, 0x10, 0x101, 0x1ff8] {
                let target = Some(RouteTarget::Device);
                let mut machine = mmio_machine(cpu, guest, target, BASE + offset, u64::MAX);
                let mut asked = Vec::new();
                exit_code(&run_with(&mut machine, |question| {
                    asked.push(Asked::from(&question));
                    Answer::Value(VALUE)
                }));
                assert_eq!(asked, [Asked::Read(1, offset as u32, size)], "{cpu:?}");
                let rax = machine.registers().unwrap().rax;
                assert_eq!(rax, loaded(size, VALUE, u64::MAX), "{cpu:?} {size}");
            }
        }
    }
}

/// Offsets and sizes.
type Pieces = &'static [(u32, u8)];

/// Offset of an access of so many bytes, and the pieces that a device is asked for.
const ACROSS: [(u64, u8, Pieces); 5] = [
    (0xffc, 8, &[(0xffc, 4), (0x1000, 4)]),
    (
        0xffd,
        8,
        &[(0xffd, 1), (0xffe, 2), (0x1000, 4), (0x1004, 1)],
    ),
    (
        0xffb,
        8,
        &[(0xffb, 1), (0xffc, 4), (0x1000, 2), (0x1002, 1)],
    ),
    (0xffe, 4, &[(0xffe, 2), (0x1000, 2)]),
    (0xfff, 2, &[(0xfff, 1), (0x1000, 1)]),
];

fn of_size<'a>(guests: &[(u8, &'a str)], size: u8) -> &'a str {
    guests.iter().find(|guest| guest.0 == size).unwrap().1
}

#[test]
fn a_write_across_a_page_border_comes_in_pieces_of_1_2_4_or_8_bytes() {
    require!(LONG, USER);
    for cpu in RINGS {
        for (offset, size, pieces) in ACROSS {
            let guest = of_size(&STORES, size);
            let target = Some(RouteTarget::Device);
            let mut machine = mmio_machine(cpu, guest, target, BASE + offset, VALUE);
            let mut asked = Vec::new();
            let outcome = run_with(&mut machine, |question| {
                asked.push(Asked::from(&question));
                Answer::Done
            });
            let piece = |&(at, bytes): &(u32, u8)| {
                let value = VALUE >> (8 * (u64::from(at) - offset));
                Asked::Write(1, at, bytes, low_bytes(value, bytes))
            };
            let expected: Vec<_> = pieces.iter().map(piece).collect();
            assert_eq!(asked, expected, "{cpu:?} {offset:#x}");
            assert_eq!((exit_code(&outcome), outcome.exits), (0x11, 3));
        }
    }
}

#[test]
fn a_read_across_a_page_border_is_put_together() {
    require!(LONG, USER);
    for cpu in RINGS {
        for (offset, size, pieces) in ACROSS {
            let guest = of_size(&LOADS, size);
            let target = Some(RouteTarget::Device);
            let mut machine = mmio_machine(cpu, guest, target, BASE + offset, 0);
            let mut asked = Vec::new();
            exit_code(&run_with(&mut machine, |question| {
                let Asked::Read(1, at, bytes) = Asked::from(&question) else {
                    panic!("{question:?}")
                };
                asked.push((at, bytes));
                Answer::Value(VALUE >> (8 * (u64::from(at) - offset)))
            }));
            assert_eq!(asked, pieces, "{cpu:?} {offset:#x}");
            let rax = machine.registers().unwrap().rax;
            assert_eq!(rax, loaded(size, VALUE, 0), "{cpu:?} {offset:#x}");
        }
    }
}

#[test]
fn reads_from_the_routes_that_rust_answers() {
    require!(LONG, USER);
    for (target, value) in [
        (RouteTarget::Constant(VALUE), VALUE),
        (RouteTarget::Discard, u64::MAX),
        (RouteTarget::Count, u64::MAX),
        (RouteTarget::Stop, u64::MAX),
        (CONSOLE, u64::MAX),
    ] {
        for cpu in RINGS {
            for (size, guest) in LOADS {
                let mut machine = mmio_machine(cpu, guest, Some(target), BASE, 0);
                run_silently(&mut machine);
                let rax = machine.registers().unwrap().rax;
                assert_eq!(rax, loaded(size, value, 0), "{target:?} {size}");
            }
        }
    }
}

#[test]
fn a_console_takes_stores_as_text() {
    require!(LONG, USER);
    for cpu in RINGS {
        for (size, guest) in STORES {
            let text = u64::from_le_bytes(*b"abcdefgh");
            let mut machine = mmio_machine(cpu, guest, Some(CONSOLE), BASE, text);
            let outcome = run_silently(&mut machine);
            assert_eq!(outcome.output.bytes, &b"abcdefgh"[..usize::from(size)]);
        }
    }
}

#[test]
fn a_store_to_a_stop_route_ends_the_run_with_its_low_32_bits() {
    require!(LONG, USER);
    for cpu in RINGS {
        for (size, guest) in STORES {
            let at = BASE + 8;
            let mut machine = mmio_machine(cpu, guest, Some(RouteTarget::Stop), at, VALUE);
            let outcome = run_silently(&mut machine);
            let code = low_bytes(VALUE, size.min(4)) as u32;
            assert_eq!(exit_code(&outcome), code, "{cpu:?}");
            let End::ExitPort { record, .. } = outcome.end else {
                panic!()
            };
            assert_eq!(record.exit, Exit::MmioWrite(MmioAccess { gpa: at, size }));
            assert_eq!(record.data, &VALUE.to_le_bytes()[..usize::from(size)]);
        }
    }
}

#[test]
fn an_unclaimed_write_ends_the_run_with_its_record() {
    require!(LONG, USER);
    for cpu in RINGS {
        for (size, guest) in STORES {
            let mut machine = mmio_machine(cpu, guest, None, BASE + 1, VALUE);
            let outcome = run(&mut machine);
            let gpa = BASE + 1;
            assert_eq!(exit(&outcome), &Exit::MmioWrite(MmioAccess { gpa, size }));
            let End::Exit(record) = outcome.end else {
                panic!()
            };
            assert_eq!(record.data, &VALUE.to_le_bytes()[..usize::from(size)]);
            assert_eq!(exit_code(&run_silently(&mut machine)), 0x11, "{cpu:?}");
        }
    }
}

#[test]
fn an_unclaimed_read_is_answered_by_reply() {
    require!(LONG, USER);
    for cpu in RINGS {
        for (size, guest) in LOADS {
            let mut machine = mmio_machine(cpu, guest, None, BASE, u64::MAX);
            let gpa = BASE;
            let outcome = run(&mut machine);
            assert_eq!(exit(&outcome), &Exit::MmioRead(MmioAccess { gpa, size }));
            machine.reply(VALUE).unwrap();
            let rax = machine.registers().unwrap().rax;
            assert_eq!(rax, loaded(size, VALUE, u64::MAX), "{cpu:?} {size}");
            assert_eq!(exit_code(&run_silently(&mut machine)), 0x11);
        }
    }
}

#[test]
fn unclaimed_fragments_of_one_read_are_answered_one_by_one() {
    require!(LONG, USER);
    for cpu in RINGS {
        let mut machine = mmio_machine(cpu, of_size(&LOADS, 8), None, BASE + 0xffd, 0);
        let read = |gpa, size| Exit::MmioRead(MmioAccess { gpa, size });
        assert_eq!(exit(&run(&mut machine)), &read(BASE + 0xffd, 3));
        machine.reply(0x33_2211).unwrap();
        assert_eq!(exit(&run(&mut machine)), &read(BASE + 0x1000, 5));
        machine.reply(0x88_7766_5544).unwrap();
        assert_eq!(machine.registers().unwrap().rax, VALUE, "{cpu:?}");
    }
}

#[test]
fn the_route_of_the_first_byte_answers() {
    require!(LONG, USER);
    for cpu in RINGS {
        let routes = [
            port(0xf4, 1, RouteTarget::Stop),
            gpa(BASE, 4, RouteTarget::Device),
            gpa(BASE + 4, 4, RouteTarget::Constant(0)),
        ];
        let mut machine = machine(cpu, of_size(&LOADS, 8), &routes);
        set(&mut machine, |registers| registers.rbx = BASE + 2);
        let mut asked = Vec::new();
        exit_code(&run_with(&mut machine, |question| {
            asked.push(Asked::from(&question));
            Answer::Value(VALUE)
        }));
        assert_eq!(asked, [Asked::Read(1, 2, 8)], "{cpu:?}");
        assert_eq!(machine.registers().unwrap().rax, VALUE);
    }
}
