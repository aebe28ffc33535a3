//! A handler out of one closure, for tests that want to hear every question in its order.

use vmm::{At, Exit, ExitHandler, PostedRing, ReadAnswer, Reply, RouteId, Unanswered, WriteAnswer};

/// One question.
#[derive(Debug)]
pub enum Question<'a> {
    Read {
        route: usize,
        offset: u32,
        size: u8,
        vcpu: u32,
    },
    Write {
        route: usize,
        offset: u32,
        size: u8,
        value: u64,
        vcpu: u32,
    },
    Console {
        route: usize,
        bytes: &'a [u8],
    },
    Unclaimed {
        exit: &'a Exit,
        data: &'a [u8],
    },
    Posted,
    Full {
        ring: &'a PostedRing,
    },
    Tick,
}

/// What a closure may answer; what does not fit the question is a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Value(u64),
    Bytes(Vec<u8>),
    Done,
    End,
    Failed,
    Interrupted,
    Withdrawn,
}

struct Closure<F>(F);

/// The handler that asks a closure.
pub fn handler<F: FnMut(Question<'_>) -> Answer>(closure: F) -> impl ExitHandler {
    Closure(closure)
}

/// A closure for each vCPU.
pub fn handlers<F: FnMut(Question<'_>) -> Answer + Send>(
    closures: impl IntoIterator<Item = F>,
) -> Vec<impl ExitHandler + Send> {
    closures.into_iter().map(Closure).collect()
}

impl Answer {
    fn why(&self) -> Unanswered {
        match self {
            Self::Interrupted => Unanswered::Interrupted,
            Self::Withdrawn => Unanswered::Withdrawn,
            _ => Unanswered::Failed,
        }
    }

    /// Of a question for which any answer will do that is not none.
    fn done(&self) -> Reply<()> {
        match self {
            Self::Failed | Self::Interrupted | Self::Withdrawn => Err(self.why()),
            _ => Ok(()),
        }
    }
}

impl<F: FnMut(Question<'_>) -> Answer> ExitHandler for Closure<F> {
    fn read(&mut self, at: At) -> Reply<Option<u64>> {
        let answer = (self.0)(Question::Read {
            route: at.route.get() as usize,
            offset: at.offset,
            size: at.size,
            vcpu: at.vcpu,
        });
        match answer {
            Answer::Value(value) => Ok(Some(value)),
            Answer::Done => Ok(None),
            other => Err(other.why()),
        }
    }

    fn write(&mut self, at: At, value: u64) -> Reply<()> {
        let answer = (self.0)(Question::Write {
            route: at.route.get() as usize,
            offset: at.offset,
            size: at.size,
            value,
            vcpu: at.vcpu,
        });
        match answer {
            Answer::Value(_) | Answer::Done => Ok(()),
            other => Err(other.why()),
        }
    }

    fn console(&mut self, route: RouteId, bytes: &[u8]) -> Reply<()> {
        let route = route.get() as usize;
        (self.0)(Question::Console { route, bytes }).done()
    }

    fn unclaimed_read(&mut self, exit: &Exit, data: &[u8]) -> Reply<ReadAnswer> {
        match (self.0)(Question::Unclaimed { exit, data }) {
            Answer::Value(value) => Ok(ReadAnswer::Value(value)),
            Answer::Bytes(bytes) => Ok(ReadAnswer::Bytes(bytes)),
            Answer::Done => Ok(ReadAnswer::Ones),
            Answer::End => Ok(ReadAnswer::End),
            other => Err(other.why()),
        }
    }

    fn unclaimed_write(&mut self, exit: &Exit, data: &[u8]) -> Reply<WriteAnswer> {
        match (self.0)(Question::Unclaimed { exit, data }) {
            Answer::Value(_) | Answer::Done => Ok(WriteAnswer::Done),
            Answer::End => Ok(WriteAnswer::End),
            other => Err(other.why()),
        }
    }

    fn posted(&mut self) -> Reply<()> {
        (self.0)(Question::Posted).done()
    }

    fn full(&mut self, ring: &PostedRing) -> Reply<()> {
        (self.0)(Question::Full { ring }).done()
    }

    fn tick(&mut self) -> Reply<()> {
        (self.0)(Question::Tick).done()
    }
}
