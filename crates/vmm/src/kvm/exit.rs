//! Why `KVM_RUN` returned: one pure function from the bytes of `kvm_run` to plain data
//! (KVM API §5, "The kvm_run structure").
//!
//! kvm-ioctls' own enum loses operand size, repeat count and the internal error's sub-reason.

use kvm_bindings as kvm;
use serde::{Deserialize, Serialize};

/// Bytes of the union that follows `exit_reason` and the registers in `kvm_run`.
pub const BODY_BYTES: usize = 256;

/// A port access; one exit of a string instruction carries `count` items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct PortAccess {
    /// The I/O port.
    pub port: u16,
    /// Bytes of one item: 1, 2 or 4.
    pub size: u8,
    /// Items, at least 1.
    pub count: u32,
    /// Where the items lie, from the start of `kvm_run`.
    pub data_offset: u64,
}

impl PortAccess {
    /// Bytes of all items.
    pub fn bytes(&self) -> usize {
        usize::from(self.size) * self.count as usize
    }
}

/// An access to a guest physical address without memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct MmioAccess {
    /// The first byte's address.
    pub gpa: u64,
    /// Bytes, 1 to 8. KVM cuts an access at a page border, so 3, 5, 6 and 7 occur.
    pub size: u8,
}

/// Why `KVM_RUN` returned.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Exit {
    /// `KVM_EXIT_IO`, direction out.
    PioOut(PortAccess),
    /// `KVM_EXIT_IO`, direction in.
    PioIn(PortAccess),
    /// `KVM_EXIT_MMIO`, `is_write` set.
    MmioWrite(MmioAccess),
    /// `KVM_EXIT_MMIO`, `is_write` clear.
    MmioRead(MmioAccess),
    /// `KVM_EXIT_HLT`.
    Hlt,
    /// `KVM_EXIT_SHUTDOWN`: a triple fault, or what the KVM counts as one.
    Shutdown,
    /// `KVM_EXIT_FAIL_ENTRY`.
    FailEntry {
        /// The processor's own code (VM-instruction error, or SVM exit code).
        hardware_entry_failure_reason: u64,
        /// The host CPU on which it failed.
        cpu: u32,
    },
    /// `KVM_EXIT_INTERNAL_ERROR`.
    InternalError {
        /// `KVM_INTERNAL_ERROR_…`: 1 emulation, 2 simultaneous exceptions, 3 delivery of an event,
        /// 4 unexpected exit.
        suberror: u32,
        /// The words that KVM adds, up to 16.
        data: Vec<u64>,
        /// The bytes that KVM could not emulate, when it says so; up to 15.
        instruction_bytes: Vec<u8>,
    },
    /// `KVM_EXIT_DEBUG`.
    Debug {
        /// The exception's vector, 1 or 3.
        exception: u32,
        /// Linear address of the instruction.
        pc: u64,
        /// Debug status.
        dr6: u64,
        /// Debug control.
        dr7: u64,
    },
    /// `KVM_EXIT_SYSTEM_EVENT`.
    SystemEvent {
        /// `KVM_SYSTEM_EVENT_…`.
        event: u32,
        /// The words that KVM adds, up to 16.
        data: Vec<u64>,
    },
    /// Any other `KVM_EXIT_…`.
    Unknown {
        /// Its number.
        exit_reason: u32,
        /// `hw.hardware_exit_reason`, meaningful for `KVM_EXIT_UNKNOWN`.
        hardware_exit_reason: u64,
    },
}

impl Exit {
    /// `KVM_INTERNAL_ERROR_EMULATION`, of [`InternalError`](Self::InternalError).
    pub const NOT_EMULATED: u32 = 1;

    /// Names of the kinds, in the order of [`kind`](Self::kind).
    pub const KINDS: [&'static str; 11] = [
        "pio-out",
        "pio-in",
        "mmio-write",
        "mmio-read",
        "hlt",
        "shutdown",
        "fail-entry",
        "internal-error",
        "debug",
        "system-event",
        "unknown",
    ];

    /// Which of [`KINDS`](Self::KINDS) it is.
    pub const fn kind(&self) -> usize {
        match self {
            Self::PioOut(_) => 0,
            Self::PioIn(_) => 1,
            Self::MmioWrite(_) => 2,
            Self::MmioRead(_) => 3,
            Self::Hlt => 4,
            Self::Shutdown => 5,
            Self::FailEntry { .. } => 6,
            Self::InternalError { .. } => 7,
            Self::Debug { .. } => 8,
            Self::SystemEvent { .. } => 9,
            Self::Unknown { .. } => 10,
        }
    }

