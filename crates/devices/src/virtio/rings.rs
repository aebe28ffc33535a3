//! The rings of a device while it works.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::virtio::chain::Chain;
use crate::virtio::ring::Ring;
use crate::written::DmaMemory;

/// Chains that a device gets at one go. Others may want its lock.
const MOST_AT_ONCE: u32 = 256;

/// The rings of a device, while it works.
#[derive(Debug)]
pub struct Rings<'c> {
    rings: &'c mut [Ring],
    memory: &'c DmaMemory,
    /// Who waits for the lock.
    wanted: &'c AtomicU32,
    taken: u32,
    is_more: bool,
    is_malformed: bool,
    is_config_changed: bool,
}

/// What came of the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Worked {
    /// There may be more to do.
    pub is_more: bool,
    /// The driver has done what it must not.
    pub is_malformed: bool,
    /// The driver is to look at the configuration space.
    pub is_config_changed: bool,
    /// The driver is to look at the used rings.
    pub wants_interrupt: bool,
}

impl<'c> Rings<'c> {
    pub(super) const fn new(
        rings: &'c mut [Ring],
        memory: &'c DmaMemory,
        wanted: &'c AtomicU32,
    ) -> Self {
        Self {
            rings,
            memory,
            wanted,
            taken: 0,
            is_more: false,
            is_malformed: false,
            is_config_changed: false,
        }
    }

    /// The guest's memory.
    pub const fn memory(&self) -> &'c DmaMemory {
        self.memory
    }

    /// Whether the driver has made a queue ready.
    pub fn is_ready(&self, queue: usize) -> bool {
        self.rings.get(queue).is_some_and(Ring::is_ready)
    }

    /// The next chain of a queue. `None` when there is none, and when others are to get their turn:
    /// the device is then called again at once.
    pub fn next(&mut self, queue: usize) -> Option<Chain> {
        let ring = self.rings.get_mut(queue).filter(|ring| ring.is_ready())?;
        if self.is_malformed {
            return None;
        }
        if self.taken >= MOST_AT_ONCE || self.wanted.load(Ordering::Relaxed) > 0 {
            self.is_more = true;
            return None;
        }
        self.taken += 1;
        let chain = ring.take(self.memory);
        self.is_malformed |= chain.is_err();
        chain.unwrap_or_default()
    }

    /// Gives a chain of a queue back to the driver, with the number of bytes that were written into
    /// it. A chain that was taken before a reset goes nowhere.
    pub fn complete(&mut self, queue: usize, chain: Chain, written: u32) {
        if self.is_malformed {
            return;
        }
        if let Some(ring) = self.rings.get_mut(queue) {
            let completed = ring.complete(self.memory, &chain, written);
            self.is_malformed |= completed.is_err();
        }
    }

    /// The driver has put into a chain what no driver may: the device stops until it is reset.
    pub const fn refuse(&mut self) {
        self.is_malformed = true;
    }

    /// The configuration space has changed, and the driver is to look at it.
    pub const fn config_changed(&mut self) {
        self.is_config_changed = true;
    }

    pub(super) fn finish(self) -> Worked {
        let (mut wants_interrupt, mut is_malformed) = (false, self.is_malformed);
        for ring in self.rings {
            match ring.wants_interrupt(self.memory) {
                Ok(wants) => wants_interrupt |= wants,
                Err(_) => is_malformed = true,
            }
        }
        Worked {
            is_more: self.is_more && !is_malformed,
            is_malformed,
            is_config_changed: self.is_config_changed,
            wants_interrupt,
        }
    }
}
