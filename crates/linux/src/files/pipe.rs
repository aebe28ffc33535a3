//! Bytes on their way from a writer to a reader.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::limits::PIPE_BYTES;

/// Both ends of a pipe.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Pipe {
    bytes: VecDeque<u8>,
    /// The end that reads is open.
    pub reader: bool,
    /// The end that writes is open.
    pub writer: bool,
}

impl Pipe {
    /// An empty one, open at both ends.
    pub fn new() -> Self {
        Self {
            bytes: VecDeque::new(),
            reader: true,
            writer: true,
        }
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How many bytes more may wait.
    pub fn room(&self) -> usize {
        PIPE_BYTES.saturating_sub(self.bytes.len())
    }

    /// Takes the first bytes out; returns how many.
    pub fn read(&mut self, bytes: &mut [u8]) -> usize {
        let count = bytes.len().min(self.bytes.len());
        for (to, from) in bytes.iter_mut().zip(self.bytes.drain(..count)) {
            *to = from;
        }
        count
    }

    /// Puts in as many as there is room for; returns how many.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room());
        self.bytes.extend(bytes.iter().take(count));
        count
    }
}
