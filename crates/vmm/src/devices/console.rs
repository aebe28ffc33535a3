//! Text from the guest: kept for the outcome, or gathered for the handler.

use super::Reaction;
use crate::limits::CONSOLE_BATCH_BYTES;
use crate::output::Output;

#[derive(Debug)]
pub(crate) struct Console {
    /// What the handler has yet to get; `None` when the bytes go into the outcome.
    batch: Option<Vec<u8>>,
}

impl Console {
    pub fn new(deliver: bool) -> Self {
        Self {
            batch: deliver.then(Vec::new),
        }
    }

    pub fn write(&mut self, data: &[u8], output: &mut Output) -> Reaction {
        let Some(batch) = self.batch.as_mut() else {
            output.push(data);
            return Reaction::Done;
        };
        batch.extend_from_slice(data);
        if batch.len() >= CONSOLE_BATCH_BYTES {
            Reaction::Flush
        } else {
            Reaction::Done
        }
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

    /// What was taken comes back: in front of what came meanwhile if nobody has seen it, else for its room only.
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
