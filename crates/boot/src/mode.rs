//! The states of a processor in which a guest can start.

use serde::{Deserialize, Serialize};

use crate::limits::MAX_GPA;
use crate::named::named;

/// The mode in which the vCPU executes its first instruction (Intel SDM vol. 3A §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum CpuMode {
    /// 16-bit real-address mode.
    Real,
    /// 32-bit protected mode, flat segments, no paging.
    Protected,
    /// 32-bit protected mode with 4 MiB pages.
    Paged32,
    /// 64-bit mode with 2 MiB pages.
    Long,
}

/// Hands every mode and its name to a macro, after what is given.
#[macro_export]
macro_rules! each_mode {
    ($call:ident $($given:tt)*) => {
        $call! { $($given)* { Real = "real", Protected = "protected", Paged32 = "paged32", Long = "long" } }
    };
}
each_mode!(named CpuMode);

impl CpuMode {
    /// The first address that the mode's instruction pointer cannot reach.
    pub const fn entry_end(self) -> u64 {
        match self {
            Self::Real => 1 << 20,
            Self::Protected | Self::Paged32 => 1 << 32,
            Self::Long => MAX_GPA,
        }
    }
}

/// With what privilege the guest starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// CPL 0.
    Kernel,
    /// CPL 3 with IOPL 3, long mode only.
    User,
}

/// As `each_mode`, with every privilege.
#[macro_export]
macro_rules! each_privilege {
    ($call:ident $($given:tt)*) => {
        $call! { $($given)* { Kernel = "kernel", User = "user" } }
    };
}
each_privilege!(named Privilege);

/// What becomes of a fault that the guest has no handler for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// A trap table of ours catches it.
    Report,
    /// It shuts the vCPU down.
    Off,
}

/// As `each_mode`, with every way.
#[macro_export]
macro_rules! each_faults {
    ($call:ident $($given:tt)*) => {
        $call! { $($given)* { Report = "report", Off = "off" } }
    };
}
each_faults!(named Faults);
