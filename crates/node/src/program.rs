//! Native programs, as methods of the native class.

use napi::Either;
use napi::bindgen_prelude::{BigInt, Uint8Array};
use napi_derive::napi;
use vmm::UserStop;

use crate::convert::failure::{Failure, either, nothing};
use crate::ffi;
use crate::machine::NativeMachine;

/// Why a program stands still: `'returned'` after a call, `'call'` for a system call that waits for
/// its answer, `'exit'`, `'killed'` by a signal.
#[napi(object)]
pub struct NativeStop {
    /// Which of them; none if the last run has ended in another way.
    #[napi(ts_type = "'returned' | 'call' | 'exit' | 'killed'")]
    pub kind: Option<String>,
    /// RAX of a system call.
    pub number: Option<BigInt>,
    /// RDI, RSI, RDX, R10, R8, R9 of a system call.
    pub arguments: Option<Vec<BigInt>>,
    /// RSP of a system call.
    pub rsp: Option<BigInt>,
    /// Of an exit; the signal that has killed it.
    pub code: Option<i32>,
}

/// Where a program lies.
#[napi(object)]
pub struct NativeProgram {
    /// What is added to the addresses of its image.
    pub base: BigInt,
    /// Its first instruction; none of a library without a start.
    pub entry: Option<BigInt>,
    /// Where its stack begins.
    pub stack: BigInt,
}

#[napi]
impl NativeMachine {
    /// Where the program of an idle machine lies.
    #[napi]
    pub fn user_program(&self) -> Either<NativeProgram, Failure> {
        either(self.with_idle(|machine| {
            let program = machine.user_program()?;
            Ok(NativeProgram {
                base: program.base.into(),
                entry: program.entry.map(BigInt::from),
                stack: program.stack.into(),
            })
        }))
    }

    /// Why the program stands still after the last run.
    #[napi]
    pub fn user_stop(&self) -> Either<NativeStop, Failure> {
        either(self.with_idle(|machine| Ok(NativeStop::of(machine.user_stop()))))
    }

    /// What the system call comes to that has ended the last run, RAX. `ERR_INVALID_OPTION` if
    /// there was none.
    #[napi]
    pub fn user_answer(&self, value: BigInt) -> Option<Failure> {
        nothing(self.with_idle(|machine| machine.user_answer(value.get_u64().1)))
    }

    /// The next run calls a function. `mailbox` has what the gate loads.
    #[napi]
    pub fn user_call(&self, rsp: BigInt, mailbox: Uint8Array) -> Option<Failure> {
        nothing(self.with_idle(|machine| {
            machine.memory().write(0, &mailbox)?;
            machine.user_call(rsp.get_u64().1)
        }))
    }

    /// Fills an array with the mailbox.
    #[napi]
    pub fn user_mailbox(&self, into: Uint8Array) -> Option<Failure> {
        nothing(self.with_idle(|machine| ffi::fill(into, |bytes| machine.memory().read(0, bytes))))
    }

    /// Fills an array from the program's memory. `ERR_GUEST_MEMORY` unless it may read there.
    #[napi]
    pub fn user_read(&self, address: BigInt, into: Uint8Array) -> Option<Failure> {
        nothing(self.with_idle(|machine| {
            ffi::fill(into, |bytes| machine.user_read(address.get_u64().1, bytes))
        }))
    }

    /// Copies an array to the program's memory. `ERR_GUEST_MEMORY` unless all of it is mapped.
    #[napi]
    pub fn user_write(&self, address: BigInt, bytes: Uint8Array) -> Option<Failure> {
        nothing(self.with_idle(|machine| machine.user_write(address.get_u64().1, &bytes)))
    }

    /// Maps zeros where nothing is. `ERR_LIMIT`.
    #[napi]
    pub fn user_map(&self, address: BigInt, bytes: f64) -> Option<Failure> {
        nothing(self.with_idle(|machine| machine.user_map(address.get_u64().1, bytes as u64)))
    }
}

impl NativeStop {
    fn of(stop: Option<&UserStop>) -> Self {
        let mut told = Self {
            kind: None,
            number: None,
            arguments: None,
            rsp: None,
            code: None,
        };
        match stop {
            None | Some(UserStop::Parked) => {}
            Some(UserStop::Returned) => told.kind = Some("returned".into()),
            Some(UserStop::Exit { code }) => {
                told.kind = Some("exit".into());
                told.code = Some(*code);
            }
            Some(UserStop::Killed { signal }) => {
                told.kind = Some("killed".into());
                told.code = i32::try_from(*signal).ok();
            }
            Some(UserStop::Call {
                number,
                arguments,
                rsp,
            }) => {
                told.kind = Some("call".into());
                told.number = Some((*number).into());
                told.arguments = Some(arguments.iter().map(|word| (*word).into()).collect());
                told.rsp = Some((*rsp).into());
            }
        }
        told
    }
}
