//! Port exits that no route claims end a run; the guest continues after them, a read with its
//! reply.
// The helpers are tests, too: a panic is the report.
#![allow(clippy::unwrap_used, clippy::panic)]

#[macro_use]
mod common;

use common::{Cpu, FLAT, LONG, PROTECTED, USER, read_vec, set};
use common::{exit, exit_code, machine, run, run_silently};
use vmm::{
    End, ErrorCode, Exit, KickHandle, Machine, Outcome, PortAccess, RouteConfig, RouteTarget,
};

const STOP: RouteConfig = RouteConfig {
    base: vmm::Base::Port(0xf4),
    length: 1,
    target: RouteTarget::Stop,
};

/// Writes one byte, two and four to port 0x80. The host sets EAX and EDX.
const OUT: &str = "
    ee    ; out %al,(%dx)
    66 ef ; out %ax,(%dx)
    ef    ; out %eax,(%dx)
    e6 f4 ; out %al,$0xf4
";

/// Reads one byte, two and four from port 0x60.
const IN: &str = "
    e4 60    ; in $0x60,%al
    66 e5 60 ; in $0x60,%ax
    e5 60    ; in $0x60,%eax
    e6 f4    ; out %al,$0xf4
";

/// The host sets EDI, ECX and EDX.
const REP_INSW: &str = "
    66 f3 6d ; rep insw (%dx),(%edi)
    e6 f4    ; out %al,$0xf4
";

fn port_out(outcome: &Outcome) -> (PortAccess, Vec<u8>) {
    match &outcome.end {
        End::Exit(record) => match record.exit {
            Exit::PioOut(access) => (access, record.data.clone()),
            ref exit => panic!("{exit:?}"),
        },
        end => panic!("{end:?}"),
    }
}

fn port_in(outcome: &Outcome) -> PortAccess {
    match exit(outcome) {
        Exit::PioIn(access) => *access,
        exit => panic!("{exit:?}"),
    }
}

fn insw_machine(cpu: Cpu, count: u64) -> Machine {
    let mut machine = machine(cpu, REP_INSW, &[STOP]);
    set(&mut machine, |registers| {
        (registers.rdi, registers.rcx, registers.rdx) = (0x1000, count, 0x60);
    });
    machine
}

#[test]
fn out_ends_the_run_with_port_size_and_bytes() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        let mut machine = machine(cpu, OUT, &[STOP]);
        set(&mut machine, |registers| {
            (registers.rax, registers.rdx) = (0x4433_2211, 0x80);
        });
        for (size, behind) in [(1, 1), (2, 3), (4, 4)] {
            let outcome = run(&mut machine);
            let (access, data) = port_out(&outcome);
            assert_eq!((access.port, access.size, access.count), (0x80, size, 1));
            assert_eq!(data, &[0x11, 0x22, 0x33, 0x44][..usize::from(size)]);
            assert_eq!(outcome.exits, 1);
            // The registers are those after the instruction.
            assert_eq!(machine.registers().unwrap().rip, behind, "{cpu:?}");
        }
        assert_eq!(exit_code(&run_silently(&mut machine)), 0x11);
    }
}

#[test]
fn behind_an_out_the_registers_can_be_set() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        let mut machine = machine(cpu, OUT, &[STOP]);
        port_out(&run(&mut machine));
        set(&mut machine, |registers| {
            registers.rax = 0x77;
            registers.rip = 4;
        });
        assert_eq!(exit_code(&run_silently(&mut machine)), 0x77, "{cpu:?}");
    }
}

#[test]
fn in_ends_the_run_and_the_reply_is_its_value() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        let mut machine = machine(cpu, IN, &[STOP]);
        for (size, behind, rax) in [(1, 2, 0x81), (2, 5, 0x8281), (4, 7, 0x8483_8281)] {
            let access = port_in(&run(&mut machine));
            assert_eq!((access.port, access.size, access.count), (0x60, size, 1));
            machine.reply(0x9999_9999_8483_8281).unwrap();
            let registers = machine.registers().unwrap();
            assert_eq!((registers.rax, registers.rip), (rax, behind), "{cpu:?}");
        }
        assert_eq!(exit_code(&run_silently(&mut machine)), 0x81);
    }
}

