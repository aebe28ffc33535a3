//! The states of a processor in which a guest can start.

use crate::limits::MAX_GPA;

/// The mode in which the vCPU executes its first instruction (Intel SDM vol. 3A §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl CpuMode {
    /// All modes, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Real, Self::Protected, Self::Paged32, Self::Long];

    /// The name as users write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Protected => "protected",
            Self::Paged32 => "paged32",
            Self::Long => "long",
        }
    }

    /// The first address that the mode's instruction pointer cannot reach.
    pub const fn entry_end(self) -> u64 {
        match self {
            Self::Real => 1 << 20,
            Self::Protected | Self::Paged32 => 1 << 32,
            Self::Long => MAX_GPA,
        }
    }
}

/// The ring in which the guest starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// CPL 0.
    Kernel,
    /// CPL 3 with IOPL 3, long mode only.
    User,
}

impl Privilege {
    /// The name as users write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::User => "user",
        }
    }
}
