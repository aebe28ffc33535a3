//! One question to JavaScript, on its own thread: words in, a status out, no object per exit.

use napi::Either;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use vmm::{Answer, Event, Exit, Question};

use crate::convert::exit::NativeExit;
use crate::ffi::{Returned, WORDS, Words};

/// What goes beside the words: console bytes, or the record of an unclaimed exit.
pub type Payload = Either<Uint8Array, NativeExit>;

/// What word 0 says is wanted. `src/machine/ask.ts` reads the words.
#[napi]
pub enum NativeQuestion {
    /// Nothing: JavaScript may look around.
    Tick = 0,
    /// A device's value.
    Read = 1,
    /// A device shall take a value.
    Write = 2,
    /// Console bytes, as the argument.
    Console = 3,
    /// An unclaimed exit, as the argument.
    Unclaimed = 4,
    /// Posted writes of a route wait, or with a 1 in word 4 here is the only one; `NativeMachine.drain` and `takeCount` take them. A promise is answered by `consumed`.
    Posted = 5,
}

/// What the called function returns, unless it returns the bytes of an unclaimed string read.
#[napi]
pub enum NativeAnswer {
    /// Go on; a read without a value is all ones.
    Done = 0,
    /// Go on with the value in words 6 and 7.
    Value = 1,
    /// A promise: `NativeMachine.answer` follows.
    Promised = 2,
    /// End the run with this exit.
    End = 3,
    /// The handler failed; TypeScript keeps its error.
    Failed = 4,
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
    pub fn new(question: &Question<'_>, ticket: u32) -> Self {
        match question {
            // Of these, only a tick is a question to JavaScript.
            Question::Tick | Question::Posted | Question::Full { .. } => {
                Self::Plain(words(NativeQuestion::Tick, 0, ticket))
            }
            Question::Read {
                route,
                offset,
                size,
                vcpu,
            } => {
                let [kind, at, ..] = words(NativeQuestion::Read, *route, ticket);
                Self::Plain([kind, at, *offset, u32::from(*size), *vcpu, ticket, 0, 0])
            }
            Question::Write {
                route,
                offset,
                size,
                value,
                vcpu,
            } => {
                let [kind, at, ..] = words(NativeQuestion::Write, *route, ticket);
                let (low, high) = (*value as u32, (*value >> 32) as u32);
                Self::Plain([
                    kind,
                    at,
                    *offset,
                    u32::from(*size),
                    *vcpu,
                    ticket,
                    low,
                    high,
                ])
            }
            Question::Console { route, bytes } => Self::Console(
                words(NativeQuestion::Console, *route, ticket),
                bytes.to_vec(),
            ),
            Question::Unclaimed { exit, data } => Self::Unclaimed(
                words(NativeQuestion::Unclaimed, 0, ticket),
                (*exit).clone(),
                data.to_vec(),
            ),
        }
    }

    /// Posted writes of a route wait, or this one is all.
    pub fn posted(route: usize, lone: Option<Event>) -> Self {
        let [kind, at, ..] = words(NativeQuestion::Posted, route, 0);
        Self::Plain(match lone {
            None => [kind, at, 0, 0, 0, 0, 0, 0],
            Some(event) => {
                let (low, high) = (event.value as u32, (event.value >> 32) as u32);
                let size = u32::from(event.size);
                [kind, at, event.offset, size, 1, 0, low, high]
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

fn words(kind: NativeQuestion, route: usize, ticket: u32) -> [u32; WORDS] {
    [kind as u32, route as u32, 0, 0, 0, ticket, 0, 0]
}

/// What a status means; a value is in words 6 and 7.
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
