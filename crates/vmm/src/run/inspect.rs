//! The rest of a vCPU's state, piece by piece, for a caller: the floating-point unit, single MSRs,
//! XCR0, debug registers, and what waits to be injected.

use kvm_bindings::{kvm_debugregs, kvm_vcpu_events};

use crate::error::{Error, ErrorCode, Result};
use crate::kvm::host::Host;
use crate::run::processor::Processor;

/// Bytes of the area that FXSAVE writes, with which XSAVE's begins (Intel SDM vol. 1 §10.5.1).
const LEGACY_BYTES: usize = 512;
/// Bytes of the upper halves of YMM0 to YMM15, and where XSAVE's standard format has them
/// (§13.4.2, §13.5.3).
const UPPER_BYTES: usize = 256;
const UPPER_AT: usize = 576;
/// XSTATE_BV, which says what the rest holds; and its bits for x87, SSE and AVX.
const PRESENT_AT: usize = 512;
const X87_SSE: u8 = 3;
const AVX: u8 = 4;

impl Processor {
    /// The 512 bytes of FXSAVE's 64-bit format, then 256 bytes with the upper halves of YMM0 to
    /// YMM15 where the processor has AVX.
    ///
    /// # Errors
    /// `KvmIoctl`.
    pub fn fpu(&mut self) -> Result<Vec<u8>> {
        self.complete()?;
        let words = self.vcpu.xsave()?;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut fpu = bytes.get(..LEGACY_BYTES).unwrap_or_default().to_vec();
        if Host::get()?.has_avx() {
            let upper = bytes.get(UPPER_AT..UPPER_AT + UPPER_BYTES);
            fpu.extend(upper.unwrap_or_default());
        }
        Ok(fpu)
    }

    /// Sets what [`fpu`](Self::fpu) gives, as many bytes.
    ///
    /// # Errors
    /// `InvalidOption` when KVM refuses it, as it does reserved bits of MXCSR; `KvmIoctl`.
    pub fn set_fpu(&mut self, fpu: &[u8]) -> Result<()> {
        self.complete()?;
        let words = self.vcpu.xsave()?;
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let parts = [
            (0..LEGACY_BYTES, 0),
            (LEGACY_BYTES..LEGACY_BYTES + UPPER_BYTES, UPPER_AT),
        ];
        for (from, at) in parts {
            let part = fpu.get(from).unwrap_or_default();
            let to = bytes.iter_mut().skip(at);
            to.zip(part).for_each(|(to, from)| *to = *from);
        }
        if let Some(present) = bytes.get_mut(PRESENT_AT) {
            *present |= if fpu.len() > LEGACY_BYTES {
                X87_SSE | AVX
            } else {
                X87_SSE
            };
        }
        let words: Vec<u32> = bytes.chunks(4).map(word).collect();
        let refused = "fpu: KVM refuses these values; MXCSR may have reserved bits";
        self.vcpu
            .set_xsave(&words)
            .map_err(|error| invalid_if_refused(error, refused))
    }

    /// A model-specific register (`KVM_GET_MSRS`).
    ///
    /// # Errors
    /// `InvalidOption` for one that KVM does not have, `KvmIoctl`.
    pub fn read_msr(&mut self, index: u32) -> Result<u64> {
        self.complete()?;
        let what = format!("KVM has no MSR {index:#x} that it reads for this vCPU");
        self.vcpu
            .read_msr(index)
            .map_err(|error| invalid_if_refused(error, &what))
    }

    /// Sets a model-specific register (`KVM_SET_MSRS`).
    ///
    /// # Errors
    /// `InvalidOption` for one, or for a value, that KVM refuses; `KvmIoctl`.
    pub fn write_msr(&mut self, index: u32, value: u64) -> Result<()> {
        self.complete()?;
        let what = format!("KVM refuses the value {value:#x} for MSR {index:#x}");
        self.vcpu
            .write_msr(index, value)
            .map_err(|error| invalid_if_refused(error, &what))
    }

    /// XCR0 (`KVM_GET_XCRS`), 0 where the processor has no XSAVE.
    ///
    /// # Errors
    /// `KvmIoctl`.
    pub fn xcr0(&mut self) -> Result<u64> {
        self.complete()?;
        let xcrs = self.vcpu.xcrs()?;
        let first = xcrs.and_then(|xcrs| xcrs.xcrs.first().copied());
        Ok(first.map_or(0, |xcr0| xcr0.value))
    }

    /// DR0 to DR3, DR6 and DR7 (`KVM_GET_DEBUGREGS`).
    ///
    /// # Errors
    /// `KvmIoctl`.
    pub fn debug_registers(&mut self) -> Result<kvm_debugregs> {
        self.complete()?;
        self.vcpu.debug_registers()
    }

    /// Sets them (`KVM_SET_DEBUGREGS`).
    ///
    /// # Errors
    /// `KvmIoctl`, as when a bit above the low 32 of DR6 or DR7 is set.
    pub fn set_debug_registers(&mut self, registers: &kvm_debugregs) -> Result<()> {
        self.complete()?;
        self.vcpu.set_debug_registers(registers)
    }

    /// What is on its way to the guest in KVM (`KVM_GET_VCPU_EVENTS`).
    ///
    /// # Errors
    /// `KvmIoctl`.
    pub fn events(&mut self) -> Result<kvm_vcpu_events> {
        self.complete()?;
        self.vcpu.events()
    }

    /// The vectors that wait for the guest to take interrupts, oldest first, and whether an NMI
    /// waits; KVM has neither yet.
    pub fn queued(&self) -> (Vec<u8>, bool) {
        let queued = self.injections.save();
        (queued.vectors, queued.nmi)
    }
}

fn word(bytes: &[u8]) -> u32 {
    let mut word = [0; 4];
    word.iter_mut()
        .zip(bytes)
        .for_each(|(to, from)| *to = *from);
    u32::from_le_bytes(word)
}

/// A value that KVM refuses is the caller's fault.
fn invalid_if_refused(error: Error, what: &str) -> Error {
    if error.errno != Some(libc::EINVAL) {
        return error;
    }
    Error {
        code: ErrorCode::InvalidOption,
        message: what.to_string(),
        ..error
    }
}
