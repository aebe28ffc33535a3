//! How what is not the driver wakes a device's worker.

use std::sync::{Arc, OnceLock};

use crate::device::Doorbell;

/// Wakes the worker of a device, from any thread. Before there is one, and after its end, nothing
/// happens: a worker begins with a look at everything.
#[derive(Clone, Debug, Default)]
pub struct Waker(Arc<OnceLock<Arc<dyn Doorbell>>>);

impl Waker {
    /// The device will be asked to work, if its machine runs, or as soon as it does.
    pub fn wake(&self) {
        if let Some(bell) = self.0.get() {
            bell.ring();
        }
    }

    pub(super) fn hang(&self, bell: &Arc<dyn Doorbell>) {
        // It is hung once: a device is attached once.
        self.0.set(Arc::clone(bell)).ok();
    }
}
