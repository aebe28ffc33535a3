//! What a machine takes from the host, and that it gives it back.
// The helpers are tests, too: a panic is the report.
#![allow(clippy::unwrap_used, clippy::panic)]

#[macro_use]
mod common;

use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::{LONG, PROTECTED, affordable, config, exit, machine, run};
use vmm::{Exit, Machine, MachineConfig, MemorySlot};

/// Stores 42 at 0x400.
const GUEST: &str = "
    c7 04 25 00 04 00 00 2a 00 00 00 ; movl $42,0x400
    f4                               ; hlt
";

/// What is counted belongs to the whole process, so these tests take turns.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Descriptors of one kind of KVM's.
fn open_of(kind: &str) -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap().flatten();
    links
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter(|link| link.to_string_lossy().contains(kind))
        .count()
}

fn mappings() -> usize {
    fs::read_to_string("/proc/self/maps")
        .unwrap()
        .lines()
        .count()
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.unwrap().parse().unwrap()
}

#[test]
fn machines_give_back_their_files_and_mappings() {
    require!(LONG);
    let _turn = alone();
    let make = |count: usize| {
        for _ in 0..count {
            let mut machine = machine(LONG, GUEST, &[]);
            assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
        }
    };
    // The first ones bring what the process keeps: /dev/kvm, the timer's thread.
    make(10);
    let before = (open_files(), mappings());
    make(affordable(200));
    let after = (open_files(), mappings());
    assert_eq!(after.0, before.0);
    // One vCPU without a controller of the kernel's is kept for the sake of the others.
    assert_eq!((open_of("kvm-vm"), open_of("kvm-vcpu")), (0, 1));
    // The allocator may map or unmap an arena or two; a leak would be hundreds.
    assert!(after.1 <= before.1 + 8, "{before:?} {after:?}");
}

#[test]
fn machines_live_side_by_side() {
    require!(LONG);
    let _turn = alone();
    let mut machines: Vec<_> = (0..20).map(|_| machine(LONG, GUEST, &[])).collect();
    for (index, machine) in machines.iter_mut().enumerate() {
        machine.memory().write(0x500, &[index as u8]).unwrap();
        assert_eq!(exit(&run(machine)), &Exit::Hlt);
    }
    for (index, machine) in machines.iter().enumerate() {
        assert_eq!(common::read(machine, 0x400), [42]);
        assert_eq!(common::read(machine, 0x500), [index as u8]);
    }
}

#[test]
fn memory_outlives_its_machine() {
    require!(LONG);
    let _turn = alone();
    let mut machine = machine(LONG, GUEST, &[]);
    assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
    let memory = Arc::clone(machine.memory());
    drop(machine);
    let mut word = [0; 4];
    memory.read(0x400, &mut word).unwrap();
    assert_eq!(word, [42, 0, 0, 0]);
    memory.write(0x400, &[1, 2, 3, 4]).unwrap();
    memory.read(0x400, &mut word).unwrap();
    assert_eq!(word, [1, 2, 3, 4]);
    assert_eq!(memory.host_range(0).unwrap().bytes, 2 << 20);
}

#[test]
fn memory_is_committed_by_the_first_touch() {
    require!(LONG);
    let _turn = alone();
    let before = resident_kib();
    let mut machine = Machine::new(MachineConfig {
        memory_bytes: 2 << 30,
        ..config(LONG, GUEST, &[])
    })
    .unwrap();
    assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
    // The last page is there all the same.
    machine.memory().write((2 << 30) - 1, &[7]).unwrap();
    let raised = resident_kib().saturating_sub(before);
    assert!(raised < 10 << 10, "{raised} KiB");
}

/// The flags of the mapping that holds an address (`VmFlags` in proc(5), `smaps`).
fn flags_at(address: usize) -> String {
    let text = fs::read_to_string("/proc/self/smaps").unwrap();
    let range = |line: &str| {
        let (start, end) = line.split_whitespace().next()?.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        Some(number(start)?..number(end)?)
    };
    let mut lines = text.lines();
    lines.find(|line| range(line).is_some_and(|range| range.contains(&address)));
    let flags = lines.find_map(|line| line.strip_prefix("VmFlags:"));
    flags.unwrap().to_owned()
}

