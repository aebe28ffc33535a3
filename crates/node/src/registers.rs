//! Register files, as methods of the native class: they are read into the words that Rust and
//! TypeScript share, and written from them, see `NativePlace`.

use napi::bindgen_prelude::BigUint64Array;
use napi_derive::napi;

use crate::convert::block;
use crate::convert::failure::{Failure, nothing};
use crate::convert::registers::NativeSpecialRegisters;
use crate::lifecycle::Lifecycle;
use crate::machine::NativeMachine;
use crate::pump::shared;

#[napi]
impl NativeMachine {
    /// Puts all general registers of a vCPU into the words, while the machine is idle.
    #[napi]
    pub fn registers(&self, vcpu: u32) -> Option<Failure> {
        nothing(self.of_vcpu(vcpu, |processor| {
            block::put_registers(shared::required_words()?, &processor.registers()?);
            Ok(())
        }))
    }

    /// Sets the general registers of a vCPU whose bit is set in `given`, from the words, while the
    /// machine is idle. `ERR_UNANSWERED_READ`, and then none is changed.
    #[napi]
    pub fn set_registers(&self, vcpu: u32, given: u32) -> Option<Failure> {
        nothing(self.of_vcpu(vcpu, |processor| {
            let mut registers = processor.registers()?;
            block::take_registers(shared::required_words()?, given, &mut registers);
            processor.set_registers(&registers)
        }))
    }

    /// Puts all special registers of a vCPU into the words, while the machine is idle
    /// (`KVM_GET_SREGS`).
    #[napi]
    pub fn special_registers(&self, vcpu: u32) -> Option<Failure> {
        nothing(self.of_vcpu(vcpu, |processor| {
            block::put_special_registers(
                shared::required_words()?,
                &processor.special_registers()?,
            );
            Ok(())
        }))
    }

    /// Sets those special registers of a vCPU that are given, while the machine is idle
    /// (`KVM_SET_SREGS`). `ERR_UNANSWERED_READ`, and then none is changed.
    #[napi]
    pub fn set_special_registers(
        &self,
        vcpu: u32,
        registers: NativeSpecialRegisters,
    ) -> Option<Failure> {
        nothing(self.of_vcpu(vcpu, |processor| {
            let mut raw = processor.special_registers()?;
            registers.apply(&mut raw);
            processor.set_special_registers(&raw)
        }))
    }

    /// Keeps an array of 18 words for the registers of a vCPU at the end of the last run, which its
    /// end did not tell: they are put into it by `settleRegisters`, or before anything changes
    /// them.
    #[napi]
    pub fn owe_registers(&self, vcpu: u32, into: BigUint64Array) {
        self.quietly(|life| life.owed.owe(vcpu, into));
    }

    /// Fills the array of `oweRegisters`, if that is not done yet. `ERR_KVM_IOCTL`.
    #[napi]
    pub fn settle_registers(&self) -> Option<Failure> {
        nothing(self.life.guarded(Lifecycle::settle_registers))
    }

    /// Puts the general registers of a vCPU that waits for an answer into the words, by the ticket
    /// of its question. `ERR_VM_BUSY` if it does not wait.
    #[napi]
    pub fn asked_registers(&self, ticket: u32) -> Option<Failure> {
        nothing(self.life.guarded(|life| {
            let registers = life.asked_registers(ticket)?;
            block::put_registers(shared::required_words()?, &registers);
            Ok(())
        }))
    }
}
