//! `KVM_EXIT_IO`: in and out of 1, 2 and 4 bytes, through every kind of route.

#[macro_use]
mod common;

use common::Answer;
use common::{Asked, CONSOLE, FLAT, LONG, PROTECTED, USER};
use common::{exit_code, machine, port, read, run, run_silently, run_with, set};
use vmm::{End, Exit, RouteConfig, RouteTarget};

const STOP: RouteConfig = RouteConfig {
    base: vmm::Base::Port(0xf4),
    length: 1,
    target: RouteTarget::Stop,
};

/// Writes 0x44434241 to port 0x1f2, one byte of it, two, four.
const OUT: &str = "
    b8 41 42 43 44 ; mov $0x44434241,%eax
    ba f2 01 00 00 ; mov $0x1f2,%edx
    ee             ; out %al,(%dx)
    66 ef          ; out %ax,(%dx)
    ef             ; out %eax,(%dx)
    e6 f4          ; out %al,$0xf4
";

/// Reads one byte from port 0x1f2, two, four; EAX goes to 0x500 each time, preset to 0x5a5a5a5a.
const IN: &str = "
    bb 00 05 00 00 ; mov $0x500,%ebx
    ba f2 01 00 00 ; mov $0x1f2,%edx
    b8 5a 5a 5a 5a ; mov $0x5a5a5a5a,%eax
    ec             ; in (%dx),%al
    89 03          ; mov %eax,(%ebx)
    b8 5a 5a 5a 5a ; mov $0x5a5a5a5a,%eax
    66 ed          ; in (%dx),%ax
    89 43 04       ; mov %eax,4(%ebx)
    ed             ; in (%dx),%eax
    89 43 08       ; mov %eax,8(%ebx)
    e6 f4          ; out %al,$0xf4
";

#[test]
fn a_device_gets_each_size_with_its_offset_and_value() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        let device = port(0x1f0, 8, RouteTarget::Device);
        let mut machine = machine(cpu, OUT, &[STOP, device]);
        let mut asked = Vec::new();
        let outcome = run_with(&mut machine, |question| {
            asked.push(Asked::from(&question));
            Answer::Done
        });
        let expected = [
            Asked::Write(1, 2, 1, 0x41),
            Asked::Write(1, 2, 2, 0x4241),
            Asked::Write(1, 2, 4, 0x4443_4241),
        ];
        assert_eq!(asked, expected, "{cpu:?}");
        assert_eq!((exit_code(&outcome), outcome.exits), (0x41, 4));
    }
}

#[test]
fn a_device_gives_each_size_and_only_that_many_bytes() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        let device = port(0x1f0, 8, RouteTarget::Device);
        let mut machine = machine(cpu, IN, &[STOP, device]);
        let mut asked = Vec::new();
        let outcome = run_with(&mut machine, |question| {
            asked.push(Asked::from(&question));
            Answer::Value(0x99aa_bbcc_8786_8580 + asked.len() as u64)
        });
        let expected = [1, 2, 4].map(|size| Asked::Read(1, 2, size));
        assert_eq!(asked, expected, "{cpu:?}");
        let values = [0x5a5a_5a81u32, 0x5a5a_8582, 0x8786_8583].map(u32::to_le_bytes);
        assert_eq!(
            read::<12>(&machine, 0x500),
            values.concat().as_slice(),
            "{cpu:?}"
        );
        assert_eq!(exit_code(&outcome), 0x83);
    }
}

#[test]
fn reads_from_the_routes_that_rust_answers() {
    require!(PROTECTED, LONG, USER);
    let ones = [0x5a5a_5affu32, 0x5a5a_ffff, 0xffff_ffff];
    for (target, values) in [
        (
            RouteTarget::Constant(0x1_1234_5678),
            [0x5a5a_5a78, 0x5a5a_5678, 0x1234_5678],
        ),
        (RouteTarget::Discard, ones),
        (RouteTarget::Count, ones),
        (RouteTarget::Stop, ones),
        (CONSOLE, ones),
    ] {
        for cpu in FLAT {
            let mut machine = machine(cpu, IN, &[port(0x1f2, 1, target), STOP]);
            run_silently(&mut machine);
            let bytes: [u8; 12] = read(&machine, 0x500);
            assert_eq!(
                bytes,
                values.map(u32::to_le_bytes).concat().as_slice(),
                "{target:?}"
            );
            assert_eq!(common::counts(&machine, 0).reads.get(), 3);
            assert_eq!(common::counts(&machine, 0).writes.get(), 0);
        }
    }
}

