//! Memory goes back to what it was in a snapshot, whoever has written it (KVM API,
//! `KVM_GET_DIRTY_LOG`).
#![allow(unsafe_code)]

#[macro_use]
mod common;

use common::{
    FLAT, LONG, USER, affordable, config, exit_code, machine, pattern, port, read, read_vec, run,
    set,
};
use vmm::{ErrorCode, HostRange, Machine, MemorySlot, RouteTarget};

/// Writes EAX to ESI pages from EDI on.
const FILL: &str = "
    89 07             ; mov %eax,(%rdi)
    81 c7 00 10 00 00 ; add $0x1000,%edi
    ff ce             ; dec %esi
    75 f4             ; jnz .-10
    e6 f4             ; out %al,$0xf4
    eb f0             ; jmp .-14
";

const PAGE: u64 = 4096;

fn filler(cpu: common::Cpu) -> Machine {
    machine(cpu, FILL, &[port(0xf4, 1, RouteTarget::Stop)])
}

/// Lets the guest write `value` to pages.
fn fill(machine: &mut Machine, gpa: u64, pages: u64, value: u8) {
    set(machine, |regs| {
        (regs.rdi, regs.rsi, regs.rax) = (gpa, pages, u64::from(value) * 0x0101_0101);
    });
    assert_eq!(exit_code(&run(machine)), u32::from(value));
    assert_eq!(read(machine, gpa + (pages - 1) * PAGE), [value; 4]);
}

/// Writes a byte as what has the memory's pointer does.
fn poke(range: HostRange, offset: usize, value: u8) {
    assert!(offset < range.bytes);
    // SAFETY: inside the memory.
    let byte = unsafe { range.start.add(offset) };
    // SAFETY: mapped, and the machine does not run.
    unsafe { byte.write_volatile(value) };
}

fn whole(machine: &Machine) -> Vec<u8> {
    read_vec(machine, 0, 2 << 20)
}

#[test]
fn what_the_guest_wrote_is_undone() {
    require!(LONG);
    for cpu in FLAT {
        if common::missing(&[cpu]).is_some() {
            continue;
        }
        let mut machine = filler(cpu);
        fill(&mut machine, 0x10_0000, 20, 1);
        let (before, regs) = (whole(&machine), machine.registers().unwrap());
        let base = machine.snapshot().unwrap();
        for round in 2..6 {
            fill(&mut machine, 0x10_0000 + u64::from(round) * PAGE, 10, round);
            machine.restore(&base).unwrap();
            assert_eq!(machine.registers().unwrap(), regs, "{cpu:?}");
            assert!(whole(&machine) == before, "{cpu:?} {round}");
        }
    }
}

#[test]
fn what_the_host_wrote_is_undone() {
    require!(LONG);
    let mut machine = filler(LONG);
    let bytes = pattern(3 * PAGE as usize);
    machine.memory().write(0x2_0800, &bytes).unwrap();
    let before = whole(&machine);
    let base = machine.snapshot().unwrap();
    for gpa in [0x2_0000, 0x2_0800, 0x8_0fff, 0x1f_ffff] {
        machine.memory().write(gpa, &[0xee]).unwrap();
    }
    machine.memory().write(0x10_0001, &bytes).unwrap();
    machine.restore(&base).unwrap();
    assert!(whole(&machine) == before);
}

#[test]
fn what_was_written_through_a_pointer_is_undone_too() {
    require!(LONG);
    let mut machine = filler(LONG);
    let before = whole(&machine);
    let base = machine.snapshot().unwrap();
    let range = machine.memory().lend().unwrap();
    assert_eq!(range.bytes, 2 << 20);
    for round in 0..3 {
        poke(range, 0x1000 * (round + 7), 0x55);
        assert_eq!(read(&machine, 0x1000 * (round as u64 + 7)), [0x55]);
        machine.restore(&base).unwrap();
        assert!(whole(&machine) == before, "{round}");
    }
}

