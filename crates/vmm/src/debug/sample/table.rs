//! What was sampled: stacks with their counts, and when each was found.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::debug::sample::stack::CodeSpace;
use crate::limits::{MAX_SAMPLED_FRAMES, MAX_SAMPLED_STACKS, MAX_SAMPLES};

/// What a vCPU was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activity {
    /// It ran the guest.
    Guest,
    /// It slept until an interrupt, or was not started yet.
    Halted,
    /// It was outside the guest: the host, or a handler, was answering.
    Waiting,
    /// The table was full.
    Unlisted,
}

/// One of the places where a vCPU was found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stack {
    /// Whose it is.
    pub vcpu: u32,
    /// What that was doing.
    pub activity: Activity,
    /// What code the first frame is of.
    pub space: CodeSpace,
    /// Linear addresses: of the next instruction, and then of those to which calls return; none if
    /// they are not known.
    pub frames: Vec<u64>,
}

/// One time that a vCPU was found somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Nanoseconds since the beginning.
    pub at_ns: u64,
    /// Which of the stacks.
    pub stack: u32,
}

/// All that was found.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// Each with how often it was found.
    pub stacks: Vec<(Arc<Stack>, u64)>,
    /// In the order in which they were taken, as many as are kept: [`MAX_SAMPLES`].
    pub samples: Vec<Sample>,
    /// How often a vCPU had not answered when the next sample was due.
    pub missed: u64,
    /// From the first to the last moment at which a sample could have been taken.
    pub duration: Duration,
}

/// Stacks by content. A guest makes as many different ones as it likes, so all is bounded.
#[derive(Debug, Default)]
pub(super) struct Table {
    known: HashMap<Arc<Stack>, u32>,
    all: Samples,
    frames: usize,
    taken: u64,
}

impl Table {
    /// Notes that it was found so often, the first time at a time, and then once in each period.
    pub fn add(&mut self, stack: Stack, at_ns: u64, count: u64, period_ns: u64) {
        let index = self.index_of(stack);
        if let Some((_, counted)) = self.all.stacks.get_mut(index as usize) {
            *counted += count;
        }
        self.taken += count;
        let room = MAX_SAMPLES.saturating_sub(self.all.samples.len()) as u64;
        for later in 0..count.min(room) {
            self.all.samples.push(Sample {
                at_ns: at_ns.saturating_add(later.saturating_mul(period_ns)),
                stack: index,
            });
        }
    }

    pub const fn missed(&mut self) {
        self.all.missed += 1;
    }

    /// How many there are.
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    pub fn into_samples(self, duration: Duration) -> Samples {
        Samples {
            duration,
            ..self.all
        }
    }

    fn index_of(&mut self, stack: Stack) -> u32 {
        if let Some(index) = self.known.get(&stack) {
            return *index;
        }
        let is_full = self.known.len() >= MAX_SAMPLED_STACKS
            || self.frames + stack.frames.len() > MAX_SAMPLED_FRAMES;
        if is_full && stack.activity != Activity::Unlisted {
            return self.index_of(Stack {
                activity: Activity::Unlisted,
                space: CodeSpace::default(),
                frames: Vec::new(),
                ..stack
            });
        }
        let index = self.all.stacks.len() as u32;
        self.frames += stack.frames.len();
        let stack = Arc::new(stack);
        self.all.stacks.push((Arc::clone(&stack), 0));
        self.known.insert(stack, index);
        index
    }
}

#[cfg(test)]
mod tests;
