//! What the tests share: machines made from listings, runs that end for sure, and skips.
// Every test program uses a part of it, and a panic is a test's report.
#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod asking;
pub mod attaching;
pub mod virtio;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use asking::{Answer, Question, handler, handlers};
use vmm::{
    Base, CpuMode, End, ErrorCode, Exit, Feed, Host, HostReport, KickHandle, Machine,
    MachineConfig, Outcome, Privilege, RouteConfig, RouteCounters, RouteId, RouteTarget, RunLimits,
    kvm_regs,
};

/// The mode and the ring of a guest's first instruction.
pub type Cpu = (CpuMode, Privilege);

pub const REAL: Cpu = (CpuMode::Real, Privilege::Kernel);
pub const PROTECTED: Cpu = (CpuMode::Protected, Privilege::Kernel);
pub const PAGED32: Cpu = (CpuMode::Paged32, Privilege::Kernel);
pub const LONG: Cpu = (CpuMode::Long, Privilege::Kernel);
pub const USER: Cpu = (CpuMode::Long, Privilege::User);

/// What runs everywhere and takes the same bytes for the instructions that the tests use.
pub const FLAT: [Cpu; 3] = [PROTECTED, LONG, USER];

/// Console text that ends up in the outcome.
pub const CONSOLE: RouteTarget = RouteTarget::Console { deliver: false };

/// Console text that goes to the handler.
pub const DELIVER: RouteTarget = RouteTarget::Console { deliver: true };

/// Ends a run that would otherwise hang; no test waits for it.
pub const LIMITS: RunLimits = RunLimits {
    timeout: Some(Duration::from_secs(300)),
    tick: None,
    time_kvm_run: false,
    exits: None,
    steps: None,
};

/// Returns from a test that cannot run here: no KVM, or one that cannot run the mode.
macro_rules! require {
    ($($cpu:expr),*) => {
        if let Some(reason) = $crate::common::missing(&[$($cpu),*]) {
            skip!("{reason}");
        }
    };
}

/// Returns from a test, saying which and why.
macro_rules! skip {
    ($($reason:tt)+) => {{
        fn here() {}
        let name = std::any::type_name_of_val(&here).trim_end_matches("::here");
        println!("skipped: {name}: {}", format_args!($($reason)+));
        return;
    }};
}

/// Why this machine cannot run one of `cpus`.
pub fn missing(cpus: &[Cpu]) -> Option<String> {
    if let Err(error) = Host::get() {
        let required = std::env::var("VMEXIT_REQUIRE_KVM").is_ok_and(|value| value == "1");
        assert!(
            error.code == ErrorCode::KvmUnavailable && !required,
            "{error}"
        );
        return Some(error.message);
    }
    let report = |(mode, privilege): &Cpu| {
        let mut modes = probe().modes.iter();
        modes.find(|report| report.mode == *mode && report.privilege == *privilege)
    };
    cpus.iter().filter_map(report).find_map(|report| {
        let (mode, end) = (report.mode.name(), report.reason.as_deref()?);
        Some(format!("mode '{mode}' ends with {end} on this KVM"))
    })
}

/// The report of this process, made once.
pub fn probe() -> &'static HostReport {
    static REPORT: OnceLock<HostReport> = OnceLock::new();
    REPORT.get_or_init(|| vmm::probe().unwrap())
}

/// The count, or a tenth of it where exits are slow, as in an emulated processor.
pub fn affordable(count: usize) -> usize {
    const SLOW_EXIT_NS: f64 = 20_000.0;
    if probe().exit_cost_ns > SLOW_EXIT_NS {
        count.div_ceil(10)
    } else {
        count
    }
}

/// Machine code from a listing: in each line hexadecimal bytes, a semicolon, the disassembly.
pub fn code(listing: &str) -> Vec<u8> {
    let bytes = listing.lines().filter_map(|line| line.split(';').next());
    bytes
        .flat_map(str::split_whitespace)
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}

pub fn config(
    (mode, privilege): Cpu,
    listing: &str,
    routes: &[RouteConfig],
) -> MachineConfig<'static> {
    MachineConfig {
        privilege,
        routes: routes.to_vec(),
        ..MachineConfig::new(mode, code(listing))
    }
}

