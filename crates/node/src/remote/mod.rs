//! Devices that JavaScript answers by requests: who hears that something waits, and what crosses.

mod disk;

use std::sync::Arc;

use vmm::{HostBell, Machine, Remote};

/// The host's ends of one machine's devices.
pub struct Remotes {
    bell: Arc<HostBell>,
    ends: Box<[Remote]>,
}

impl Remotes {
    pub fn new(machine: &Machine) -> Self {
        Self {
            bell: Arc::clone(machine.host_bell()),
            ends: machine.remotes().into(),
        }
    }

    /// The run is over: when this returns, no thread rings.
    pub fn end(&self) {
        self.bell.take_down();
    }

    /// Whether JavaScript's thread shall look.
    pub fn is_due(&self) -> bool {
        self.bell.is_due()
    }

    /// A bit for each device at which something waits, if the bell was rung since the last call.
    pub fn take_due(&self) -> Option<u32> {
        self.bell.take_due().then(|| {
            let ends = self.ends.iter().enumerate();
            ends.fold(0, |due, (index, end)| due | u32::from(end.waits()) << index)
        })
    }

    /// One of them, by its place.
    pub fn get(&self, index: u32) -> Option<&Remote> {
        self.ends.get(index as usize)
    }
}
