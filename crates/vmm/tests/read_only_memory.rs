//! `KVM_MEM_READONLY`: the guest's reads are memory, its writes are MMIO exits, the host writes
//! freely.
// The helpers are tests, too: a panic is the report.
#![allow(clippy::unwrap_used, clippy::panic)]

#[macro_use]
mod common;

use common::Answer;
use common::{Asked, Cpu, LONG, PROTECTED, REAL, USER};
use common::{config, exit, exit_code, gpa, port, probe, read, run, run_with};
use vmm::{End, Exit, Machine, MachineConfig, MemorySlot, MmioAccess};
use vmm::{RouteConfig, RouteTarget};

const ROM: MemorySlot = MemorySlot {
    gpa: 0x80_0000,
    bytes: 0x2000,
    read_only: true,
};

/// Loads from 0x800010 and stores there; the same bytes in 32 and 64 bit.
const GUEST: &str = "
    bb 10 00 80 00    ; mov $0x800010,%ebx
    8b 03             ; mov (%ebx),%eax
    c7 03 44 33 22 11 ; movl $0x11223344,(%ebx)
    8b 0b             ; mov (%ebx),%ecx
    e6 f4             ; out %al,$0xf4
";

fn rom_machine(cpu: Cpu, listing: &str, more: &[RouteConfig]) -> Machine {
    let stop = port(0xf4, 1, RouteTarget::Stop);
    let routes: Vec<_> = [stop].iter().chain(more).copied().collect();
    let machine = Machine::new(MachineConfig {
        slots: vec![ROM],
        ..config(cpu, listing, &routes)
    })
    .unwrap();
    machine
        .memory()
        .write(0x80_0010, &[0xdd, 0xcc, 0xbb, 0xaa])
        .unwrap();
    machine
}

/// Whether this KVM has read-only slots.
macro_rules! require_read_only {
    ($($cpu:expr),*) => {
        require!($($cpu),*);
        let capability = |name| probe().capabilities.iter().find(|found| found.name == name);
        if capability("KVM_CAP_READONLY_MEM").is_none_or(|found| found.value == 0) {
            skip!("this KVM lacks KVM_CAP_READONLY_MEM");
        }
    };
}

#[test]
fn an_unclaimed_write_exits_and_changes_nothing() {
    require_read_only!(PROTECTED, LONG, USER);
    for cpu in common::FLAT {
        let mut machine = rom_machine(cpu, GUEST, &[]);
        let outcome = run(&mut machine);
        let gpa = 0x80_0010;
        assert_eq!(
            exit(&outcome),
            &Exit::MmioWrite(MmioAccess { gpa, size: 4 })
        );
        let End::Exit(record) = outcome.end else {
            panic!()
        };
        assert_eq!(record.data, [0x44, 0x33, 0x22, 0x11]);
        assert_eq!(machine.registers().unwrap().rax, 0xaabb_ccdd);
        assert_eq!(exit_code(&run(&mut machine)), 0xdd, "{cpu:?}");
        assert_eq!(machine.registers().unwrap().rcx, 0xaabb_ccdd);
        assert_eq!(read(&machine, 0x80_0010), [0xdd, 0xcc, 0xbb, 0xaa]);
    }
}

#[test]
fn a_route_over_it_gets_the_writes_and_not_the_reads() {
    require_read_only!(PROTECTED, LONG, USER);
    for cpu in common::FLAT {
        let device = gpa(0x80_0000, 0x1000, RouteTarget::Device);
        let mut machine = rom_machine(cpu, GUEST, &[device]);
        let mut asked = Vec::new();
        exit_code(&run_with(&mut machine, |question| {
            asked.push(Asked::from(&question));
            Answer::Done
        }));
        assert_eq!(asked, [Asked::Write(1, 0x10, 4, 0x1122_3344)], "{cpu:?}");
    }
}

#[test]
fn the_host_writes_between_runs_and_the_guest_sees_it() {
    require_read_only!(PROTECTED, LONG, USER);
    for cpu in common::FLAT {
        let mut machine = rom_machine(cpu, GUEST, &[]);
        assert_eq!(exit(&run(&mut machine)).name(), "mmio-write");
        machine.memory().write(0x80_0010, &[4, 3, 2, 1]).unwrap();
        exit_code(&run(&mut machine));
        assert_eq!(machine.registers().unwrap().rcx, 0x0102_0304, "{cpu:?}");
    }
}

#[test]
fn a_guest_runs_from_it() {
    require_read_only!(REAL);
    const GUEST: &str = "
        b8 2a 00 ; mov $42,%ax
        f4       ; hlt
    ";
    let slot = MemorySlot {
        gpa: 0xf_0000,
        bytes: 0x1_0000,
        read_only: true,
    };
    let mut config = MachineConfig {
        memory_bytes: 0x1_0000,
        slots: vec![slot],
        ..config(REAL, GUEST, &[])
    };
    config.payload.load_gpa = 0xf_fff0;
    config.payload.entry_gpa = Some(0xf_fff0);
    let mut machine = Machine::new(config).unwrap();
    assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
    assert_eq!(machine.registers().unwrap().rax, 42);
}
