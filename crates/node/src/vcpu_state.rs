//! What of a vCPU's state is no register file, as methods of the native class.

use napi::Either;
use napi::bindgen_prelude::{BigInt, Uint8Array};
use napi_derive::napi;
use vmm::{Error, ErrorCode, Processor, Result};

use crate::convert::failure::{Failure, either};
use crate::convert::vcpu_state::{NativeDebugRegisters, NativeVcpuEvents};
use crate::machine::NativeMachine;

#[napi]
impl NativeMachine {
    /// x87, SSE and AVX registers of a vCPU, while the machine is idle (`KVM_GET_XSAVE`): the 512
    /// bytes of FXSAVE's 64-bit format, then, where the processor has AVX, the upper halves of YMM0
    /// to YMM15.
    #[napi]
    pub fn fpu(&self, vcpu: u32) -> Either<Uint8Array, Failure> {
        either(self.of_vcpu(vcpu, Processor::fpu).map(Uint8Array::from))
    }

    /// Sets them, in as many bytes (`KVM_SET_XSAVE`). `ERR_INVALID_OPTION` for values that KVM
    /// refuses.
    #[napi]
    pub fn set_fpu(&self, vcpu: u32, bytes: Uint8Array) -> Option<Failure> {
        let set = self.of_vcpu(vcpu, |processor| processor.set_fpu(&bytes));
        set.err().map(Failure::from)
    }

    /// A model-specific register of a vCPU, while the machine is idle (`KVM_GET_MSRS`).
    /// `ERR_INVALID_OPTION` for one that KVM does not have.
    #[napi]
    pub fn read_msr(&self, vcpu: u32, index: u32) -> Either<BigInt, Failure> {
        let value = self.of_vcpu(vcpu, |processor| processor.read_msr(index));
        either(value.map(BigInt::from))
    }

    /// Sets a model-specific register of a vCPU, while the machine is idle (`KVM_SET_MSRS`).
    /// `ERR_INVALID_OPTION` for one, or for a value, that KVM refuses.
    #[napi]
    pub fn write_msr(&self, vcpu: u32, index: u32, value: BigInt) -> Option<Failure> {
        let value = value.get_u64().1;
        let set = self.of_vcpu(vcpu, |processor| processor.write_msr(index, value));
        set.err().map(Failure::from)
    }

    /// XCR0 of a vCPU, while the machine is idle (`KVM_GET_XCRS`); 0 without XSAVE.
    #[napi]
    pub fn xcr0(&self, vcpu: u32) -> Either<BigInt, Failure> {
        either(self.of_vcpu(vcpu, Processor::xcr0).map(BigInt::from))
    }

    /// Debug registers of a vCPU, while the machine is idle (`KVM_GET_DEBUGREGS`).
    #[napi]
    pub fn debug_registers(&self, vcpu: u32) -> Either<NativeDebugRegisters, Failure> {
        let raw = self.of_vcpu(vcpu, Processor::debug_registers);
        either(raw.map(|raw| NativeDebugRegisters::from_raw(&raw)))
    }

    /// Sets those debug registers that are given, while the machine is idle (`KVM_SET_DEBUGREGS`).
    #[napi]
    pub fn set_debug_registers(
        &self,
        vcpu: u32,
        registers: NativeDebugRegisters,
    ) -> Option<Failure> {
        let set = self.of_vcpu(vcpu, |processor| {
            let mut raw = processor.debug_registers()?;
            registers.apply(&mut raw);
            processor.set_debug_registers(&raw)
        });
        set.err().map(Failure::from)
    }

    /// What waits for a vCPU of an idle machine (`KVM_GET_VCPU_EVENTS`, and what is queued).
    #[napi]
    pub fn events(&self, vcpu: u32) -> Either<NativeVcpuEvents, Failure> {
        either(self.of_vcpu(vcpu, |processor| {
            let raw = processor.events()?;
            Ok(NativeVcpuEvents::new(&raw, processor.queued()))
        }))
    }
}

impl NativeMachine {
    /// Lends a vCPU of an idle machine.
    pub(crate) fn of_vcpu<T>(
        &self,
        vcpu: u32,
        call: impl FnOnce(&mut Processor) -> Result<T>,
    ) -> Result<T> {
        self.with_idle(|machine| {
            let vcpus = machine.vcpus();
            let processor = machine.vcpu(vcpu).ok_or_else(|| {
                let what = format!("vcpu must be 0 to {}, got {vcpu}", vcpus - 1);
                Error::new(ErrorCode::InvalidOption, what)
            })?;
            call(processor)
        })
    }
}
