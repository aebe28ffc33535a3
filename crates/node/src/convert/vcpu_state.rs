//! The smaller parts of a vCPU's state as values of JavaScript.

use napi::bindgen_prelude::BigInt;
use napi_derive::napi;
use vmm::{kvm_debugregs, kvm_vcpu_events};

/// Debug registers, 64 bits each (KVM API, `struct kvm_debugregs`; Intel SDM vol. 3B §19.2). All
/// are there when read; those that are absent when written keep their value.
#[napi(object)]
#[derive(Default)]
pub struct NativeDebugRegisters {
    /// DR0: linear address of a breakpoint.
    pub dr0: Option<BigInt>,
    /// DR1: as DR0.
    pub dr1: Option<BigInt>,
    /// DR2: as DR0.
    pub dr2: Option<BigInt>,
    /// DR3: as DR0.
    pub dr3: Option<BigInt>,
    /// DR6: which condition the last debug exception has met; 32 bits.
    pub dr6: Option<BigInt>,
    /// DR7: which breakpoints are on, and for what; 32 bits.
    pub dr7: Option<BigInt>,
}

impl NativeDebugRegisters {
    pub fn from_raw(raw: &kvm_debugregs) -> Self {
        let [dr0, dr1, dr2, dr3] = raw.db.map(|value| Some(BigInt::from(value)));
        Self {
            dr0,
            dr1,
            dr2,
            dr3,
            dr6: Some(BigInt::from(raw.dr6)),
            dr7: Some(BigInt::from(raw.dr7)),
        }
    }

    pub fn apply(&self, raw: &mut kvm_debugregs) {
        let breakpoints = [&self.dr0, &self.dr1, &self.dr2, &self.dr3];
        let named = breakpoints.into_iter().zip(&mut raw.db);
        let status = [(&self.dr6, &mut raw.dr6), (&self.dr7, &mut raw.dr7)];
        for (from, to) in named.chain(status) {
            if let Some(value) = from {
                *to = value.get_u64().1;
            }
        }
    }
}

/// What waits for a vCPU (KVM API, `struct kvm_vcpu_events`).
#[napi(object)]
pub struct NativeVcpuEvents {
    /// An exception that the next entry injects.
    pub exception_injected: bool,
    /// An exception that was raised, and becomes one of the former.
    pub exception_pending: bool,
    /// Its vector.
    pub exception_vector: u32,
    /// Its error code, if it has one.
    pub exception_error_code: Option<u32>,
    /// An interrupt that the next entry injects.
    pub interrupt_injected: bool,
    /// Its vector.
    pub interrupt_vector: u32,
    /// It comes from an instruction, `int n`.
    pub interrupt_soft: bool,
    /// Interrupts wait until one instruction later, after `sti`.
    pub shadow_sti: bool,
    /// The same, after `mov ss` and `pop ss`.
    pub shadow_mov_ss: bool,
    /// An NMI that the next entry injects.
    pub nmi_injected: bool,
    /// An NMI that waits.
    pub nmi_pending: bool,
    /// The guest is in the handler of an NMI.
    pub nmi_masked: bool,
    /// Vectors that were queued and that KVM does not have yet, oldest first.
    pub queued: Vec<u32>,
    /// An NMI was queued that KVM does not have yet.
    pub nmi_queued: bool,
}

/// `KVM_X86_SHADOW_INT_…`.
const SHADOW_MOV_SS: u8 = 1;
const SHADOW_STI: u8 = 2;

impl NativeVcpuEvents {
    pub fn new(raw: &kvm_vcpu_events, (queued, nmi_queued): (Vec<u8>, bool)) -> Self {
        let (exception, interrupt, nmi) = (&raw.exception, &raw.interrupt, &raw.nmi);
        Self {
            exception_injected: exception.injected != 0,
            exception_pending: exception.pending != 0,
            exception_vector: exception.nr.into(),
            exception_error_code: (exception.has_error_code != 0).then_some(exception.error_code),
            interrupt_injected: interrupt.injected != 0,
            interrupt_vector: interrupt.nr.into(),
            interrupt_soft: interrupt.soft != 0,
            shadow_sti: interrupt.shadow & SHADOW_STI != 0,
            shadow_mov_ss: interrupt.shadow & SHADOW_MOV_SS != 0,
            nmi_injected: nmi.injected != 0,
            nmi_pending: nmi.pending != 0,
            nmi_masked: nmi.masked != 0,
            queued: queued.into_iter().map(u32::from).collect(),
            nmi_queued,
        }
    }
}
