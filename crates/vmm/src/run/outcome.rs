//! How a run ended.

use std::time::Duration;

use devices::{Output, PowerRequest};
use kvm_bindings::kvm_sregs;
use serde::{Deserialize, Serialize};

use crate::bus::RouteId;
use crate::debug::{Fault, Hit, HitKind};
use crate::kvm::exit::Exit;
use crate::kvm::kick::KickCause;

/// An exit with what came with it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ExitRecord {
    /// Why KVM returned.
    pub exit: Exit,
    /// What the guest wrote, all items in order; empty for everything but writes.
    pub data: Vec<u8>,
}

/// Why a run ended. Whatever the guest does is one of these, never an error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum End {
    /// An exit that ends a run (halt, shutdown, …), or a port or MMIO exit that nothing claims.
    Exit(ExitRecord),
    /// A write to a `stop` route.
    ExitPort {
        /// The low 32 bits of what the guest wrote.
        code: u32,
        /// The exit itself.
        record: ExitRecord,
    },
    /// The guest turned the machine off, or wants it to start again.
    Power {
        /// Which of the two.
        request: PowerRequest,
        /// The write that did it.
        record: ExitRecord,
    },
    /// It was ended from outside.
    Kicked(KickCause),
    /// The trap table has caught a fault. The vCPU is at its instruction.
    Fault(Fault),
    /// A breakpoint, a watchpoint, or as many instructions as were wanted.
    Stop(Hit),
}

impl End {
    /// The name as users see it: an exit's, or `exit-port`, `reset`, `power-off`, `timeout`,
    /// `stopped`, `fault`, `step`, `breakpoint`, `watchpoint`, `instruction-limit`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Exit(record) => record.exit.name(),
            Self::ExitPort { .. } => "exit-port",
            Self::Power { request, .. } => match request {
                PowerRequest::Reset => "reset",
                PowerRequest::Off => "power-off",
            },
            Self::Kicked(KickCause::Timeout) => "timeout",
            Self::Kicked(KickCause::Reset) => "reset",
            Self::Kicked(_) => "stopped",
            Self::Fault(_) => "fault",
            Self::Stop(hit) => match hit.kind {
                HitKind::Step => "step",
                HitKind::Breakpoint => "breakpoint",
                HitKind::Watchpoint => "watchpoint",
                HitKind::InstructionLimit => "instruction-limit",
            },
        }
    }
}

/// Where a vCPU was.
#[derive(Clone, Debug, PartialEq)]
pub struct Whereabouts {
    /// Index of the vCPU.
    pub vcpu: u32,
    /// RIP, relative to the base of CS.
    pub rip: u64,
    /// The selector in CS.
    pub cs: u16,
    /// `real`, `protected`, `paged32`, `long`, `compatibility` or `virtual-8086`.
    pub mode: &'static str,
    /// The bytes at RIP, up to 15.
    pub bytes: Vec<u8>,
    /// Its special registers.
    pub special: kvm_sregs,
}

/// What KVM has kept of a vCPU that shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// The exception that no handler could be entered for, if KVM names one.
    pub vector: Option<u8>,
    /// Registers are the guest's; else KVM has reset them.
    pub registers_kept: bool,
}

/// The result of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Why it ended.
    pub end: End,
    /// Index of the vCPU that ended it; none when it was ended from outside.
    pub vcpu: Option<u32>,
    /// Where that vCPU was, or the first at a time-out; only if the guest crashed or ran out of
    /// time, and if KVM has kept it.
    pub whereabouts: Option<Whereabouts>,
    /// More of a shutdown; none after any other end.
    pub shutdown: Option<Shutdown>,
    /// Console text without a handler.
    pub output: Output,
    /// Console text for handlers that they have yet to get, by route.
    pub undelivered: Vec<(RouteId, Vec<u8>)>,
    /// VM exits during this run.
    pub exits: u64,
    /// Instructions that were executed one by one, if the run was limited by them.
    pub instructions: u64,
    /// Time from the first entry to the last exit.
    pub duration: Duration,
}
