//! Text from the guest: kept for the outcome, or gathered for the handler.

use crate::output::Output;
use crate::state::{State, saved};

/// Console bytes gathered before they go to the handler in one batch.
pub const CONSOLE_BATCH_BYTES: usize = 16 << 10;

saved! {
    /// What a [`Console`] holds.
    ConsoleState = "console" {
        /// What the handler has yet to get.
        text: Vec<u8>,
    }
}

/// What the guest writes to a console route.
#[derive(Debug)]
pub struct Console {
    /// What the handler has yet to get; `None` when the bytes go into the outcome.
    batch: Option<Vec<u8>>,
    /// What every byte of a read is, all ones at first.
    pub answer: u8,
}

impl Console {
    /// One whose text the handler gets, or the outcome.
    pub fn new(deliver: bool) -> Self {
        Self {
            batch: deliver.then(Vec::new),
            answer: 0xff,
        }
    }

    /// Takes what the guest wrote.
    pub fn write(&mut self, data: &[u8], output: &mut Output) {
        match &mut self.batch {
            Some(batch) => batch.extend_from_slice(data),
            None => output.push(data),
        }
    }

    /// Whether the handler gets its text.
    pub const fn delivers(&self) -> bool {
        self.batch.is_some()
    }

    /// Whether a whole batch waits for the handler.
    pub fn is_full(&self) -> bool {
        self.batch
            .as_ref()
            .is_some_and(|batch| batch.len() >= CONSOLE_BATCH_BYTES)
    }

    /// Whether anything waits for the handler.
    pub fn waits(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| !batch.is_empty())
    }

    /// What waits for the handler, if anything does; it is then the caller's.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        let batch = self.batch.as_mut().filter(|batch| !batch.is_empty())?;
        Some(std::mem::take(batch))
    }

    /// The text that was not handed over.
    pub fn save(&self) -> State {
        State::of(&ConsoleState {
            text: self.waiting().to_vec(),
        })
    }

    /// Has the text of the console that saved this to hand over, and no other; without a handler it
    /// goes into the outcome. `false` for what no console saves, which changes nothing.
    pub fn restore(&mut self, state: &State, output: &mut Output) -> bool {
        let Some(ConsoleState { text }) = state.fields() else {
            return false;
        };
        match &mut self.batch {
            Some(batch) => *batch = text,
            None => output.push(&text),
        }
        true
    }

    /// What the handler has yet to get.
    pub(crate) fn waiting(&self) -> &[u8] {
        self.batch.as_deref().unwrap_or_default()
    }

    /// Has this to hand over, and nothing else.
    pub(crate) fn replace(&mut self, text: Vec<u8>) {
        self.batch = Some(text);
    }

    /// What was taken comes back: before what came meanwhile if the handler has not seen it,
    /// otherwise only to reuse its allocation.
    pub fn give_back(&mut self, mut bytes: Vec<u8>, unseen: bool) {
        let Some(batch) = self.batch.as_mut() else {
            return;
        };
        if !unseen {
            bytes.clear();
        }
        bytes.append(batch);
        *batch = bytes;
    }
}
