//! What is counted of each route.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count that every vCPU of a machine may add to.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What went through one route, in items: a string instruction counts each of its repetitions.
#[derive(Debug, Default)]
pub struct RouteCounters {
    /// Items that the guest read.
    pub reads: Counter,
    /// Items that the guest wrote.
    pub writes: Counter,
}
