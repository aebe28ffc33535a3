//! Exit records, converted from Rust's types to JavaScript's.

use napi::bindgen_prelude::{BigInt, Uint8Array};
use napi_derive::napi;
use vmm::{Exit, ExitRecord};

use crate::convert::words::NativeExitReason;

/// An exit (KVM API §5, `struct kvm_run`); which fields are there follows from `reason`.
#[napi(object)]
pub struct NativeExit {
    /// Why KVM returned.
    pub reason: NativeExitReason,
    /// The port of a `pio-` exit.
    pub port: Option<u32>,
    /// The address of an `mmio-` exit.
    pub gpa: Option<f64>,
    /// Bytes of one item: 1, 2 or 4 for a `pio-` exit, 1 to 8 for an `mmio-` exit.
    pub size: Option<u32>,
    /// Items of a `pio-` exit.
    pub count: Option<u32>,
    /// What the guest wrote, all items.
    pub data: Option<Uint8Array>,
    /// `fail-entry`: the processor's own code.
    pub hardware_entry_failure_reason: Option<BigInt>,
    /// `fail-entry`: the host CPU.
    pub cpu: Option<u32>,
    /// `internal-error`: `KVM_INTERNAL_ERROR_…`.
    pub suberror: Option<u32>,
    /// `internal-error` and `system-event`: the words that KVM adds.
    pub words: Option<Vec<BigInt>>,
    /// `internal-error`: what KVM could not emulate, up to 15 bytes.
    pub instruction_bytes: Option<Uint8Array>,
    /// `debug`: the vector.
    pub exception: Option<u32>,
    /// `debug`: linear address of the instruction.
    pub pc: Option<BigInt>,
    /// `debug`: what was hit (Intel SDM vol. 3B §18.2.3).
    pub dr6: Option<BigInt>,
    /// `debug`: what was armed (Intel SDM vol. 3B §18.2.4).
    pub dr7: Option<BigInt>,
    /// `system-event`: `KVM_SYSTEM_EVENT_…`.
    pub event: Option<u32>,
    /// `unknown`: the number of the `KVM_EXIT_`.
    pub exit_reason: Option<u32>,
    /// `unknown`: `hw.hardware_exit_reason`.
    pub hardware_exit_reason: Option<BigInt>,
}

impl NativeExit {
    /// An exit of which nothing but the reason is known.
    const fn bare(reason: NativeExitReason) -> Self {
        Self {
            reason,
            port: None,
            gpa: None,
            size: None,
            count: None,
            data: None,
            hardware_entry_failure_reason: None,
            cpu: None,
            suberror: None,
            words: None,
            instruction_bytes: None,
            exception: None,
            pc: None,
            dr6: None,
            dr7: None,
            event: None,
            exit_reason: None,
            hardware_exit_reason: None,
        }
    }

    pub fn new(exit: &Exit, data: &[u8]) -> Self {
        let base = Self::bare(exit.into());
        let written = || Some(Uint8Array::from(data));
        let words = |words: &[u64]| Some(words.iter().map(|word| BigInt::from(*word)).collect());
        match exit {
            Exit::PioOut(access) | Exit::PioIn(access) => Self {
                port: Some(u32::from(access.port)),
                size: Some(u32::from(access.size)),
                count: Some(access.count),
                data: if exit.is_read() { None } else { written() },
                ..base
            },
            Exit::MmioWrite(access) | Exit::MmioRead(access) => Self {
                gpa: Some(access.gpa as f64),
                size: Some(u32::from(access.size)),
                data: if exit.is_read() { None } else { written() },
                ..base
            },
            Exit::Hlt | Exit::Shutdown => base,
            Exit::FailEntry {
                hardware_entry_failure_reason,
                cpu,
            } => Self {
                hardware_entry_failure_reason: Some(BigInt::from(*hardware_entry_failure_reason)),
                cpu: Some(*cpu),
                ..base
            },
            Exit::InternalError {
                suberror,
                data,
                instruction_bytes,
            } => Self {
                suberror: Some(*suberror),
                words: words(data),
                instruction_bytes: Some(Uint8Array::from(instruction_bytes.as_slice())),
                ..base
            },
            Exit::Debug {
                exception,
                pc,
                dr6,
                dr7,
            } => Self {
                exception: Some(*exception),
                pc: Some(BigInt::from(*pc)),
                dr6: Some(BigInt::from(*dr6)),
                dr7: Some(BigInt::from(*dr7)),
                ..base
            },
            Exit::SystemEvent { event, data } => Self {
                event: Some(*event),
                words: words(data),
                ..base
            },
            Exit::Unknown {
                exit_reason,
                hardware_exit_reason,
            } => Self {
                exit_reason: Some(*exit_reason),
                hardware_exit_reason: Some(BigInt::from(*hardware_exit_reason)),
                ..base
            },
        }
    }
}

impl From<&ExitRecord> for NativeExit {
    fn from(record: &ExitRecord) -> Self {
        Self::new(&record.exit, &record.data)
    }
}
