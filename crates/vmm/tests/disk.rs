//! Disks: what a driver in the guest reads and writes, and the files behind.
// A panic is a test's report.
#![allow(clippy::unwrap_used)]

#[macro_use]
mod common;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use vmm::{DiskConfig, DiskSource, ErrorCode, Machine, MachineConfig};
use vmm_sys_util::tempfile::TempFile;

use common::virtio::{BUFFERS, NEXT, Steps, WRITE, describe, offer, pc, used, used_index};
use common::{PROTECTED, exit_code};

const SECTOR: usize = 512;
/// The entropy device comes first.
const DISK: u64 = 1;
const STATUS: u64 = BUFFERS + 0x1000;
const DATA: u64 = BUFFERS + 0x2000;
const SIZE: u16 = 8;
const FLUSH: u64 = 1 << 9;

fn image(sectors: usize) -> TempFile {
    let file = TempFile::new().unwrap();
    let bytes: Vec<_> = (0..sectors * SECTOR)
        .map(|at| (at / SECTOR) as u8)
        .collect();
    file.as_file().write_all_at(&bytes, 0).unwrap();
    file
}

fn disk(path: &Path) -> DiskConfig {
    DiskConfig {
        source: DiskSource::File(path.to_path_buf()),
        read_only: false,
        volatile: false,
    }
}

fn with(disks: Vec<DiskConfig>) -> MachineConfig<'static> {
    MachineConfig { disks, ..pc() }
}

/// Request number `number`, counted from 0: the guest asks, waits for its end, and stops.
fn ask(machine: &mut Machine, number: u16, kind: u32, sector: u64, bytes: u32) -> u8 {
    let mut header = [0; 16];
    header[..4].copy_from_slice(&kind.to_le_bytes());
    header[8..].copy_from_slice(&sector.to_le_bytes());
    machine.memory().write(BUFFERS, &header).unwrap();
    machine.memory().write(STATUS, &[0xee]).unwrap();
    let flags = if kind == 0 { NEXT | WRITE } else { NEXT };
    describe(
        machine,
        0,
        0,
        (BUFFERS, 16),
        NEXT,
        if bytes > 0 { 1 } else { 2 },
    );
    describe(machine, 0, 1, (DATA, bytes), flags, 2);
    describe(machine, 0, 2, (STATUS, 1), WRITE, 0);
    offer(machine, 0, number, SIZE, 0);
    let steps = match number {
        0 => Steps::new(DISK).start(FLUSH, &[SIZE.into()]),
        _ => Steps::new(DISK),
    };
    let steps = steps.ring(0).wait(used(0) + 2, number + 1);
    steps.stop(1).put(machine);
    assert_eq!(exit_code(&common::run(machine)), 1);
    assert_eq!(used_index(machine, 0), number + 1);
    common::read::<1>(machine, STATUS)[0]
}

fn data(machine: &Machine, bytes: usize) -> Vec<u8> {
    common::read_vec(machine, DATA, bytes)
}

#[test]
fn a_guest_reads_and_writes_a_file() {
    require!(PROTECTED);
    let file = image(64);
    let mut machine = Machine::new(with(vec![disk(file.as_path())])).unwrap();
    assert_eq!(ask(&mut machine, 0, 0, 5, 1024), 0);
    let read = data(&machine, 1024);
    assert_eq!((read[0], read[511], read[512], read[1023]), (5, 5, 6, 6));
    machine.memory().write(DATA, &[0xab; 512]).unwrap();
    assert_eq!(ask(&mut machine, 1, 1, 63, 512), 0);
    assert_eq!(ask(&mut machine, 2, 4, 0, 0), 0);
    let written = fs::read(file.as_path()).unwrap();
    assert_eq!(written[63 * SECTOR..], [0xab; 512]);
    assert_eq!(
        written[..63 * SECTOR],
        fs::read(image(63).as_path()).unwrap()
    );
    assert_eq!(ask(&mut machine, 3, 0, 64, 512), 1);
}

#[test]
fn a_volatile_disk_leaves_the_file_as_it_is_and_goes_back_with_a_snapshot() {
    require!(PROTECTED);
    let file = image(64);
    let volatile = DiskConfig {
        volatile: true,
        ..disk(file.as_path())
    };
    let mut machine = Machine::new(with(vec![volatile])).unwrap();
    machine.memory().write(DATA, &[1; 512]).unwrap();
    assert_eq!(ask(&mut machine, 0, 1, 7, 512), 0);
    let base = machine.snapshot().unwrap();
    machine.memory().write(DATA, &[2; 512]).unwrap();
    assert_eq!(ask(&mut machine, 1, 1, 7, 512), 0);
    let mut fork = Machine::from_snapshot(&base, &[]).unwrap();
    machine.restore(&base).unwrap();
    for machine in [&mut machine, &mut fork] {
        assert_eq!(ask(machine, 1, 0, 7, 1024), 0);
        let read = data(machine, 1024);
        assert_eq!((read[0], read[512]), (1, 8));
    }
    machine.memory().write(DATA, &[3; 512]).unwrap();
    assert_eq!(ask(&mut machine, 2, 1, 7, 512), 0);
    assert_eq!(ask(&mut fork, 2, 0, 7, 512), 0);
    assert_eq!(data(&fork, 1), [1]);
    assert_eq!(
        fs::read(file.as_path()).unwrap(),
        fs::read(image(64).as_path()).unwrap()
    );
}