#[test]
fn neither_a_fork_nor_a_core_dump_takes_guest_memory_along() {
    require!(LONG);
    let _turn = alone();
    let mut config = config(LONG, GUEST, &[]);
    config.slots = vec![MemorySlot {
        gpa: 0x1000_0000,
        bytes: 64 << 20,
        read_only: false,
    }];
    let machine = Machine::new(config).unwrap();
    let start = |gpa| machine.memory().host_range(gpa).unwrap().start as usize;
    // The last one is the system slot, with the page tables.
    let last = machine.memory().slots().last().unwrap().gpa;
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let pages = maps.lines().filter(|line| line.contains("kvm-vcpu"));
    let pages =
        pages.map(|line| usize::from_str_radix(line.split_once('-').unwrap().0, 16).unwrap());
    let addresses: Vec<_> = [start(0), start(0x1000_0000), start(last)]
        .into_iter()
        .chain(pages)
        .collect();
    assert!(addresses.len() > 3, "{maps}");
    for address in addresses {
        let flags = flags_at(address);
        for wanted in ["dc", "dd"] {
            let found = flags.split(' ').any(|flag| flag == wanted);
            assert!(found, "{address:#x}:{flags}");
        }
    }
}

#[test]
fn emptied_memory_reads_zeros_and_takes_no_pages() {
    require!(LONG);
    let _turn = alone();
    let machine = Machine::new(MachineConfig {
        memory_bytes: 64 << 20,
        ..config(LONG, GUEST, &[])
    })
    .unwrap();
    let memory = Arc::clone(machine.memory());
    memory.write(0, &vec![1; 64 << 20]).unwrap();
    drop(machine);
    let before = resident_kib();
    memory.discard();
    let freed = before.saturating_sub(resident_kib());
    assert!(freed > 60 << 10, "{freed} KiB");
    let mut bytes = [1; 2];
    memory.read(0x400, &mut bytes).unwrap();
    assert_eq!(bytes, [0, 0]);
}

/// The guest memory is mapped, and the VM's descriptor is open.
fn mapped_and_open(start: usize) -> (bool, bool) {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let holds = |line: &str| {
        let number = |text| usize::from_str_radix(text, 16).ok();
        let (first, end) = line.split_whitespace().next()?.split_once('-')?;
        Some((number(first)?..number(end)?).contains(&start))
    };
    let mut files = fs::read_dir("/proc/self/fd").unwrap();
    let is_vm = |file: std::io::Result<fs::DirEntry>| {
        let link = file.ok().and_then(|file| fs::read_link(file.path()).ok());
        link.is_some_and(|link| link.to_string_lossy().contains("kvm-vm"))
    };
    (
        maps.lines().any(|line| holds(line).unwrap_or(false)),
        files.any(is_vm),
    )
}

#[test]
fn memory_lives_as_long_as_the_vm_whoever_holds_it() {
    require!(LONG);
    let _turn = alone();
    let machine = Machine::new(MachineConfig {
        irqchip: true,
        ..config(LONG, GUEST, &[])
    })
    .unwrap();
    let start = machine.memory().host_range(0).unwrap().start as usize;
    let interrupts = Arc::clone(machine.interrupts());
    assert_eq!(mapped_and_open(start), (true, true));
    drop(machine);
    assert_eq!(mapped_and_open(start), (true, true));
    interrupts.set_line(4, true).unwrap();
    drop(interrupts);
    assert_eq!(mapped_and_open(start), (false, false));
}

#[test]
fn small_memory_takes_no_huge_pages() {
    require!(LONG);
    let _turn = alone();
    if !fs::exists("/sys/kernel/mm/transparent_hugepage").unwrap() {
        skip!("this kernel has no huge pages to give");
    }
    for (megabytes, single) in [(2, true), (16, true), (64, false)] {
        let config = MachineConfig {
            memory_bytes: megabytes << 20,
            ..config(LONG, GUEST, &[])
        };
        let machine = Machine::new(config).unwrap();
        let start = machine.memory().host_range(0).unwrap().start as usize;
        let flags = flags_at(start);
        assert_eq!(
            flags.split(' ').any(|flag| flag == "nh"),
            single,
            "{megabytes} MiB:{flags}"
        );
    }
}

#[test]
fn the_host_writes_memory_while_the_guest_polls_it() {
    require!(PROTECTED);
    let _turn = alone();
    const POLL: &str = "
        80 3d 00 05 00 00 00 ; 1: cmpb $0,0x500
        74 f7                ; je 1b
        fe 05 01 05 00 00    ; incb 0x501
        f4                   ; hlt
    ";
    let mut machine = machine(PROTECTED, POLL, &[]);
    let memory = Arc::clone(machine.memory());
    let (begun, wait) = std::sync::mpsc::channel();
    let writer = std::thread::spawn(move || {
        wait.recv().unwrap();
        memory.write(0x500, &[1]).unwrap();
    });
    let kick = vmm::KickHandle::new();
    // The first tick shows that the guest runs.
    kick.nudge();
    let outcome = common::try_run(&mut machine, &kick, |_| {
        begun.send(()).unwrap();
        common::Answer::Done
    });
    writer.join().unwrap();
    assert_eq!(exit(&outcome.unwrap()), &Exit::Hlt);
    assert_eq!(common::read(&machine, 0x500), [1, 1]);
}
