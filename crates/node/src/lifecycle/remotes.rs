//! Devices that JavaScript answers by requests: which of them it has to look at.

use vmm::Remote;

/// The host's ends of one machine's devices.
pub struct Remotes(vmm::Remotes);

impl Remotes {
    pub fn new(remotes: &vmm::Remotes) -> Self {
        Self(remotes.clone())
    }

    /// The run is over: when this returns, no thread rings.
    pub fn end(&self) {
        self.0.bell.take_down();
    }

    /// Whether JavaScript's thread shall look.
    pub fn is_due(&self) -> bool {
        self.0.bell.is_due()
    }

    /// A bit for each device at which something waits, if the bell was rung since the last call.
    pub fn take_due(&self) -> Option<u32> {
        self.0.bell.take_due().then(|| {
            let ends = self.0.ends.iter().enumerate();
            ends.fold(0, |due, (index, end)| due | u32::from(end.waits()) << index)
        })
    }

    /// One of them, by its place.
    pub fn get(&self, index: u32) -> Option<&Remote> {
        self.0.ends.get(index as usize)
    }
}
