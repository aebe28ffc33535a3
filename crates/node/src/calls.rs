//! Calls into a native program, each one crossing of the seam.

use napi::bindgen_prelude::{Either3, Function, Uint8ArraySlice};
use napi::{Either, Env};
use napi_derive::napi;
use vmm::user_mailbox::{self, PATIENCE};
use vmm::{ExitHandler, Reply, Result, RunLimits, Unanswered, UserStop};

use crate::convert::config::{limits, milliseconds};
use crate::convert::outcome::{Told, tell};
use crate::ffi::{self, Callback};
use crate::lifecycle::spinning::SpinLimits;
use crate::lifecycle::{Ended, Lifecycle};
use crate::machine::NativeMachine;
use crate::pump::shared;

/// Why a program stands still after `userGo`, beside the ends of any run.
#[napi]
#[derive(Clone, Copy)]
pub enum NativeCall {
    /// The function is back, and what it returned is in the array.
    Returned = 1,
    /// A system call: RAX is at `Number`, RDI, RSI, RDX, R10, R8, R9 from `Arguments` on.
    Asked = 2,
    /// `exit`, with its code at `Number`.
    Exited = 3,
}

/// What the gate writes, of the bytes that it knows.
const RESULTS: usize = user_mailbox::RESULTS as usize;
/// After them: the stack pointer, RAX of an answer or the number of a call, and its arguments.
const STACK: usize = user_mailbox::STACK as usize;
const STACK_END: usize = 0xa0;
const NUMBER: usize = STACK_END;
const ARGUMENTS: usize = 0xa8;
/// All bytes of the array.
const BYTES: usize = 0xd8;

/// Asks JavaScript whether it is still there, while a guest computes.
struct Alive<'a>(Callback<'a>);

impl Alive<'_> {
    fn is_alive(&self) -> bool {
        self.0.call(None::<u32>).is_some()
    }
}

impl ExitHandler for Alive<'_> {
    fn tick(&mut self) -> Reply<()> {
        if self.is_alive() {
            Ok(())
        } else {
            Err(Unanswered::Failed)
        }
    }
}

/// How long a call may take, and a vCPU looks for the next one.
struct Times {
    timeout_ms: f64,
    tick_ms: f64,
    spin_ms: f64,
}

#[napi]
impl NativeMachine {
    /// Calls the function in the array, or `answers` the system call that has ended the last run,
    /// until the function is back or something else is to be done. The array begins as the mailbox
    /// does; after it are the stack pointer, and then RAX of the answer, which a system call puts
    /// its number and its arguments over. Times are in milliseconds; with `spin_ms`, unless it is
    /// negative, a vCPU on a thread of its own looks for the call, and so long for the next one.
    /// `alive` is called now and then. What is none of `NativeCall` is the end of a run, as
    /// `runSync` returns it.
    #[napi(ts_return_type = "number | NativeRest | Failure")]
    #[allow(clippy::too_many_arguments)] // numbers cross faster than an object of them
    pub fn user_go(
        &self,
        env: Env,
        answers: bool,
        mut array: Uint8ArraySlice<'_>,
        timeout_ms: f64,
        tick_ms: f64,
        spin_ms: f64,
        #[napi(ts_arg_type = "() => number")] alive: Function<'_, (), ()>,
    ) -> Told {
        let words = match shared::required_words() {
            Ok(words) => words,
            Err(error) => return Either3::C(error.into()),
        };
        let times = Times {
            timeout_ms,
            tick_ms,
            spin_ms,
        };
        let alive = Alive(Callback::new(&env, &alive));
        let mut bytes = [0; BYTES];
        bytes
            .iter_mut()
            .zip(&*array)
            .for_each(|(to, from)| *to = *from);
        let went = self
            .life
            .guarded(|life| go(life, answers, &mut bytes, &times, alive));
        match went {
            Ok(Either::A(stop)) => {
                ffi::put(&mut array, &bytes);
                Either3::A(stop as u32)
            }
            Ok(Either::B(ended)) => tell(words, Ok(ended)),
            Err(error) => tell(words, Err(error)),
        }
    }
}

fn go(
    life: &Lifecycle,
    answers: bool,
    bytes: &mut [u8; BYTES],
    times: &Times,
    mut alive: Alive<'_>,
) -> Result<Either<NativeCall, Ended>> {
    let spins = times.spin_ms >= 0.0;
    let stack = word(bytes, STACK);
    if answers {
        life.with_idle(|machine| machine.user_answer(word(bytes, NUMBER)))?;
    }
    let ended = if spins && !answers {
        let limits = SpinLimits {
            timeout: (times.timeout_ms >= 0.0).then(|| milliseconds(times.timeout_ms)),
            patience: milliseconds(times.spin_ms),
        };
        let call = bytes.get(..STACK_END).unwrap_or_default();
        let Some(ended) = life.spin(call, &limits, || alive.is_alive())? else {
            results(life, bytes)?;
            return Ok(Either::A(NativeCall::Returned));
        };
        ended
    } else {
        if spins {
            // Called by a vCPU that looks for calls; on this thread it shall not.
            life.handles.memory()?.write(PATIENCE, &[0; 8])?;
        }
        if !answers {
            life.with_idle(|machine| {
                let read = bytes.get(..RESULTS).unwrap_or_default();
                machine.memory().write(0, read)?;
                machine.user_call(stack)
            })?;
        }
        let limits: RunLimits = limits(times.timeout_ms, times.tick_ms, false);
        life.run_here(limits, &mut alive)?
    };
    let stop = life.with_idle(|machine| Ok(machine.user_stop().cloned()))?;
    match stop {
        Some(UserStop::Parked) if life.is_spin_done()? => {
            results(life, bytes)?;
            Ok(Either::A(NativeCall::Returned))
        }
        Some(UserStop::Returned) => {
            results(life, bytes)?;
            Ok(Either::A(NativeCall::Returned))
        }
        Some(UserStop::Call {
            number,
            arguments,
            rsp,
        }) => {
            put(bytes, STACK, rsp);
            put(bytes, NUMBER, number);
            for (index, word) in arguments.into_iter().enumerate() {
                put(bytes, ARGUMENTS + index * 8, word);
            }
            Ok(Either::A(NativeCall::Asked))
        }
        Some(UserStop::Exit { code }) => {
            put(bytes, NUMBER, code as u64);
            Ok(Either::A(NativeCall::Exited))
        }
        // A library's program has no signals.
        Some(UserStop::Parked | UserStop::Killed { .. }) | None => Ok(Either::B(ended)),
    }
}

/// What the gate has written.
fn results(life: &Lifecycle, bytes: &mut [u8; BYTES]) -> Result<()> {
    let to = bytes.get_mut(RESULTS..STACK).unwrap_or_default();
    life.handles.memory()?.read(RESULTS as u64, to)
}

fn word(bytes: &[u8; BYTES], at: usize) -> u64 {
    let word = bytes.get(at..at + 8).unwrap_or_default();
    word.try_into().map_or(0, u64::from_le_bytes)
}

fn put(bytes: &mut [u8; BYTES], at: usize, word: u64) {
    if let Some(to) = bytes.get_mut(at..at + 8) {
        to.copy_from_slice(&word.to_le_bytes());
    }
}
