//! Breakpoints, watchpoints and steps, as methods of the native class.

use napi::Either;
use napi::bindgen_prelude::BigInt;
use napi_derive::napi;
use vmm::{Machine, StopAt, StopKind};

use crate::convert::failure::{Failure, either, nothing};
use crate::convert::stop::{NativeStopMeans, NativeWatchOn};
use crate::machine::NativeMachine;

#[napi]
impl NativeMachine {
    /// Stops runs before an instruction, by its linear or its guest physical address, while the
    /// machine is idle. `asks` whether the handler is asked, see `NativeQuestion`; else the run
    /// ends. Gives the stop's id. `ERR_LIMIT`.
    #[napi]
    pub fn add_breakpoint(
        &self,
        address: BigInt,
        is_physical: bool,
        asks: bool,
    ) -> Either<u32, Failure> {
        let address = address.get_u64().1;
        let at = if is_physical {
            StopAt::Gpa(address)
        } else {
            StopAt::Linear(address)
        };
        self.add_stop(StopKind::Breakpoint(at), asks)
    }

    /// Stops them after an instruction that accesses 1 to 8 bytes at a linear address.
    #[napi]
    pub fn add_watchpoint(
        &self,
        address: BigInt,
        bytes: u8,
        on: NativeWatchOn,
        asks: bool,
    ) -> Either<u32, Failure> {
        let linear = address.get_u64().1;
        let on = on.into();
        self.add_stop(StopKind::Watchpoint { linear, bytes, on }, asks)
    }

    /// Stops them after every instruction of a vCPU; `alone` has the others stand still.
    #[napi]
    pub fn add_steps(&self, vcpu: u32, alone: bool, asks: bool) -> Either<u32, Failure> {
        self.add_stop(StopKind::Step { vcpu, alone }, asks)
    }

    /// By what it stops where its first vCPU is, while it is idle. `ERR_KVM_UNAVAILABLE`,
    /// `ERR_KVM_CAPABILITY` or `ERR_KVM_IOCTL`.
    #[napi]
    pub fn stop_means(&self) -> Either<NativeStopMeans, Failure> {
        let means = self.with_idle(Machine::stop_means);
        either(means.map(NativeStopMeans::from))
    }

    /// Removes a stop, if it is there, while the machine is idle.
    #[napi]
    pub fn remove_stop(&self, id: u32) -> Option<Failure> {
        nothing(self.with_idle(|machine| {
            machine.remove_stop(id);
            Ok(())
        }))
    }
}

impl NativeMachine {
    fn add_stop(&self, kind: StopKind, asks: bool) -> Either<u32, Failure> {
        either(self.with_idle(|machine| machine.add_stop(kind, asks)))
    }
}