#[test]
fn a_further_machine_has_the_memory_and_none_of_the_writes() {
    require!(LONG, USER);
    for cpu in [LONG, USER] {
        let mut machine = filler(cpu);
        fill(&mut machine, 0x10_0000, 20, 1);
        let before = whole(&machine);
        let base = machine.snapshot().unwrap();
        let mut one = Machine::from_snapshot(&base, &[]).unwrap();
        let mut other = Machine::from_snapshot(&base, &[]).unwrap();
        fill(&mut machine, 0x11_0000, 5, 2);
        fill(&mut one, 0x10_0000, 5, 3);
        assert!(whole(&other) == before);
        fill(&mut other, 0x12_0000, 5, 4);
        assert_eq!(read(&one, 0x12_0000), [0; 4]);
        assert_eq!(read(&machine, 0x10_0000), [1; 4]);
        for machine in [&mut one, &mut other, &mut machine] {
            machine.restore(&base).unwrap();
            assert!(whole(machine) == before);
        }
        // Machines outlive it.
        drop((base, machine));
        fill(&mut one, 0x14_0000, 5, 6);
        assert_eq!(read(&one, 0x10_0000), [1; 4]);
    }
}

#[test]
fn a_machine_goes_from_one_snapshot_to_another() {
    require!(LONG);
    let mut machine = filler(LONG);
    let mut bases = Vec::new();
    for round in 1..6 {
        fill(&mut machine, 0x10_0000 << (round % 2) >> 1, 3, round);
        bases.push((machine.snapshot().unwrap(), whole(&machine)));
    }
    for index in [4, 0, 3, 3, 0, 1, 2, 4] {
        let (base, before) = &bases[index];
        machine.restore(base).unwrap();
        assert!(whole(&machine) == *before, "{index}");
        fill(&mut machine, 0x1f_0000, 2, 9);
        machine.memory().write(0x18_0000, &[9]).unwrap();
        machine.restore(base).unwrap();
        assert!(whole(&machine) == *before, "{index}");
    }
}

#[test]
fn a_machine_of_a_snapshot_gives_snapshots_in_its_turn() {
    require!(LONG);
    let mut machine = filler(LONG);
    let mut expected = whole(&machine);
    for round in 1..8_u8 {
        let base = machine.snapshot().unwrap();
        machine = Machine::from_snapshot(&base, &[]).unwrap();
        let gpa = 0x10_0000 + u64::from(round / 2) * PAGE;
        fill(&mut machine, gpa, 1, round);
        machine.memory().write(gpa + 0x800, &[round]).unwrap();
        expected[gpa as usize..][..4].fill(round);
        expected[gpa as usize + 0x800] = round;
        assert!(whole(&machine) == expected, "{round}");
    }
}

#[test]
fn pages_that_are_written_once_are_noted_no_longer_and_found_again() {
    require!(LONG);
    let mut machine = filler(LONG);
    let before = whole(&machine);
    let base = machine.snapshot().unwrap();
    for round in 0..affordable(1000) {
        if round % 450 == 0 {
            fill(&mut machine, 0x10_0000, 200, 1);
        }
        fill(&mut machine, 0x8_0000, 2, 7);
        machine.restore(&base).unwrap();
        if round % 50 == 0 {
            assert!(whole(&machine) == before, "{round}");
        }
    }
    fill(&mut machine, 0x10_0000, 200, 1);
    machine.restore(&base).unwrap();
    assert!(whole(&machine) == before);
}

