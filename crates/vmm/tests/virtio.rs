//! virtio over MMIO: a driver in the guest, the entropy device of a PC.

#[macro_use]
mod common;

use vmm::{ErrorCode, Machine, MachineConfig, MemorySlot, RouteTarget};

use common::virtio::{
    BUFFERS, NEXT, Steps, WRITE, describe, offer, pc, used, used_entry, used_index,
};
use common::{PROTECTED, exit_code};

const SEEN: u64 = 0x9_0000;

fn word(machine: &Machine, gpa: u64) -> u32 {
    u32::from_le_bytes(common::read(machine, gpa))
}

#[test]
fn the_registers_say_what_is_there() {
    require!(PROTECTED);
    let mut machine = Machine::new(pc()).unwrap();
    let registers = [
        0x000, 0x004, 0x008, 0x034, 0x044, 0x070, 0x0b0, 0x0fc, 0x100,
    ];
    let mut steps = Steps::new(0);
    for (index, register) in (0..).zip(registers) {
        steps = steps.read(register, SEEN + 4 * index);
    }
    steps.stop(7).put(&mut machine);
    assert_eq!(exit_code(&common::run(&mut machine)), 7);
    let seen: Vec<_> = (0..9)
        .map(|index| word(&machine, SEEN + 4 * index))
        .collect();
    assert_eq!(seen, [0x7472_6976, 2, 4, 64, 0, 0, u32::MAX, 0, 0]);
}

#[test]
fn a_request_for_entropy_is_answered_off_the_vcpus_thread() {
    require!(PROTECTED);
    let mut machine = Machine::new(pc()).unwrap();
    describe(&machine, 0, 0, (BUFFERS, 40), WRITE | NEXT, 1);
    describe(&machine, 0, 1, (BUFFERS + 0x1000, 24), WRITE, 0);
    offer(&machine, 0, 0, 8, 0);
    let steps = Steps::new(0).start(0, &[8]).ring(0);
    steps
        .wait(used(0) + 2, 1)
        .read(0x60, SEEN)
        .read(0x70, SEEN + 4)
        .stop(1)
        .put(&mut machine);
    assert_eq!(exit_code(&common::run(&mut machine)), 1);
    assert_eq!(used_index(&machine, 0), 1);
    assert_eq!(used_entry(&machine, 0, 0, 8), (0, 64));
    assert_eq!(word(&machine, SEEN + 4), 0xf, "status");
    let bytes = [
        common::read_vec(&machine, BUFFERS, 48),
        common::read_vec(&machine, BUFFERS + 0x1000, 32),
    ];
    assert_eq!(
        (&bytes[0][40..], &bytes[1][24..]),
        (&[0; 8][..], &[0; 8][..])
    );
    assert!(bytes[0][..40].iter().any(|byte| *byte != 0));
    assert!(bytes[1][..24].iter().any(|byte| *byte != 0));
}

/// A request for 64 bytes of entropy, the one with this number of all.
fn ask(machine: &Machine, number: u16) {
    describe(machine, 0, 0, (BUFFERS, 64), WRITE, 0);
    offer(machine, 0, number, 8, 0);
}

/// What a guest does for its first request.
fn first() -> Steps {
    let steps = Steps::new(0).start(0, &[8]).ring(0);
    steps.wait(used(0) + 2, 1).stop(1)
}

/// What it does for one with a higher number.
fn further(number: u16) -> Steps {
    let steps = Steps::new(0).ring(0);
    steps.wait(used(0) + 2, number + 1).stop(number as u8)
}

fn entropy(machine: &Machine) -> [u8; 64] {
    common::read(machine, BUFFERS)
}

#[test]
fn what_a_device_writes_is_undone_by_a_restore() {
    require!(PROTECTED);
    let mut machine = Machine::new(pc()).unwrap();
    ask(&machine, 0);
    first().put(&mut machine);
    assert_eq!(exit_code(&common::run(&mut machine)), 1);
    let base = machine.snapshot().unwrap();
    let before = entropy(&machine);
    for round in 0..20 {
        ask(&machine, 1);
        further(1).put(&mut machine);
        assert_eq!(exit_code(&common::run(&mut machine)), 1, "{round}");
        assert_ne!(entropy(&machine), before);
        machine.restore(&base).unwrap();
        assert_eq!(entropy(&machine), before);
        assert_eq!(used_index(&machine, 0), 1);
        let again = machine.snapshot().unwrap();
        let differences = base.diff(&again).unwrap();
        assert_eq!(differences.count(), 0, "{round}");
    }
}

