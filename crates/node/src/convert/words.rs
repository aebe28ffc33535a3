//! Words that cross the seam: each is an enum on both sides, and TypeScript's types are made of
//! these.

use napi_derive::napi;
use vmm::{
    CpuMode, End, Exit, Faults, Format, HitKind, Int3, KickCause, MissReason, PowerRequest,
    Privilege, TableLevel, each_faults, each_format, each_miss_reason, each_mode, each_privilege,
    each_table_level,
};

/// An enum of JavaScript's by its words.
macro_rules! words {
    ($(#[$doc:meta])* $native:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[napi(string_enum)]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $native {
            $(
                #[napi(value = $name)]
                $variant,
            )+
        }

        #[allow(dead_code)]
        impl $native {
            /// All of them, in order.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];
            #[cfg(test)]
            const NAMES: &[&str] = &[$($name),+];
        }
    };
}

/// One that the core has, too; a word that is missing here does not compile.
macro_rules! of_core {
    ($(#[$doc:meta])* $native:ident for $core:ident { $($variant:ident = $name:literal),+ }) => {
        words! { $(#[$doc])* $native { $($variant = $name),+ } }

        impl From<$core> for $native {
            fn from(value: $core) -> Self {
                match value {
                    $($core::$variant => Self::$variant,)+
                }
            }
        }

        impl From<$native> for $core {
            fn from(value: $native) -> Self {
                match value {
                    $($native::$variant => Self::$variant,)+
                }
            }
        }
    };
}

each_mode! {
    of_core
    /// The mode in which the vCPU executes its first instruction (Intel SDM vol. 3A §2.2):
    /// `'real'`, 16-bit real-address mode; `'protected'`, 32 bits with flat segments; `'paged32'`,
    /// the same with 4 MiB pages; `'long'`, 64 bits with 2 MiB pages. `npx vmexit doctor` prints
    /// which of them this machine runs.
    NativeMode for CpuMode
}
each_privilege! {
    of_core
    /// With what privilege the guest starts: CPL 0, or CPL 3 with IOPL 3, which allows port I/O
    /// (long mode only).
    NativePrivilege for Privilege
}
each_faults! {
    of_core
    /// What becomes of a fault that the guest has no handler for: `'report'`, the run ends with
    /// reason `'fault'`; `'off'`, with `'shutdown'`.
    NativeFaults for Faults
}
each_format! {
    of_core
    /// The format of an image, which determines where its bytes go and where it starts.
    NativeFormat for Format
}

words! {
    /// How KVM stops at an `int3` of the host's: `'debug'`, by `KVM_EXIT_DEBUG`;
    /// `'internal-error'`, as it cannot emulate it. Either way nothing of the guest's sees it.
    NativeInt3 { Debug = "debug", InternalError = "internal-error" }
}

impl From<Int3> for NativeInt3 {
    fn from(value: Int3) -> Self {
        match value {
            Int3::Debug => Self::Debug,
            Int3::InternalError => Self::InternalError,
        }
    }
}

words! {
    /// Why KVM returned, in the kernel's words (KVM API §5, `exit_reason` of `struct kvm_run`).
    /// Each of the `…Exit` types says which `KVM_EXIT_…` it is.
    NativeExitReason {
        PioOut = "pio-out",
        PioIn = "pio-in",
        MmioWrite = "mmio-write",
        MmioRead = "mmio-read",
        Hlt = "hlt",
        Shutdown = "shutdown",
        FailEntry = "fail-entry",
        InternalError = "internal-error",
        Debug = "debug",
        SystemEvent = "system-event",
        Unknown = "unknown",
    }
}

impl From<&Exit> for NativeExitReason {
    fn from(exit: &Exit) -> Self {
        match exit {
            Exit::PioOut(_) => Self::PioOut,
            Exit::PioIn(_) => Self::PioIn,
            Exit::MmioWrite(_) => Self::MmioWrite,
            Exit::MmioRead(_) => Self::MmioRead,
            Exit::Hlt => Self::Hlt,
            Exit::Shutdown => Self::Shutdown,
            Exit::FailEntry { .. } => Self::FailEntry,
            Exit::InternalError { .. } => Self::InternalError,
            Exit::Debug { .. } => Self::Debug,
            Exit::SystemEvent { .. } => Self::SystemEvent,
            Exit::Unknown { .. } => Self::Unknown,
        }
    }
}

words! {
    /// Why a run ended, if not for an unanswered exit: `stop()`, the time-out, a write to a `stop`
    /// route, a PC that the guest turned off or reset, `reset()`, a fault that the trap table has
    /// caught, a stop of the caller's, or as many instructions as were wanted or allowed.
    NativeEnding {
        Stopped = "stopped",
        Timeout = "timeout",
        ExitPort = "exit-port",
        PowerOff = "power-off",
        Reset = "reset",
        Fault = "fault",
        Step = "step",
        Breakpoint = "breakpoint",
        Watchpoint = "watchpoint",
        InstructionLimit = "instruction-limit",
    }
}

impl NativeEnding {
    pub const fn of(end: &End) -> Option<Self> {
        match end {
            End::Exit(_) => None,
            End::ExitPort { .. } => Some(Self::ExitPort),
            End::Power {
                request: PowerRequest::Reset,
                ..
            } => Some(Self::Reset),
            End::Power {
                request: PowerRequest::Off,
                ..
            } => Some(Self::PowerOff),
            End::Kicked(KickCause::Timeout) => Some(Self::Timeout),
            End::Kicked(KickCause::Reset) => Some(Self::Reset),
            End::Kicked(_) => Some(Self::Stopped),
            End::Fault(_) => Some(Self::Fault),
            End::Stop(hit) => Some(match hit.kind {
                HitKind::Step => Self::Step,
                HitKind::Breakpoint => Self::Breakpoint,
                HitKind::Watchpoint => Self::Watchpoint,
                HitKind::InstructionLimit => Self::InstructionLimit,
            }),
        }
    }
}

each_table_level! {
    of_core
    /// A level of page tables (Intel SDM vol. 3A §5.3 to §5.5).
    NativeTableLevel for TableLevel
}

each_miss_reason! {
    of_core
    /// Why a linear address has no page: an entry of the page tables is not present, sets a bit
    /// that must be zero, is a page of 1 GiB without that feature, or lies outside memory; or the
    /// address is none that this form of paging has.
    NativeMissReason for MissReason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_are_called_as_in_the_core() {
        assert_eq!(NativeExitReason::NAMES, Exit::KINDS);
    }
}
