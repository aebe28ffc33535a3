//! Text from the guest: kept for the outcome, or gathered for the handler.

use crate::output::Output;

/// Console bytes gathered before they go to the handler in one batch.
pub const CONSOLE_BATCH_BYTES: usize = 16 << 10;

/// What the guest writes to a console route.
#[derive(Debug)]
pub struct Console {
    /// What the handler has yet to get; `None` when the bytes go into the outcome.
    batch: Option<Vec<u8>>,
}

impl Console {
    /// One whose text the handler gets, or the outcome.
    pub fn new(deliver: bool) -> Self {
        Self {
            batch: deliver.then(Vec::new),
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
