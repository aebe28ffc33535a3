//! Answering on the thread that runs the vCPU, which is JavaScript's own.

use std::cell::Cell;

use vmm::{
    At, Exit, ExitHandler, Hit, PostedRing, ReadAnswer, Reply, RouteId, StopAnswer, Unanswered,
    WriteAnswer,
};

use crate::asking::letter::{Answer, Heard, Letter, Payload};
use crate::asking::posted::Posted;
use crate::ffi::{Callback, Words};

/// The handler of `runSync`.
pub struct SameThread<'a> {
    pub words: Words,
    pub ask: Callback<'a>,
    pub posted: &'a Posted,
}

impl SameThread<'_> {
    /// Hands over all that is posted.
    fn hand_over(&self) -> Reply<()> {
        self.posted.set_due();
        let failed = Cell::new(false);
        let call = || self.ask.call(None::<Payload>);
        self.posted
            .hand_over(self.words, call, || failed.get(), || failed.set(true));
        if failed.get() {
            Err(Unanswered::Failed)
        } else {
            Ok(())
        }
    }

    fn ask(&self, letter: Letter) -> Answer {
        match letter.ask(self.words, |payload| self.ask.call(payload)) {
            Heard::Answer(answer) => answer,
            // TypeScript refuses promises here before they come this far.
            Heard::Promised => Answer::Failed,
        }
    }
}

impl ExitHandler for SameThread<'_> {
    fn read(&mut self, at: At) -> Reply<Option<u64>> {
        self.ask(Letter::read(at, at.vcpu)).value()
    }

    fn write(&mut self, at: At, value: u64) -> Reply<()> {
        self.ask(Letter::write(at, value, at.vcpu)).done()
    }

    fn console(&mut self, route: RouteId, bytes: &[u8]) -> Reply<()> {
        self.ask(Letter::console(route, bytes, 0)).done()
    }

    fn unclaimed_read(&mut self, exit: &Exit, data: &[u8]) -> Reply<ReadAnswer> {
        self.ask(Letter::unclaimed(exit, data, 0)).unclaimed_read()
    }

    fn unclaimed_write(&mut self, exit: &Exit, data: &[u8]) -> Reply<WriteAnswer> {
        self.ask(Letter::unclaimed(exit, data, 0)).unclaimed_write()
    }

    fn stopped(&mut self, vcpu: u32, hit: &Hit) -> Reply<StopAnswer> {
        self.ask(Letter::stop(vcpu, hit, vcpu)).stop()
    }

    fn posted(&mut self) -> Reply<()> {
        self.hand_over()
    }

    fn full(&mut self, _: &PostedRing) -> Reply<()> {
        self.hand_over()
    }

    fn tick(&mut self) -> Reply<()> {
        self.ask(Letter::tick()).done()
    }

    fn takes_at_once(&self) -> bool {
        true
    }
}
