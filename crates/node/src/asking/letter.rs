//! One question to JavaScript, on its own thread: words in, a status out, no object per exit.

use napi::Either;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use vmm::{
    At, Exit, Hit, PostedWrite, ReadAnswer, Reply, RouteId, StopAnswer, Unanswered, WriteAnswer,
};

use crate::convert::exit::NativeExit;
use crate::convert::stop::{self, NativeStopKind};
use crate::ffi::{Returned, WORDS, Words};

/// The id of what is no stop of a machine's, but the limit of a run.
pub const NO_STOP: u32 = u32::MAX;

/// What is passed with the words: console bytes, or the record of an unclaimed exit.
pub type Payload = Either<Uint8Array, NativeExit>;

/// What word 0 says is wanted. `src/machine/ask.ts` reads the words.
#[napi]
pub enum NativeQuestion {
    /// Nothing: JavaScript gets a chance to work.
    Tick = 0,
    /// A device's value.
    Read = 1,
    /// A device shall take a value.
    Write = 2,
    /// Console bytes, as the argument.
    Console = 3,
    /// An unclaimed exit, as the argument.
    Unclaimed = 4,
    /// Posted writes of a route wait; with a 1 in word 4 the words hold the only one.
    /// `NativeMachine.drain` and `takeCount` take them. A promise is answered by `consumed`.
    Posted = 5,
    /// A vCPU has come to a stop, whose id is in word 1, with all bits set for the limits of a run;
    /// what it is, a place in `NativeStopKind`, in word 2; its vCPU in word 4, its address in words
    /// 6 and 7. Of a watchpoint the bytes before and after are the argument. `End` ends the run.
    Stop = 6,
}

/// The status that the called function returns, unless it returns the bytes of an unclaimed string
/// read.
#[napi]
pub enum NativeAnswer {
    /// Continue; a read without a value is all ones.
    Done = 0,
    /// Continue with the value in words 6 and 7.
    Value = 1,
    /// A promise: `NativeMachine.answer` follows.
    Promised = 2,
    /// End the run with this exit.
    End = 3,
    /// The handler failed; TypeScript keeps its error.
    Failed = 4,
}

/// What JavaScript answered; whether it fits the question shows where that is known.
#[derive(Debug)]
pub enum Answer {
    Value(u64),
    Bytes(Vec<u8>),
    Done,
    End,
    Failed,
}

impl Answer {
    /// To a device's read.
    pub fn value(self) -> Reply<Option<u64>> {
        match self {
            Self::Value(value) => Ok(Some(value)),
            Self::Done => Ok(None),
            Self::Bytes(_) | Self::End | Self::Failed => Err(Unanswered::Failed),
        }
    }

    /// To a device's write, to console bytes, to a tick.
    pub fn done(self) -> Reply<()> {
        match self {
            Self::Done | Self::Value(_) => Ok(()),
            Self::Bytes(_) | Self::End | Self::Failed => Err(Unanswered::Failed),
        }
    }

    /// To an unclaimed read.
    pub fn unclaimed_read(self) -> Reply<ReadAnswer> {
        match self {
            Self::Value(value) => Ok(ReadAnswer::Value(value)),
            Self::Bytes(bytes) => Ok(ReadAnswer::Bytes(bytes)),
            Self::Done => Ok(ReadAnswer::Ones),
            Self::End => Ok(ReadAnswer::End),
            Self::Failed => Err(Unanswered::Failed),
        }
    }

    /// To a stop.
    pub fn stop(self) -> Reply<StopAnswer> {
        match self {
            Self::Done | Self::Value(_) => Ok(StopAnswer::Go),
            Self::End => Ok(StopAnswer::End),
            Self::Bytes(_) | Self::Failed => Err(Unanswered::Failed),
        }
    }

    /// To an unclaimed write.
    pub fn unclaimed_write(self) -> Reply<WriteAnswer> {
        match self {
            Self::Done | Self::Value(_) => Ok(WriteAnswer::Done),
            Self::End => Ok(WriteAnswer::End),
            Self::Bytes(_) | Self::Failed => Err(Unanswered::Failed),
        }
    }
}

/// What came back.
pub enum Heard {
    Answer(Answer),
    Promised,
}

