//! KVM virtual machines: memory, vCPUs in any x86 mode, and where each of its exits goes.
//!
//! ```text
//! config ──► machine ──► run: enter ─► decode ─► route ─► answer ─► enter …
//!            │  │  └─ vcpu, kick, timekeeper      │          │
//!            │  └──── memory, boot                routes     devices (Rust) or the handler
//!            └─────── host (/dev/kvm)
//! ```
//!
//! Nothing here knows who calls it: no logging, no serialisation, no printing. What the guest does is an
//! [`Outcome`]; only the host's failures and wrong calls are an [`Error`].

mod access;
mod ask;
mod bare;
mod board;
mod bus;
mod coalescing;
mod config;
mod counters;
mod device;
mod error;
mod events;
mod exit;
mod feed;
mod gate;
mod handler;
mod host;
mod interrupts;
mod irqchip;
mod kernel;
mod kick;
pub mod limits;
mod machine;
mod memory;
mod outcome;
mod placement;
mod post;
mod probe;
mod processor;
mod ring;
mod routes;
mod run;
mod timekeeper;
mod together;
mod vcpu;
mod vm;
mod watch;
mod whereabouts;

pub use boot::{CpuMode, Format, MemorySlot, Privilege, each_format, each_mode, each_privilege};
pub use config::{MachineConfig, Payload};
pub use counters::{Counter, Counters, RouteCounters};
pub use devices::{Output, PowerRequest, SerialPort};
pub use error::{Error, ErrorCode, Result};
pub use exit::{BODY_BYTES, Exit, MmioAccess, PortAccess, decode};
pub use feed::{EventCount, Feed};
pub use handler::{Answer, ExitHandler, Question};
pub use host::{Host, KVM_PATH};
pub use interrupts::Interrupts;
pub use kick::{KickCause, KickHandle};
pub use kvm_bindings::{kvm_dtable, kvm_regs, kvm_segment, kvm_sregs};
pub use machine::Machine;
pub use memory::{GuestMemory, HostRange};
pub use outcome::{End, ExitRecord, Outcome, Whereabouts};
pub use placement::{PlacedPart, Placement};
pub use probe::{Capability, HostReport, ModeReport, backend, probe};
pub use processor::Processor;
pub use ring::{Event, EventRing};
pub use routes::{Base, RouteConfig, RouteTable, RouteTarget};
pub use timekeeper::RunLimits;
pub use watch::Watch;
