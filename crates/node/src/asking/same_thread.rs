//! Answering on the thread that runs the vCPU, which is JavaScript's own.

use std::cell::Cell;

use vmm::{Answer, ExitHandler, Question};

use crate::asking::letter::{Heard, Letter, Payload};
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
    fn hand_over(&self) -> Answer {
        self.posted.set_due();
        let failed = Cell::new(false);
        let call = || self.ask.call(None::<Payload>);
        self.posted
            .hand_over(self.words, call, || failed.get(), || failed.set(true));
        if failed.get() {
            Answer::Failed
        } else {
            Answer::Done
        }
    }
}

impl ExitHandler for SameThread<'_> {
    fn answer(&mut self, question: Question<'_>) -> Answer {
        if matches!(question, Question::Posted | Question::Full { .. }) {
            return self.hand_over();
        }
        match Letter::new(&question, 0).ask(self.words, |payload| self.ask.call(payload)) {
            Heard::Answer(answer) => answer,
            // TypeScript refuses promises here before they come this far.
            Heard::Promised => Answer::Failed,
        }
    }

    fn takes_at_once(&self) -> bool {
        true
    }
}