#[test]
fn running_on_without_a_reply_is_an_error_and_changes_nothing() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        let mut machine = machine(cpu, IN, &[STOP]);
        port_in(&run(&mut machine));
        let exits = machine.counters().total_exits();
        for _ in 0..2 {
            let error = common::try_run(&mut machine, &KickHandle::new(), |question| {
                panic!("{question:?}")
            });
            assert_eq!(error.unwrap_err().code, ErrorCode::UnansweredRead);
        }
        assert_eq!(machine.counters().total_exits(), exits);
        machine.reply(7).unwrap();
        assert_eq!(machine.registers().unwrap().rax, 7, "{cpu:?}");
    }
}

#[test]
fn while_a_read_waits_registers_can_be_read_and_not_set() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        let mut machine = machine(cpu, IN, &[STOP]);
        port_in(&run(&mut machine));
        let registers = machine.registers().unwrap();
        assert_eq!((registers.rip, registers.rax), (0, 0), "{cpu:?}");
        let error = machine.set_registers(&registers).unwrap_err();
        assert_eq!(error.code, ErrorCode::UnansweredRead);
        let special = machine.special_registers().unwrap();
        let error = machine.set_special_registers(&special).unwrap_err();
        assert_eq!(error.code, ErrorCode::UnansweredRead);
        machine.reply(9).unwrap();
        set(&mut machine, |registers| registers.rip = 7);
        assert_eq!(exit_code(&run_silently(&mut machine)), 9);
    }
}

#[test]
fn a_reply_that_nobody_waits_for_is_an_error() {
    require!(PROTECTED);
    let mut machine = machine(PROTECTED, IN, &[STOP]);
    let unanswered = |result: vmm::Result<()>| {
        assert_eq!(result.unwrap_err().code, ErrorCode::UnansweredRead);
    };
    unanswered(machine.reply(1));
    unanswered(machine.reply_bytes(&[1]));
    port_in(&run(&mut machine));
    machine.reply(1).unwrap();
    unanswered(machine.reply(2));
    assert_eq!(machine.registers().unwrap().rax, 1);
}

#[test]
fn reply_bytes_fills_every_item_of_a_string_read() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        let mut machine = insw_machine(cpu, 3);
        let text = *b"abcdef";
        let mut given = 0;
        while given < text.len() {
            let access = port_in(&run(&mut machine));
            assert_eq!((access.port, access.size), (0x60, 2));
            let bytes = &text[given..given + access.bytes()];
            for wrong in [&text[..bytes.len() - 1], &text[..0], &[0; 7]] {
                let error = machine.reply_bytes(wrong).unwrap_err();
                assert_eq!(error.code, ErrorCode::InvalidOption);
            }
            machine.reply_bytes(bytes).unwrap();
            given += bytes.len();
        }
        // RIP may still be at the instruction, which has nothing left to do.
        assert_eq!(machine.registers().unwrap().rcx, 0, "{cpu:?}");
        assert_eq!(read_vec(&machine, 0x1000, 7), b"abcdef\0");
        assert_eq!(exit_code(&run_silently(&mut machine)), 0);
    }
}

#[test]
fn a_reply_repeats_its_value_for_every_item() {
    require!(PROTECTED, LONG, USER);
    for cpu in FLAT {
        // More than one exit carries, so that the reply's own completion asks again.
        let count = 5000;
        let mut machine = insw_machine(cpu, count);
        let mut items = 0;
        while items < count {
            items += u64::from(port_in(&run(&mut machine)).count);
            machine.reply(0x1234).unwrap();
        }
        assert_eq!(items, count, "{cpu:?}");
        let bytes = read_vec(&machine, 0x1000, 10_002);
        assert!(bytes[..10_000].chunks(2).all(|item| item == [0x34, 0x12]));
        assert_eq!(bytes[10_000..], [0, 0]);
        assert_eq!(exit_code(&run_silently(&mut machine)), 0);
    }
}