    /// The name as users see it.
    pub fn name(&self) -> &'static str {
        Self::KINDS.get(self.kind()).copied().unwrap_or("unknown")
    }

    /// Whether it is an access to a port or to memory-mapped registers, which can be answered.
    pub const fn is_access(&self) -> bool {
        matches!(self, Self::PioOut(_) | Self::MmioWrite(_)) || self.is_read()
    }

    /// Whether `KVM_RUN` reports it by failing with this errno (KVM API §5,
    /// `KVM_EXIT_MEMORY_FAULT`).
    pub const fn comes_with(&self, errno: i32) -> bool {
        let is_memory_fault = matches!(
            self,
            Self::Unknown {
                exit_reason: kvm::KVM_EXIT_MEMORY_FAULT,
                ..
            }
        );
        is_memory_fault && matches!(errno, libc::EFAULT | libc::EHWPOISON)
    }

    /// Whether the guest waits for a value.
    pub const fn is_read(&self) -> bool {
        matches!(self, Self::PioIn(_) | Self::MmioRead(_))
    }
}

/// Decodes `exit_reason` and the union after it.
pub fn decode(exit_reason: u32, body: &[u8; BODY_BYTES]) -> Exit {
    let body = Body(body);
    match exit_reason {
        kvm::KVM_EXIT_IO => decode_port(body),
        kvm::KVM_EXIT_MMIO => decode_mmio(body),
        kvm::KVM_EXIT_HLT => Exit::Hlt,
        kvm::KVM_EXIT_SHUTDOWN => Exit::Shutdown,
        kvm::KVM_EXIT_FAIL_ENTRY => Exit::FailEntry {
            hardware_entry_failure_reason: body.u64(0),
            cpu: body.u32(8),
        },
        kvm::KVM_EXIT_INTERNAL_ERROR => decode_internal_error(body),
        kvm::KVM_EXIT_DEBUG => {
            // struct kvm_debug_exit_arch: exception, pad, pc, dr6, dr7.
            Exit::Debug {
                exception: body.u32(0),
                pc: body.u64(8),
                dr6: body.u64(16),
                dr7: body.u64(24),
            }
        }
        kvm::KVM_EXIT_SYSTEM_EVENT => {
            // struct { type, ndata, data[16] }.
            Exit::SystemEvent {
                event: body.u32(0),
                data: body.words(8, body.u32(4)),
            }
        }
        _ => Exit::Unknown {
            exit_reason,
            hardware_exit_reason: body.u64(0),
        },
    }
}

/// `struct { direction, size, port, count, data_offset }`.
fn decode_port(body: Body<'_>) -> Exit {
    let access = PortAccess {
        size: body.u8(1),
        port: body.u16(2),
        count: body.u32(4),
        data_offset: body.u64(8),
    };
    if u32::from(body.u8(0)) == kvm::KVM_EXIT_IO_OUT {
        Exit::PioOut(access)
    } else {
        Exit::PioIn(access)
    }
}

/// `struct { phys_addr, data[8], len, is_write }`.
fn decode_mmio(body: Body<'_>) -> Exit {
    let access = MmioAccess {
        gpa: body.u64(0),
        size: body.u32(16).clamp(1, 8) as u8,
    };
    if body.u8(20) != 0 {
        Exit::MmioWrite(access)
    } else {
        Exit::MmioRead(access)
    }
}

/// `struct { suberror, ndata, data[16] }`; for a failed emulation the data are flags and
/// instruction bytes.
fn decode_internal_error(body: Body<'_>) -> Exit {
    let (suberror, count) = (body.u32(0), body.u32(4));
    let carries_bytes = suberror == kvm::KVM_INTERNAL_ERROR_EMULATION
        && count > 0
        && body.u64(8) & u64::from(kvm::KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) != 0;
    let instruction_bytes = if carries_bytes {
        body.bytes(17, usize::from(body.u8(16).min(15)))
    } else {
        Vec::new()
    };
    Exit::InternalError {
        suberror,
        data: body.words(8, count),
        instruction_bytes,
    }
}

/// Little-endian fields of the union; an offset outside it reads 0.
#[derive(Clone, Copy)]
struct Body<'a>(&'a [u8; BODY_BYTES]);

impl Body<'_> {
    fn field<const N: usize>(self, at: usize) -> [u8; N] {
        self.0
            .get(at..)
            .and_then(|rest| rest.first_chunk::<N>())
            .copied()
            .unwrap_or([0; N])
    }

    fn u8(self, at: usize) -> u8 {
        u8::from_le_bytes(self.field(at))
    }

    fn u16(self, at: usize) -> u16 {
        u16::from_le_bytes(self.field(at))
    }

    fn u32(self, at: usize) -> u32 {
        u32::from_le_bytes(self.field(at))
    }

    fn u64(self, at: usize) -> u64 {
        u64::from_le_bytes(self.field(at))
    }

    fn words(self, at: usize, count: u32) -> Vec<u64> {
        (0..count.min(16) as usize)
            .map(|index| self.u64(at + index * 8))
            .collect()
    }

    fn bytes(self, at: usize, count: usize) -> Vec<u8> {
        self.0.iter().skip(at).take(count).copied().collect()
    }
}

#[cfg(test)]
mod tests;