#[test]
fn further_slots_go_back_too() {
    require!(LONG);
    let slot = |gpa, bytes, read_only| MemorySlot {
        gpa,
        bytes,
        read_only,
    };
    let mut config = config(LONG, FILL, &[port(0xf4, 1, RouteTarget::Stop)]);
    config.slots = vec![
        slot(0x4000_0000, 0x3000, false),
        slot(0x3000_0000, 0x1000, true),
        slot(0x5000_0000, 67 * PAGE, false),
    ];
    let mut machine = Machine::new(config).unwrap();
    let gpas = [(0x4000_0000, 3), (0x3000_0000, 1), (0x5000_0000, 67)];
    for (gpa, pages) in gpas {
        let bytes = pattern((pages * PAGE) as usize);
        machine.memory().write(gpa, &bytes).unwrap();
    }
    let all = |machine: &Machine| {
        gpas.map(|(gpa, pages)| read_vec(machine, gpa, (pages * PAGE) as usize))
    };
    let before = all(&machine);
    let base = machine.snapshot().unwrap();
    let mut further = Machine::from_snapshot(&base, &[]).unwrap();
    for machine in [&mut machine, &mut further] {
        assert!(all(machine) == before);
        fill(machine, 0x4000_1000, 2, 5);
        fill(machine, 0x5000_0000, 67, 6);
        for (gpa, _) in gpas {
            machine.memory().write(gpa + 0x10, &[0xee; 9]).unwrap();
        }
        machine.restore(&base).unwrap();
        assert!(all(machine) == before);
    }
}

#[test]
fn large_memory_that_is_nearly_empty_is_no_matter() {
    require!(LONG);
    let mut config = config(LONG, FILL, &[port(0xf4, 1, RouteTarget::Stop)]);
    config.memory_bytes = 1 << 30;
    let mut machine = Machine::new(config).unwrap();
    let far = 0x3000_0000;
    fill(&mut machine, far, 3, 1);
    let base = machine.snapshot().unwrap();
    fill(&mut machine, far, 1, 2);
    fill(&mut machine, far + 0x10_0000, 1, 2);
    machine.restore(&base).unwrap();
    assert_eq!(read(&machine, far), [1; 4]);
    assert_eq!(read(&machine, far + 0x10_0000), [0; 4]);
    // Only what is in use was copied.
    assert!(base.used_bytes() < 64 * PAGE, "{}", base.used_bytes());
}

#[test]
fn a_snapshot_of_an_unchanged_machine_is_the_same_memory() {
    require!(LONG);
    let mut machine = filler(LONG);
    fill(&mut machine, 0x10_0000, 3, 1);
    let base = machine.snapshot().unwrap();
    fill(&mut machine, 0x10_0000, 3, 2);
    machine.restore(&base).unwrap();
    let again = machine.snapshot().unwrap();
    assert!(again.shares_memory_with(&base));
    fill(&mut machine, 0x10_0000, 3, 2);
    assert!(!machine.snapshot().unwrap().shares_memory_with(&base));
}

#[test]
fn a_machine_of_another_shape_is_refused() {
    require!(LONG);
    let mut machine = filler(LONG);
    let base = machine.snapshot().unwrap();
    let mut config = config(LONG, FILL, &[port(0xf4, 1, RouteTarget::Stop)]);
    config.memory_bytes = 4 << 20;
    let mut other = Machine::new(config).unwrap();
    let error = other.restore(&base).unwrap_err();
    assert_eq!(error.code, ErrorCode::Snapshot);
    assert_eq!(
        error.message,
        "memoryBytes must be 2097152 as in the snapshot, got 4194304"
    );
    fill(&mut other, 0x10_0000, 1, 1);
}

#[test]
fn two_snapshots_differ_where_something_was_written() {
    require!(LONG);
    let mut machine = filler(LONG);
    fill(&mut machine, 0x10_0000, 2, 1);
    let before = machine.snapshot().unwrap();
    fill(&mut machine, 0x10_1000, 2, 2);
    machine.memory().write(0x1f_f000, &[3]).unwrap();
    let after = machine.snapshot().unwrap();
    let differences: Vec<_> = before.diff(&after).unwrap().collect();
    let gpas: Vec<_> = differences.iter().map(|one| one.gpa).collect();
    assert_eq!(gpas, [0x10_1000, 0x10_2000, 0x1f_f000]);
    let ends = differences.iter().map(|one| (one.before[0], one.after[0]));
    assert_eq!(ends.collect::<Vec<_>>(), [(1, 2), (0, 2), (0, 3)]);
    assert_eq!(before.diff(&before).unwrap().count(), 0);
}
