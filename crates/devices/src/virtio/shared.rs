//! What a transport and its worker share.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use virtio_bindings::virtio_mmio::{VIRTIO_MMIO_INT_CONFIG, VIRTIO_MMIO_INT_VRING};

use crate::trigger::Trigger;
use crate::virtio::core::Core;

/// A device's line.
pub(super) type Line = Box<dyn Trigger + Send + Sync>;

/// What a transport and its worker share.
#[derive(Debug)]
pub(super) struct Shared {
    core: Mutex<Core>,
    /// Who waits for the lock, besides the worker: it then lets it go.
    wanted: AtomicU32,
    /// Why the line was triggered. A driver's interrupt handler reads it, and must not wait for
    /// what holds the lock.
    pub interrupts: AtomicU32,
    pub line: OnceLock<Option<Line>>,
    /// The worker ends.
    pub is_over: AtomicBool,
}

impl Shared {
    pub fn new(core: Core) -> Self {
        Self {
            core: Mutex::new(core),
            wanted: AtomicU32::new(0),
            interrupts: AtomicU32::new(0),
            line: OnceLock::new(),
            is_over: AtomicBool::new(false),
        }
    }

    /// The core, for all but the worker, which lets it go soon.
    pub fn core(&self) -> MutexGuard<'_, Core> {
        self.wanted.fetch_add(1, Ordering::Relaxed);
        let core = self.lock();
        self.wanted.fetch_sub(1, Ordering::Relaxed);
        core
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worker's part: it works until there is nothing to do.
    pub fn work(&self) {
        while !self.is_over.load(Ordering::Relaxed) && self.work_once() {
            while self.wanted.load(Ordering::Relaxed) > 0 {
                std::thread::yield_now();
            }
        }
    }

    fn work_once(&self) -> bool {
        let mut core = self.lock();
        let worked = core.work(&self.wanted);
        if worked.wants_interrupt {
            self.interrupt(VIRTIO_MMIO_INT_VRING);
        }
        if worked.is_config_changed || worked.is_malformed {
            self.interrupt(VIRTIO_MMIO_INT_CONFIG);
        }
        worked.is_more
    }

    /// The device stops until its driver resets it.
    pub fn break_down(&self) {
        if self.core().break_down().is_broken {
            self.interrupt(VIRTIO_MMIO_INT_CONFIG);
        }
    }

    /// Triggers the line for a reason.
    pub fn interrupt(&self, reason: u32) {
        self.interrupts.fetch_or(reason, Ordering::SeqCst);
        if let Some(Some(line)) = self.line.get() {
            line.trigger();
        }
    }
}
