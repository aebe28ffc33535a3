//! What this machine's KVM can do, found out by trying.

use std::time::{Duration, Instant};

use boot::{CpuMode, Privilege};
use kvm_ioctls::Cap;

use crate::bus::{Base, RouteConfig, RouteTarget};
use crate::config::MachineConfig;
use crate::error::Result;
use crate::kvm::host::Host;
use crate::kvm::kick::{KickCause, KickHandle};
use crate::machine::Machine;
use crate::offload::coalescing;
use crate::run::{At, End, ExitHandler, Reply, RunLimits};

/// A mode whose first instructions hang counts as one that this KVM cannot run.
const PROBE_TIMEOUT: Duration = Duration::from_secs(60);

/// What else the host does makes turns longer, and none shorter: the fastest one tells what an exit
/// costs.
const COST_TURNS: u32 = 8;

/// Exits of one turn.
const COST_EXITS: u32 = 250;

/// `mov al, 42; out 0xf4, al; jmp $-4`: the same bytes in all modes.
const PROBE_GUEST: [u8; 6] = [0xb0, 42, 0xe6, 0xf4, 0xeb, 0xfc];

/// One capability by its kernel name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// As in `linux/kvm.h`.
    pub name: &'static str,
    /// What `KVM_CHECK_EXTENSION` answers; 0 is "no".
    pub value: i32,
}

/// Whether a mode runs here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModeReport {
    /// The mode.
    pub mode: CpuMode,
    /// The ring.
    pub privilege: Privilege,
    /// How the probe's guest ended, when not as it should.
    pub reason: Option<String>,
}

/// What was found out about the host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostReport {
    /// `KVM_GET_API_VERSION`.
    pub api_version: i32,
    /// Capabilities that this crate uses or that a user may ask for.
    pub capabilities: Vec<Capability>,
    /// Every mode.
    pub modes: Vec<ModeReport>,
    /// Whether several vCPUs may fill the kernel's ring of coalesced writes and none is lost;
    /// `None` where there is no such ring.
    pub shares_coalesced_ring: Option<bool>,
    /// Cost of one port exit from long mode, in nanoseconds: the mean of the fastest of some turns.
    pub exit_cost_ns: f64,
}

/// Tries every mode and measures an exit. Takes milliseconds.
///
/// # Errors
/// `KvmUnavailable`, `KvmCapability` or `KvmIoctl` when no machine can be made at all.
pub fn probe() -> Result<HostReport> {
    let host = Host::get()?;
    let kernel = CpuMode::ALL.map(|mode| (mode, Privilege::Kernel));
    let modes = kernel.into_iter().chain([(CpuMode::Long, Privilege::User)]);
    Ok(HostReport {
        api_version: host.kvm.get_api_version(),
        capabilities: capabilities(host),
        modes: modes
            .map(|(mode, privilege)| probe_mode(mode, privilege))
            .collect::<Result<_>>()?,
        shares_coalesced_ring: shares_coalesced_ring(host)?,
        exit_cost_ns: exit_cost_ns()?,
    })
}

fn shares_coalesced_ring(host: &Host) -> Result<Option<bool>> {
    if host.kvm.check_extension_int(Cap::CoalescedPio) <= 0 {
        return Ok(None);
    }
    Ok(Some(!coalescing::loses_writes(host)?))
}

fn capabilities(host: &Host) -> Vec<Capability> {
    [
        (Cap::UserMemory, "KVM_CAP_USER_MEMORY"),
        (Cap::ImmediateExit, "KVM_CAP_IMMEDIATE_EXIT"),
        (Cap::ExtCpuid, "KVM_CAP_EXT_CPUID"),
        (Cap::ReadonlyMem, "KVM_CAP_READONLY_MEM"),
        (Cap::NrMemslots, "KVM_CAP_NR_MEMSLOTS"),
        (Cap::MaxVcpus, "KVM_CAP_MAX_VCPUS"),
        (Cap::Irqchip, "KVM_CAP_IRQCHIP"),
        (Cap::Pit2, "KVM_CAP_PIT2"),
        (Cap::Ioeventfd, "KVM_CAP_IOEVENTFD"),
        (Cap::Irqfd, "KVM_CAP_IRQFD"),
        (Cap::CoalescedMmio, "KVM_CAP_COALESCED_MMIO"),
        (Cap::CoalescedPio, "KVM_CAP_COALESCED_PIO"),
        (Cap::SyncRegs, "KVM_CAP_SYNC_REGS"),
        (Cap::SetGuestDebug, "KVM_CAP_SET_GUEST_DEBUG"),
        (Cap::Xsave, "KVM_CAP_XSAVE"),
        (Cap::TscControl, "KVM_CAP_TSC_CONTROL"),
    ]
    .map(|(capability, name)| Capability {
        name,
        value: host.kvm.check_extension_int(capability),
    })
    .to_vec()
}

fn probe_machine(mode: CpuMode, privilege: Privilege, target: RouteTarget) -> Result<Machine> {
    let route = RouteConfig {
        base: Base::Port(0xf4),
        length: 1,
        target,
    };
    Machine::new(MachineConfig {
        privilege,
        routes: vec![route],
        ..MachineConfig::new(mode, &PROBE_GUEST[..])
    })
}

fn probe_mode(mode: CpuMode, privilege: Privilege) -> Result<ModeReport> {
    let mut machine = probe_machine(mode, privilege, RouteTarget::Stop)?;
    let limits = RunLimits {
        timeout: Some(PROBE_TIMEOUT),
        ..RunLimits::default()
    };
    let outcome = machine.run(&KickHandle::new(), limits, &mut ());
    let reason = match outcome.map(|outcome| outcome.end) {
        Ok(End::ExitPort { code: 42, .. }) => None,
        Ok(End::ExitPort { code, .. }) => Some(format!("exit code {code} instead of 42")),
        Ok(end) => Some(end.name().to_owned()),
        Err(error) => Some(error.message),
    };
    Ok(ModeReport {
        mode,
        privilege,
        reason,
    })
}

/// Times the exits that it answers, and ends the run after enough of them.
struct Stopwatch<'a> {
    kick: &'a KickHandle,
    exits: u32,
    begin: Instant,
    fastest: Duration,
}

impl ExitHandler for Stopwatch<'_> {
    fn write(&mut self, _: At, _: u64) -> Reply<()> {
        // The first exit comes from the first entry, which is slower.
        if self.exits.is_multiple_of(COST_EXITS) {
            let now = Instant::now();
            if self.exits > 0 {
                self.fastest = self.fastest.min(now - self.begin);
            }
            self.begin = now;
        }
        if self.exits == COST_TURNS * COST_EXITS {
            self.kick.kick(KickCause::Stop);
        }
        self.exits += 1;
        Ok(())
    }
}

/// The guest of the probe makes one exit after another; the handler ends it.
fn exit_cost_ns() -> Result<f64> {
    let mut machine = probe_machine(CpuMode::Long, Privilege::Kernel, RouteTarget::Device)?;
    let kick = KickHandle::new();
    let mut stopwatch = Stopwatch {
        kick: &kick,
        exits: 0,
        begin: Instant::now(),
        fastest: PROBE_TIMEOUT,
    };
    let limits = RunLimits {
        timeout: Some(PROBE_TIMEOUT),
        ..RunLimits::default()
    };
    machine.run(&kick, limits, &mut stopwatch)?;
    Ok(stopwatch.fastest.as_secs_f64() * 1e9 / f64::from(COST_EXITS))
}