/// 2 MiB of memory with the guest at 0, where it starts.
pub fn machine(cpu: Cpu, listing: &str, routes: &[RouteConfig]) -> Machine {
    made(config(cpu, listing, routes))
}

/// The machine of a configuration that is right.
pub fn made(config: MachineConfig<'_>) -> Machine {
    Machine::new(config).unwrap()
}

pub fn port(port: u16, length: u64, target: RouteTarget) -> RouteConfig {
    let base = Base::Port(port);
    RouteConfig {
        base,
        length,
        target,
    }
}

pub fn gpa(gpa: u64, length: u64, target: RouteTarget) -> RouteConfig {
    let base = Base::Gpa(gpa);
    RouteConfig {
        base,
        length,
        target,
    }
}

/// Where the posted writes of the only posted route wait.
pub fn feed(machine: &Machine) -> Feed {
    machine.feeds()[0].1.clone()
}

/// The counts of a route.
pub fn counts(machine: &Machine, route: u32) -> Arc<RouteCounters> {
    machine.counters().route(RouteId::new(route)).unwrap()
}

/// Changes general registers; the others keep their values.
pub fn set(machine: &mut Machine, change: impl FnOnce(&mut kvm_regs)) {
    let mut registers = machine.registers().unwrap();
    change(&mut registers);
    machine.set_registers(&registers).unwrap();
}

/// Runs to the next exit that no route claims.
pub fn run(machine: &mut Machine) -> Outcome {
    run_with(machine, |_| Answer::End)
}

pub fn run_with(machine: &mut Machine, handler: impl FnMut(Question<'_>) -> Answer) -> Outcome {
    try_run(machine, &KickHandle::new(), handler).unwrap()
}

pub fn try_run(
    machine: &mut Machine,
    kick: &KickHandle,
    mut handler: impl FnMut(Question<'_>) -> Answer,
) -> vmm::Result<Outcome> {
    machine.run(kick, LIMITS, &mut asking::handler(&mut handler))
}

/// A run in which nothing is asked.
pub fn run_silently(machine: &mut Machine) -> Outcome {
    run_with(machine, |question| panic!("{question:?}"))
}

/// The exit that ended a run.
pub fn exit(outcome: &Outcome) -> &Exit {
    match &outcome.end {
        End::Exit(record) => &record.exit,
        end => panic!("{end:?}"),
    }
}

/// The code of a run that ended through a `stop` route.
pub fn exit_code(outcome: &Outcome) -> u32 {
    match &outcome.end {
        End::ExitPort { code, .. } => *code,
        end => panic!("{end:?}"),
    }
}

pub fn read<const N: usize>(machine: &Machine, gpa: u64) -> [u8; N] {
    let mut bytes = [0; N];
    machine.memory().read(gpa, &mut bytes).unwrap();
    bytes
}

pub fn read_vec(machine: &Machine, gpa: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    machine.memory().read(gpa, &mut bytes).unwrap();
    bytes
}

/// Bytes that differ from their neighbours, and from page to page.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + i / 251 + 1) as u8).collect()
}

/// A question, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Route, offset, size.
    Read(usize, u32, u8),
    /// Route, offset, size, value.
    Write(usize, u32, u8, u64),
    /// Route, bytes.
    Console(usize, Vec<u8>),
    /// Exit, bytes.
    Unclaimed(Exit, Vec<u8>),
    Tick,
    Posted,
    Full,
}

impl From<&Question<'_>> for Asked {
    fn from(question: &Question<'_>) -> Self {
        match *question {
            Question::Read {
                route,
                offset,
                size,
                vcpu: 0,
            } => Self::Read(route, offset, size),
            Question::Write {
                route,
                offset,
                size,
                value,
                vcpu: 0,
            } => Self::Write(route, offset, size, value),
            Question::Console { route, bytes } => Self::Console(route, bytes.to_vec()),
            Question::Unclaimed { exit, data } => Self::Unclaimed(exit.clone(), data.to_vec()),
            Question::Tick => Self::Tick,
            Question::Posted => Self::Posted,
            Question::Full { .. } => Self::Full,
            Question::Read { vcpu, .. } | Question::Write { vcpu, .. } => panic!("vCPU {vcpu}"),
        }
    }
}