/// A question that can wait on another thread.
#[derive(Debug)]
pub enum Letter {
    Plain([u32; WORDS]),
    Console([u32; WORDS], Vec<u8>),
    Unclaimed([u32; WORDS], Exit, Vec<u8>),
}

impl Letter {
    pub fn tick() -> Self {
        Self::Plain(words(NativeQuestion::Tick, 0, 0))
    }

    pub fn read(at: At, ticket: u32) -> Self {
        Self::Plain(device(NativeQuestion::Read, at, 0, ticket))
    }

    pub fn write(at: At, value: u64, ticket: u32) -> Self {
        Self::Plain(device(NativeQuestion::Write, at, value, ticket))
    }

    pub fn console(route: RouteId, bytes: &[u8], ticket: u32) -> Self {
        let words = words(NativeQuestion::Console, route.get(), ticket);
        Self::Console(words, bytes.to_vec())
    }

    pub fn unclaimed(exit: &Exit, data: &[u8], ticket: u32) -> Self {
        let words = words(NativeQuestion::Unclaimed, 0, ticket);
        Self::Unclaimed(words, exit.clone(), data.to_vec())
    }

    pub fn stop(vcpu: u32, hit: &Hit, ticket: u32) -> Self {
        let (low, high) = (hit.address as u32, (hit.address >> 32) as u32);
        let id = hit.id.unwrap_or(NO_STOP);
        let [question, id, ..] = words(NativeQuestion::Stop, id, ticket);
        let kind = NativeStopKind::from(hit.kind) as u32;
        let words = [question, id, kind, 0, vcpu, ticket, low, high];
        match &hit.watched {
            None => Self::Plain(words),
            Some(watched) => Self::Console(words, stop::watched(watched).concat()),
        }
    }

    /// Posted writes of a route wait, or this one is all.
    pub fn posted(route: RouteId, lone: Option<PostedWrite>) -> Self {
        let [kind, at, ..] = words(NativeQuestion::Posted, route.get(), 0);
        Self::Plain(match lone {
            None => [kind, at, 0, 0, 0, 0, 0, 0],
            Some(write) => {
                let (low, high) = (write.value as u32, (write.value >> 32) as u32);
                let size = u32::from(write.size);
                [kind, at, write.offset, size, 1, 0, low, high]
            }
        })
    }

    /// Asks, and waits for the function to return.
    pub fn ask(
        self,
        shared: Words,
        call: impl FnOnce(Option<Payload>) -> Option<Returned>,
    ) -> Heard {
        let payload = match self {
            Self::Plain(words) => {
                shared.put(words);
                None
            }
            Self::Console(words, bytes) => {
                shared.put(words);
                Some(Either::A(Uint8Array::from(bytes)))
            }
            Self::Unclaimed(words, exit, data) => {
                shared.put(words);
                Some(Either::B(NativeExit::new(&exit, &data)))
            }
        };
        call(payload).map_or(Heard::Answer(Answer::Failed), |returned| {
            heard(shared, returned)
        })
    }
}

fn words(kind: NativeQuestion, route: u32, ticket: u32) -> [u32; WORDS] {
    [kind as u32, route, 0, 0, 0, ticket, 0, 0]
}

fn device(kind: NativeQuestion, at: At, value: u64, ticket: u32) -> [u32; WORDS] {
    let (low, high) = (value as u32, (value >> 32) as u32);
    let [kind, route, ..] = words(kind, at.route.get(), ticket);
    [
        kind,
        route,
        at.offset,
        u32::from(at.size),
        at.vcpu,
        ticket,
        low,
        high,
    ]
}

/// Decodes a status; a value is in words 6 and 7.
pub fn heard(shared: Words, returned: Returned) -> Heard {
    const DONE: u32 = NativeAnswer::Done as u32;
    const VALUE: u32 = NativeAnswer::Value as u32;
    const PROMISED: u32 = NativeAnswer::Promised as u32;
    const END: u32 = NativeAnswer::End as u32;
    Heard::Answer(match returned {
        Returned::Bytes(bytes) => Answer::Bytes(bytes),
        Returned::Number(DONE) => Answer::Done,
        Returned::Number(VALUE) => {
            Answer::Value(u64::from(shared.get(7)) << 32 | u64::from(shared.get(6)))
        }
        Returned::Number(PROMISED) => return Heard::Promised,
        Returned::Number(END) => Answer::End,
        Returned::Number(_) => Answer::Failed,
    })
}
