//! What reaches into the runs of a `NativeMachine`.

use std::rc::Rc;

use napi::Either;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use vmm::KickCause;

use crate::asking::letter::{self, Heard};
use crate::convert::config::milliseconds;
use crate::convert::failure::{Failure, either, nothing};
use crate::ffi::Returned;
use crate::lifecycle::Lifecycle;
use crate::machine::NativeMachine;
use crate::pump::environment;
use crate::pump::shared;

#[napi]
impl NativeMachine {
    /// Enters the guest until it halts, without answering, and returns the time in nanoseconds.
    /// `vmexit bench` compares with it if there is no C compiler.
    #[napi]
    pub fn run_bare(&self, timeout_ms: f64) -> Either<f64, Failure> {
        let took = self.with_idle(|machine| machine.run_bare(milliseconds(timeout_ms)));
        either(took.map(|took| took.as_nanos() as f64))
    }

    /// Gives the late answer to the question with this ticket, a `NativeAnswer` or the bytes of a
    /// string read; a value is in words 6 and 7. It has no effect if the question is withdrawn.
    /// With `look` it then does what `attend` does. To be called in the asynchronous context of the
    /// run.
    #[napi]
    pub fn answer(&self, ticket: u32, answer: Either<u32, Uint8Array>, look: bool) -> u32 {
        let returned = match answer {
            Either::A(status) => Returned::Number(status),
            Either::B(bytes) => Returned::Bytes(bytes.to_vec()),
        };
        if let Some(Heard::Answer(answer)) =
            shared::words().map(|words| letter::heard(words, returned))
        {
            self.quietly(|life| life.answer(ticket, answer));
        }
        // A guest in a burst asks again at once.
        if look {
            environment::attend_from(Rc::as_ptr(&self.life).cast())
        } else {
            0
        }
    }

    /// Makes the run in progress end soon; without a run it has no effect.
    #[napi]
    pub fn stop(&self) {
        self.quietly(Lifecycle::stop);
    }

    /// Makes the run in progress end soon, as a guest's reset does; without a run it has no effect.
    #[napi]
    pub fn reset(&self) {
        self.quietly(|life| life.end_run(KickCause::Reset));
    }

    /// Makes the vCPUs of a run on threads of their own leave the guest; when they have, `settle`
    /// is called without an outcome. If the run ends first, there is no pause. `ERR_VM_BUSY` under
    /// `runSync`.
    #[napi]
    pub fn pause(&self) -> Option<Failure> {
        nothing(self.life.guarded(Lifecycle::pause))
    }

    /// Continues a paused run, with what is left of its time; without one it has no effect.
    /// `ERR_LIMIT` when no thread can start, and it stays paused.
    #[napi]
    pub fn resume(&self) -> Option<Failure> {
        nothing(self.life.guarded(Lifecycle::resume))
    }
}
