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

mod board;
mod bus;
mod config;
mod counters;
mod error;
mod interrupts;
mod kvm;
pub mod limits;
mod machine;
mod offload;
mod placement;
mod probe;
mod run;

pub use boot::{CpuMode, Format, MemorySlot, Privilege};
pub use bus::feed::{EventCount, Feed};
pub use bus::ring::{Event, EventRing};
pub use bus::route::{Base, RouteConfig, RouteTable, RouteTarget};
pub use bus::watch::Watch;
pub use config::{MachineConfig, Payload};
pub use counters::{Counter, Counters, RouteCounters};
pub use devices::{Output, SerialPort};
pub use error::{Error, ErrorCode, Result};
pub use interrupts::Interrupts;
pub use kvm::exit::{BODY_BYTES, Exit, MmioAccess, PortAccess, decode};
pub use kvm::host::{Host, KVM_PATH};
pub use kvm::kick::{KickCause, KickHandle};
pub use kvm::memory::{GuestMemory, HostRange};
pub use kvm_bindings::{kvm_dtable, kvm_regs, kvm_segment, kvm_sregs};
pub use machine::Machine;
pub use placement::{PlacedPart, Placement};
pub use probe::{Capability, HostReport, ModeReport, backend, probe};
pub use run::clock::RunLimits;
pub use run::handler::{Answer, ExitHandler, Question};
pub use run::outcome::{End, ExitRecord, Outcome, Whereabouts};
pub use run::processor::Processor;
