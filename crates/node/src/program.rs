//! Native programs, as methods of the native class.

use napi::Either;
use napi::bindgen_prelude::{BigInt, Either3, Null, Uint8Array};
use napi_derive::napi;
use vmm::{Machine, UserEntry, UserKind, UserStop, WatchedCalls};

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
    /// The stream that the first argument of a system call leads to, if it is a descriptor of one:
    /// 0, 1 or 2.
    pub stream: Option<u32>,
    /// Of an exit; the signal that has killed it.
    pub code: Option<i32>,
}

/// The timer of a program.
#[napi(object)]
pub struct NativeTimer {
    /// How long until it sends the next signal; none if it is off.
    pub left_ms: Option<f64>,
    /// A system call that waits for its answer is interrupted, and has to be answered by `EINTR`.
    pub interrupts: bool,
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
        either(self.with_idle(|machine| {
            let mut told = NativeStop::of(machine.user_stop());
            if let Some(UserStop::Call { arguments, .. }) = machine.user_stop() {
                let descriptor = arguments[0] as u32 as i32;
                told.stream = machine.user_stream(descriptor);
            }
            Ok(told)
        }))
    }

    /// What the system call comes to that has ended the last run, RAX. `ERR_INVALID_OPTION` if
    /// there was none.
    #[napi]
    pub fn user_answer(&self, value: BigInt) -> Option<Failure> {
        nothing(self.with_idle(|machine| machine.user_answer(value.get_u64().1)))
    }

    /// Lets the kernel answer the system call that has ended the last run, and returns RAX, which
    /// `userAnswer` is still to be given; null if it does not know the call, or if the program is
    /// over then: `userStop` says so.
    #[napi]
    pub fn user_go_on(&self) -> Either3<BigInt, Null, Failure> {
        match self.with_idle(Machine::user_go_on) {
            Ok(Some(value)) => Either3::A(value.into()),
            Ok(None) => Either3::B(Null),
            Err(error) => Either3::C(error.into()),
        }
    }

    /// Sends the program a signal, 1 to 64, which comes to it when it runs next. Returns whether a
    /// system call that waits for its answer is interrupted, and has to be answered by `EINTR`.
    #[napi]
    pub fn user_signal(&self, signal: u32) -> Either<bool, Failure> {
        either(self.with_idle(|machine| machine.user_signal(signal)))
    }

    /// Looks at the timer that `alarm` or `setitimer` has set, which sends `SIGALRM` if it is due.
    #[napi]
    pub fn user_timer(&self) -> Either<NativeTimer, Failure> {
        either(self.with_idle(|machine| {
            let (left, interrupts) = machine.user_timer()?;
            Ok(NativeTimer {
                left_ms: left.map(|left| left.as_secs_f64() * 1000.0),
                interrupts,
            })
        }))
    }

    /// Which system calls end a run before they are answered: those of these numbers, or all.
    #[napi]
    pub fn user_watch(&self, numbers: Vec<u32>, all: bool) -> Option<Failure> {
        nothing(self.with_idle(|machine| {
            machine.user_watch(if all {
                WatchedCalls::All
            } else {
                WatchedCalls::These(numbers.iter().copied().map(u64::from).collect())
            })
        }))
    }

    /// The stream that a descriptor leads to, if it is one: 0, 1 or 2.
    #[napi]
    pub fn user_stream(&self, descriptor: i32) -> Option<u32> {
        self.with_idle(|machine| Ok(machine.user_stream(descriptor)))
            .ok()
            .flatten()
    }

    /// How often each system call came, by its number; the last one is of all that are larger.
    #[napi]
    pub fn user_counts(&self) -> Either<Vec<f64>, Failure> {
        either(self.with_idle(|machine| {
            let counts = machine.user_counts()?;
            Ok(counts.iter().map(|count| *count as f64).collect())
        }))
    }

    /// All bytes of a file that the program finds at a path. `ERR_PAYLOAD` if there is none.
    #[napi]
    pub fn user_file(&self, path: String) -> Either<Uint8Array, Failure> {
        either(self.with_idle(|machine| Ok(Uint8Array::new(machine.user_file(path.as_bytes())?))))
    }

    /// What is in a directory that the program finds at a path. `ERR_PAYLOAD` if there is none.
    #[napi]
    pub fn user_list(&self, path: String) -> Either<Vec<NativeEntry>, Failure> {
        either(self.with_idle(|machine| {
            let entries = machine.user_list(path.as_bytes())?;
            Ok(entries.iter().map(NativeEntry::of).collect())
        }))
    }

    /// Where the files of the host are, as the program has them, that it has open.
    #[napi]
    pub fn user_host_files(&self) -> Either<Vec<String>, Failure> {
        either(self.with_idle(|machine| {
            let paths = machine.user_host_files()?;
            let text = |path: &Vec<u8>| String::from_utf8_lossy(path).into_owned();
            Ok(paths.iter().map(text).collect())
        }))
    }

    /// What `/proc/self/cmdline` has from now on.
    #[napi]
    pub fn user_arguments(&self, arguments: Vec<String>) -> Option<Failure> {
        nothing(self.with_idle(|machine| {
            machine.user_arguments(arguments.into_iter().map(String::into_bytes).collect())
        }))
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
            stream: None,
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

/// A name in a directory.
#[napi(object)]
pub struct NativeEntry {
    /// Without a slash.
    pub name: String,
    /// What has that name.
    #[napi(ts_type = "'directory' | 'file' | 'link' | 'other'")]
    pub kind: String,
}

impl NativeEntry {
    fn of(entry: &UserEntry) -> Self {
        let kind = match entry.kind {
            UserKind::Directory => "directory",
            UserKind::File => "file",
            UserKind::Link => "link",
            _ => "other",
        };
        Self {
            name: String::from_utf8_lossy(&entry.name).into_owned(),
            kind: kind.into(),
        }
    }
}

/// A system call by its name in the kernel's table.
#[napi(object)]
pub struct NativeSystemCall {
    /// What RAX has.
    pub number: u32,
    /// As in `syscall_64.tbl`.
    pub name: String,
}

/// Every system call of x86-64 Linux.
#[napi]
pub fn system_calls() -> Vec<NativeSystemCall> {
    vmm::system_calls()
        .map(|(number, name)| NativeSystemCall {
            number,
            name: name.into(),
        })
        .collect()
}
