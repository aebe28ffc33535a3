//! The questions of a machine to its handler, and the answers.

use crate::bus::{PostedRing, RouteId};
use crate::debug::Hit;
use crate::kvm::exit::Exit;

/// Where a device is accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The route.
    pub route: RouteId,
    /// Distance from the route's first port or address.
    pub offset: u32,
    /// Bytes: 1, 2, 4 or 8.
    pub size: u8,
    /// Index of the vCPU that asks.
    pub vcpu: u32,
}

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// The handler failed, having seen the question: the run ends with an error.
    Failed,
    /// The handler saw the question, and the run was kicked before it answered.
    Interrupted,
    /// The run was kicked before the handler saw the question.
    Withdrawn,
    /// The run pauses. The handler saw the question; [`ExitHandler::left_open`] says so.
    Paused,
}

/// What a handler has seen, and a pause has left without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOpen {
    /// Nothing.
    Nothing,
    /// The answer to an access: the vCPU asks the same again to get it.
    Answer,
    /// That it has taken console bytes; they are not passed again.
    Text,
}

/// What comes back from a handler.
pub type Reply<T> = Result<T, Unanswered>;

/// The answer to a read that no route claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadAnswer {
    /// The value, of a string read that of each item.
    Value(u64),
    /// The items, byte for byte; any other number of bytes is a failure.
    Bytes(Vec<u8>),
    /// All ones, as from an empty bus.
    Ones,
    /// End the run with this exit.
    End,
}

/// The answer to a write that no route claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteAnswer {
    /// Go on.
    Done,
    /// End the run with this exit.
    End,
}

/// The answer to a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopAnswer {
    /// Go on.
    Go,
    /// End the run there.
    End,
}

/// Answers the questions of a machine; the vCPU waits meanwhile. What a handler
/// does not implement is answered as by an empty bus, and an exit that no route claims ends the
/// run.
pub trait ExitHandler {
    /// A device shall give a value, of which the low bytes count; none is all ones.
    fn read(&mut self, _at: At) -> Reply<Option<u64>> {
        Ok(None)
    }

    /// A device gets a value, little-endian and zero-extended.
    fn write(&mut self, _at: At, _value: u64) -> Reply<()> {
        Ok(())
    }

    /// Bytes of a console route, at least one, in the order in which the guest wrote them.
    fn console(&mut self, _route: RouteId, _bytes: &[u8]) -> Reply<()> {
        Ok(())
    }

    /// No route claims this read; `data` has its size, all items, in zeros.
    fn unclaimed_read(&mut self, _exit: &Exit, _data: &[u8]) -> Reply<ReadAnswer> {
        Ok(ReadAnswer::End)
    }

    /// No route claims this write; `data` is what the guest wrote, all items.
    fn unclaimed_write(&mut self, _exit: &Exit, _data: &[u8]) -> Reply<WriteAnswer> {
        Ok(WriteAnswer::End)
    }

    /// A vCPU has come to a stop that asks.
    fn stopped(&mut self, _vcpu: u32, _hit: &Hit) -> Reply<StopAnswer> {
        Ok(StopAnswer::End)
    }

    /// Posted writes wait; the handler takes them when it can, and those that wait before it
    /// answers another question.
    fn posted(&mut self) -> Reply<()> {
        Ok(())
    }

    /// A ring is full: the handler returns when there is room again, or the run is kicked.
    fn full(&mut self, _ring: &PostedRing) -> Reply<()> {
        Ok(())
    }

    /// Nothing is wanted: a chance to work while the guest makes no exits.
    fn tick(&mut self) -> Reply<()> {
        Ok(())
    }

    /// What a pause has left without an answer. It is asked for before anything else.
    fn left_open(&self) -> LeftOpen {
        LeftOpen::Nothing
    }

    /// After a pause: waits until the bytes are taken that were passed before it.
    fn text_taken(&mut self) -> Reply<()> {
        Ok(())
    }

    /// The answer that was left open is not wanted any more.
    fn forget(&mut self) {}

    /// Whether posted writes are taken within [`posted`](Self::posted). Then each is announced as
    /// soon as it is there, and an exit announces what the kernel has counted and gathered before.
    fn takes_at_once(&self) -> bool {
        false
    }
}

/// Answers as an empty bus.
impl ExitHandler for () {}