#[test]
fn a_machine_of_a_snapshot_goes_on_with_its_devices() {
    require!(PROTECTED);
    let mut machine = Machine::new(pc()).unwrap();
    ask(&machine, 0);
    first().put(&mut machine);
    assert_eq!(exit_code(&common::run(&mut machine)), 1);
    let base = machine.snapshot().unwrap();
    let file = std::env::temp_dir().join(format!("vmexit-virtio-{}", std::process::id()));
    base.write_to(&file, &[]).unwrap();
    let (loaded, _) = vmm::Snapshot::read_from(&file, vmm::LoadOptions::default()).unwrap();
    std::fs::remove_file(&file).unwrap();
    for snapshot in [&base, &loaded] {
        let mut fork = Machine::from_snapshot(snapshot, &[]).unwrap();
        ask(&fork, 1);
        further(1).put(&mut fork);
        assert_eq!(exit_code(&common::run(&mut fork)), 1);
        assert_eq!(used_entry(&fork, 0, 1, 8), (0, 64));
        assert_ne!(entropy(&fork), entropy(&machine));
    }
}

#[test]
fn a_request_that_was_rung_for_but_not_served_is_served_after_a_fork() {
    require!(PROTECTED);
    let mut machine = Machine::new(pc()).unwrap();
    ask(&machine, 0);
    // The run ends right after the ring, so the worker may or may not have come to it.
    let steps = Steps::new(0).start(0, &[8]).ring(0);
    steps.stop(9).put(&mut machine);
    assert_eq!(exit_code(&common::run(&mut machine)), 9);
    let base = machine.snapshot().unwrap();
    let mut fork = Machine::from_snapshot(&base, &[]).unwrap();
    for machine in [&mut machine, &mut fork] {
        let wait = Steps::new(0).wait(used(0) + 2, 1);
        wait.stop(3).put(machine);
        assert_eq!(exit_code(&common::run(machine)), 3);
        assert_eq!(used_entry(machine, 0, 0, 8), (0, 64));
    }
}

#[test]
fn devices_reach_neither_the_processors_tables_nor_read_only_memory() {
    require!(PROTECTED);
    for gpa in [0xfe00_0000, 0x4000_0000, 0xfeb0_0000, 0x20_0000 - 1] {
        let mut machine = Machine::new(MachineConfig {
            slots: vec![MemorySlot {
                gpa: 0x4000_0000,
                bytes: 0x1000,
                read_only: true,
            }],
            ..pc()
        })
        .unwrap();
        describe(&machine, 0, 0, (gpa, 64), WRITE, 0);
        offer(&machine, 0, 0, 8, 0);
        let steps = Steps::new(0).start(0, &[8]).ring(0);
        // The interrupt status says so, too.
        let steps = steps.until(0x60, 2).read(0x70, SEEN);
        steps.stop(1).put(&mut machine);
        assert_eq!(exit_code(&common::run(&mut machine)), 1, "{gpa:#x}");
        assert_eq!(word(&machine, SEEN), 0x4f, "DEVICE_NEEDS_RESET");
        assert_eq!(used_index(&machine, 0), 0);
    }
}

#[test]
fn the_registers_of_a_pcs_devices_are_nobody_elses() {
    require!(PROTECTED);
    let mut config = pc();
    config
        .routes
        .push(common::gpa(0xfeb0_0100, 4, RouteTarget::Discard));
    let error = Machine::new(config).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidOption);
    let mut machine = Machine::new(pc()).unwrap();
    let claim = common::gpa(0xfeb0_0000, 0x200, RouteTarget::Discard);
    assert_eq!(
        machine.attach(&claim).unwrap_err().code,
        ErrorCode::InvalidOption
    );
}

#[test]
fn a_thread_serves_a_device_from_its_driver_to_its_machines_end() {
    require!(PROTECTED);
    let workers = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names =
            tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|name| name.trim() == "vmexit-virtio").count()
    };
    // Other tests of this file run beside.
    let before = workers();
    let machines: Vec<_> = (0..10)
        .map(|_| {
            let mut machine = Machine::new(pc()).unwrap();
            Steps::new(0).ring(0).stop(1).put(&mut machine);
            assert_eq!(exit_code(&common::run(&mut machine)), 1);
            machine
        })
        .collect();
    assert!(workers() < before + 10);
    drop(machines);
    let mut machine = Machine::new(pc()).unwrap();
    ask(&machine, 0);
    first().put(&mut machine);
    assert_eq!(exit_code(&common::run(&mut machine)), 1);
    assert!(workers() > 0);
}