#[test]
fn writes_to_the_routes_that_rust_answers() {
    require!(PROTECTED, LONG, USER);
    for (target, text) in [
        (CONSOLE, &b"AABABCD"[..]),
        (RouteTarget::Constant(7), b""),
        (RouteTarget::Discard, b""),
        (RouteTarget::Count, b""),
    ] {
        for cpu in FLAT {
            let mut machine = machine(cpu, OUT, &[port(0x1f2, 1, target), STOP]);
            let outcome = run_silently(&mut machine);
            assert_eq!(
                (exit_code(&outcome), outcome.output.bytes.as_slice()),
                (0x41, text)
            );
            assert_eq!(outcome.exits, 4, "{target:?}");
            assert_eq!(common::counts(&machine, 0).writes.get(), 3);
            assert_eq!(common::counts(&machine, 0).reads.get(), 0);
        }
    }
}

#[test]
fn a_stop_route_ends_the_run_with_what_was_written() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        let mut machine = machine(cpu, OUT, &[port(0x1f0, 4, RouteTarget::Stop)]);
        for (size, code) in [(1, 0x41), (2, 0x4241), (4, 0x4443_4241)] {
            let outcome = run_silently(&mut machine);
            assert_eq!((exit_code(&outcome), outcome.exits), (code, 1), "{cpu:?}");
            let End::ExitPort { record, .. } = outcome.end else {
                panic!()
            };
            let Exit::PioOut(access) = record.exit else {
                panic!("{record:?}")
            };
            assert_eq!((access.port, access.size, access.count), (0x1f2, size, 1));
            assert_eq!(record.data, &b"ABCD"[..usize::from(size)]);
        }
    }
}

#[test]
fn an_access_belongs_to_the_route_of_its_first_byte() {
    require!(PROTECTED, LONG, USER);
    // DX is set by the host.
    const GUEST: &str = "
        ef    ; out %eax,(%dx)
        e6 f4 ; out %al,$0xf4
    ";
    let routes = [
        STOP,
        port(0x60, 4, RouteTarget::Device),
        port(0x64, 1, RouteTarget::Device),
    ];
    for cpu in FLAT {
        for (dx, expected) in [
            (0x60, Some(Asked::Write(1, 0, 4, 0))),
            (0x63, Some(Asked::Write(1, 3, 4, 0))),
            (0x64, Some(Asked::Write(2, 0, 4, 0))),
            (0x5f, None),
            (0x65, None),
        ] {
            let mut machine = machine(cpu, GUEST, &routes);
            set(&mut machine, |registers| registers.rdx = dx);
            let mut first = None;
            let outcome = run_with(&mut machine, |question| {
                let asked = Asked::from(&question);
                match asked {
                    Asked::Write(..) => {
                        first = Some(asked);
                        Answer::Done
                    }
                    _ => Answer::End,
                }
            });
            assert_eq!(first, expected, "{cpu:?} {dx:#x}");
            if expected.is_none() {
                let End::Exit(record) = outcome.end else {
                    panic!()
                };
                let Exit::PioOut(access) = record.exit else {
                    panic!("{record:?}")
                };
                assert_eq!((u64::from(access.port), access.size), (dx, 4));
            }
        }
    }
}

#[test]
fn the_last_port_is_a_port_like_any_other() {
    require!(PROTECTED);
    const GUEST: &str = "
        ba ff ff 00 00 ; mov $0xffff,%edx
        b0 7f          ; mov $0x7f,%al
        ee             ; out %al,(%dx)
    ";
    let mut machine = machine(PROTECTED, GUEST, &[port(0xff00, 0x100, RouteTarget::Stop)]);
    assert_eq!(exit_code(&run(&mut machine)), 0x7f);
}
