//! Memory by linear address, as methods of the native class.

use napi::Either;
use napi::bindgen_prelude::{BigInt, Uint8Array};
use napi_derive::napi;
use vmm::{PagingState, Result, VirtualMemory};

use crate::convert::failure::{Failure, either, nothing};
use crate::convert::registers::NativeControlRegisters;
use crate::convert::walk::NativeWalk;
use crate::ffi;
use crate::machine::NativeMachine;

#[napi]
impl NativeMachine {
    /// How a vCPU of an idle machine translates a linear address. With `control` given, its CR0,
    /// CR3, CR4 and EFER count instead of the vCPU's.
    #[napi]
    pub fn walk(
        &self,
        vcpu: u32,
        address: BigInt,
        control: Option<NativeControlRegisters>,
    ) -> Either<NativeWalk, Failure> {
        either(self.of_virtual(vcpu, control.as_ref(), |memory| {
            Ok(NativeWalk::from(memory.walk(address.get_u64().1)))
        }))
    }

    /// Fills an array from a linear address on, as a vCPU of an idle machine translates it.
    /// `ERR_GUEST_MEMORY` where no page is mapped, or one is mapped outside every slot.
    #[napi]
    pub fn read_virtual(&self, vcpu: u32, address: BigInt, into: Uint8Array) -> Option<Failure> {
        nothing(self.of_virtual(vcpu, None, |memory| {
            ffi::fill(into, |bytes| memory.read(address.get_u64().1, bytes))
        }))
    }

    /// Copies an array to a linear address. `ERR_GUEST_MEMORY` as above, and then nothing is
    /// written.
    #[napi]
    pub fn write_virtual(&self, vcpu: u32, address: BigInt, bytes: Uint8Array) -> Option<Failure> {
        nothing(self.of_virtual(vcpu, None, |memory| {
            memory.write(address.get_u64().1, &bytes)
        }))
    }
}

impl NativeMachine {
    fn of_virtual<T>(
        &self,
        vcpu: u32,
        control: Option<&NativeControlRegisters>,
        call: impl FnOnce(&VirtualMemory<'_>) -> Result<T>,
    ) -> Result<T> {
        let memory = self.life.guarded(|life| life.handles.memory())?;
        let state = self.of_vcpu(vcpu, |processor| {
            let state = processor.paging()?;
            Ok(control.map_or(state, |control| with(state, control)))
        })?;
        self.life
            .guarded(|_| call(&VirtualMemory::new(state, &memory)))
    }
}

fn with(state: PagingState, control: &NativeControlRegisters) -> PagingState {
    let value = |given: &Option<BigInt>, own| given.as_ref().map_or(own, |it| it.get_u64().1);
    PagingState {
        cr0: value(&control.cr0, state.cr0),
        cr3: value(&control.cr3, state.cr3),
        cr4: value(&control.cr4, state.cr4),
        efer: value(&control.efer, state.efer),
        features: state.features,
    }
}