fn refused(made: vmm::Result<Machine>) -> String {
    let error = made.unwrap_err();
    assert_eq!(error.code, ErrorCode::Snapshot, "{error}");
    error.message
}

#[test]
fn a_disk_that_has_moved_on_takes_no_machine_back() {
    require!(PROTECTED);
    let (file, copy) = (image(64), image(64));
    let mut machine = Machine::new(with(vec![disk(file.as_path())])).unwrap();
    assert_eq!(ask(&mut machine, 0, 0, 0, 512), 0);
    let base = machine.snapshot().unwrap();
    // Reads move nothing.
    assert_eq!(ask(&mut machine, 1, 0, 0, 512), 0);
    machine.restore(&base).unwrap();
    let open = refused(Machine::from_snapshot(&base, &[]));
    assert!(
        open.starts_with("disks[0] (") && open.contains("machine that is open"),
        "{open}"
    );
    assert_eq!(ask(&mut machine, 1, 1, 0, 512), 0);
    let error = machine.restore(&base).unwrap_err();
    assert_eq!(error.code, ErrorCode::Snapshot);
    assert!(error.message.contains("was written to after"), "{error}");
    // It is as it was, and goes on.
    assert_eq!(ask(&mut machine, 2, 0, 0, 512), 0);
    drop(machine);
    let gone = refused(Machine::from_snapshot(&base, &[]));
    assert!(gone.contains("was written to after"), "{gone}");
    let others = vmm::Others {
        routes: Vec::new(),
        disks: vec![Some(disk(copy.as_path()))],
    };
    let mut further = Machine::from_snapshot(&base, others).unwrap();
    assert_eq!(ask(&mut further, 1, 0, 9, 512), 0);
    assert_eq!(data(&further, 1), [9]);
}

#[test]
fn an_unchanged_disk_goes_on_after_its_machine_is_gone() {
    require!(PROTECTED);
    let file = image(64);
    let mut machine = Machine::new(with(vec![disk(file.as_path())])).unwrap();
    assert_eq!(ask(&mut machine, 0, 1, 0, 512), 0);
    let base = machine.snapshot().unwrap();
    drop(machine);
    let mut further = Machine::from_snapshot(&base, &[]).unwrap();
    assert_eq!(ask(&mut further, 1, 1, 0, 512), 0);
}

#[test]
fn a_file_that_cannot_be_a_disk_is_an_error_that_says_why() {
    require!(PROTECTED);
    let (file, odd, empty) = (image(64), image(1), TempFile::new().unwrap());
    odd.as_file().set_len(1000).unwrap();
    let fails = |config: DiskConfig, part: &str| {
        let error = Machine::new(with(vec![config])).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidOption, "{error}");
        assert!(error.message.contains("disks[0].file ("), "{error}");
        assert!(error.message.contains(part), "{error}");
    };
    let folder = file.as_path().parent().unwrap();
    fails(disk(&folder.join("no-such-file")), "No such file");
    fails(disk(odd.as_path()), "multiple of 512 above 0, got 1000");
    fails(disk(empty.as_path()), "multiple of 512 above 0, got 0");
    let error = Machine::new(with(vec![disk(folder)])).unwrap_err();
    assert!(error.message.contains("got a directory"), "{error}");
    let machine = Machine::new(with(vec![disk(file.as_path())])).unwrap();
    fails(disk(file.as_path()), "is in use by another machine");
    let reads = DiskConfig {
        read_only: true,
        ..disk(file.as_path())
    };
    fails(
        reads.clone(),
        "is in use by a machine or program that writes",
    );
    drop(machine);
    let _one = Machine::new(with(vec![reads.clone()])).unwrap();
    let _two = Machine::new(with(vec![reads])).unwrap();
}

#[test]
fn disks_need_a_pc_and_have_a_limit() {
    require!(PROTECTED);
    let file = image(1);
    let reads = DiskConfig {
        read_only: true,
        ..disk(file.as_path())
    };
    let bare = MachineConfig {
        pc: false,
        ..with(vec![reads.clone()])
    };
    assert_eq!(
        Machine::new(bare).unwrap_err().code,
        ErrorCode::InvalidOption
    );
    assert_eq!(
        Machine::new(with(vec![reads.clone(); 7])).unwrap_err().code,
        ErrorCode::Limit
    );
    Machine::new(with(vec![reads; 6])).unwrap();
}
