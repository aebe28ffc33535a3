//! KVM virtual machines: memory, vCPUs in any x86 mode, and where each of its exits goes.
//!
//! ```text
//! replay ─► machine ─┬─► snapshot ─► run ─┬─► bus (routes, and what stands at each) ─┐
//!                    │                    ├─► debug, trace, profile                 │
//!                    │                    └─► interrupts ────────────────────────────┴─► kvm
//!                    └─► placement, board, offload
//! ```
//!
//! Nothing here knows who calls it: no logging, no printing. What the guest does
//! is an [`Outcome`]; only the host's failures and wrong calls are an [`Error`].

mod board;
mod bus;
mod config;
mod counters;
mod debug;
mod disks;
mod error;
mod interrupts;
mod kvm;
pub mod limits;
mod machine;
mod offload;
mod placement;
mod probe;
mod profile;
mod replay;
mod run;
mod screen;
mod snapshot;
mod trace;
mod user;

pub use board::Panel;
pub use boot::code::{CodeSize, Instruction, MemoryOperand, disassemble};
pub use boot::paging::{
    Miss, MissReason, Page, PagingFeatures, PagingState, Step, TableLevel, Walk, walk,
};
pub use boot::state::spin::mailbox as user_mailbox;
pub use boot::{
    CpuMode, Faults, Format, MemorySlot, Privilege, Screen, each_faults, each_format,
    each_miss_reason, each_mode, each_privilege, each_table_level,
};
pub use bus::{
    Base, Claim, Counter, EventCount, Feed, PostedRing, PostedWrite, RouteConfig, RouteCounters,
    RouteId, RouteTarget, Watch,
};
pub use config::{MachineConfig, Payload};
pub use counters::{CountedRoute, Counters};
pub use debug::{
    Activity, CodeSpace, DebugMeans, Fault, Hit, HitKind, Int3, Means, Place, Sample, Sampler,
    Samples, Stack, Stop, StopAt, StopKind, Stops, VirtualMemory, WatchOn, Watched,
};
pub use devices::{
    Device, DiskAsked, DiskRequest, HostBell, KeyboardPort, NicCounts, Output, PowerButton,
    PowerRequest, Pushed, Remote, RemoteDisk, RemoteNic, RemotePort, Remotes, SerialPort,
};
pub use disks::{DiskConfig, DiskSource};
pub use error::{Error, ErrorCode, Result};
pub use interrupts::Interrupts;
pub use kvm::exit::{BODY_BYTES, Exit, MmioAccess, PortAccess, decode};
pub use kvm::host::{Host, KVM_PATH, backend};
pub use kvm::kick::{IDLE_THREAD, KickCause, KickHandle, VCPU_THREAD, name_thread};
pub use kvm::memory::{GuestMemory, HostRange};
pub use kvm_bindings::{
    kvm_debugregs, kvm_dtable, kvm_regs, kvm_segment, kvm_sregs, kvm_vcpu_events,
};
pub use linux::{
    Entry as UserEntry, HostRoot as UserRoot, Kind as UserKind, Mount as UserMount,
    Setup as UserFiles, Source as UserSource, WatchedCalls, system_calls,
};
pub use machine::{Machine, trim_spares};
pub use placement::{PlacedPart, Placement};
pub use probe::{Capability, HostReport, ModeReport, probe};
pub use profile::Sampling;
pub use replay::{Exception, LastInstruction, Replay, ReplayLimits, replay};
pub use run::{
    At, End, ExitHandler, ExitRecord, LeftOpen, Outcome, Processor, ProcessorState, ReadAnswer,
    Reply, RunLimits, Shutdown, Steps, StopAnswer, StopMeans, Unanswered, Whereabouts, WriteAnswer,
};
pub use screen::ScreenView;
pub use snapshot::{Difference, LoadOptions, Others, Snapshot};
pub use trace::{RECORD_WORDS, REGISTER_WORDS, Trace, TraceCopy, TraceSlot, flags as trace_flags};
pub use user::{UserConfig, UserProgram, UserStop};
