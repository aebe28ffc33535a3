// A panic is what is tested.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Mutex;

use vmm::{At, Base, CpuMode, MachineConfig, Reply, RouteConfig, RouteTarget};

use super::*;

/// Asks, and halts.
const READ: [u8; 3] = [0xe4, 0x60, 0xf4];

/// What is counted belongs to the whole process, so these tests take turns.
static TURN: Mutex<()> = Mutex::new(());

/// `None` where no machine can run.
fn life() -> Option<Lifecycle> {
    if let Err(error) = vmm::Host::get() {
        println!("skipped: {}", error.message);
        return None;
    }
    let mut config = MachineConfig::new(CpuMode::Real, READ.to_vec());
    config.routes = vec![RouteConfig {
        base: Base::Port(0x60),
        length: 1,
        target: RouteTarget::Device,
    }];
    match Machine::new(config) {
        Ok(machine) => Some(Lifecycle::new(machine)),
        Err(error) => panic!("{error}"),
    }
}

fn vm_files() -> usize {
    let files = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    let links = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    links
        .filter(|link| link.to_string_lossy().contains("kvm-v"))
        .count()
}

/// The vCPU that a process keeps from its first machine on.
const ANCHOR: usize = 1;

/// Whether so many descriptors are left soon: another thread ends machines.
fn are_left(files: usize) -> bool {
    let look = || {
        std::thread::sleep(std::time::Duration::from_millis(10));
        vm_files() == files
    };
    (0..30_000).any(|_| look())
}

struct Panics;

impl ExitHandler for Panics {
    fn read(&mut self, _: At) -> Reply<Option<u64>> {
        panic!("on purpose")
    }
}

fn assert_closed(life: &Lifecycle) {
    let code = |result: Result<()>| result.err().map(|error| error.code);
    let closed = Some(ErrorCode::VmClosed);
    assert!(life.is_closed());
    assert_eq!(code(life.with_idle(|_| Ok(()))), closed);
    assert_eq!(code(life.handles.memory().map(drop)), closed);
    assert_eq!(code(life.handles.interrupts().map(drop)), closed);
    let run = life.run_here(RunLimits::default(), &mut Panics);
    assert_eq!(code(run.map(drop)), closed);
    assert!(are_left(ANCHOR), "{}", vm_files());
}

#[test]
fn a_panic_in_a_run_closes_the_machine() -> Result<()> {
    let _turn = TURN.lock();
    let Some(life) = life() else { return Ok(()) };
    let memory = life.handles.memory()?;
    memory.write(0x500, &[7])?;
    let error = life
        .run_here(RunLimits::default(), &mut Panics)
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::Internal);
    assert!(error.message.contains("on purpose"), "{error}");
    assert_closed(&life);
    // What a buffer would keep is empty.
    let mut byte = [1];
    memory.read(0x500, &mut byte)?;
    assert_eq!(byte, [0]);
    assert_eq!(life.counters.total_exits(), 1);
    Ok(())
}

#[test]
fn a_panic_in_any_other_call_closes_the_machine() {
    let _turn = TURN.lock();
    let Some(life) = life() else { return };
    let call = |life: &Lifecycle| life.with_idle(|_| -> Result<()> { panic!("on purpose") });
    assert_eq!(life.guarded(call).unwrap_err().code, ErrorCode::Internal);
    assert_closed(&life);
}

#[test]
fn an_ordinary_failure_closes_nothing() {
    let _turn = TURN.lock();
    let Some(life) = life() else { return };
    let failed = life.guarded(|_| -> Result<()> { Err(busy()) });
    assert_eq!(failed.unwrap_err().code, ErrorCode::VmBusy);
    assert!(!life.is_closed());
    assert!(life.with_idle(|_| Ok(())).is_ok());
    assert!(are_left(ANCHOR + 2), "{}", vm_files());
}
