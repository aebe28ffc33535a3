//! Counts that are always on: written by the threads that run the vCPUs, read by anybody at any time.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::kvm::exit::Exit;

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

/// The counts of one machine since it was made.
#[derive(Debug)]
pub struct Counters {
    /// Exits by kind, in the order of [`Exit::KINDS`].
    pub exits: [Counter; Exit::KINDS.len()],
    /// By route, in the order of the configuration.
    pub routes: Vec<RouteCounters>,
    /// Times that the vCPU waited because a ring was full.
    pub ring_waits: Counter,
    /// Entries that a kick or a nudge interrupted.
    pub kicks: Counter,
    /// Nanoseconds inside `KVM_RUN`, of those runs that ask for it.
    pub kvm_run_ns: Counter,
}

impl Counters {
    pub(crate) fn new(routes: usize) -> Self {
        Self {
            exits: Default::default(),
            ring_waits: Counter::default(),
            kicks: Counter::default(),
            kvm_run_ns: Counter::default(),
            routes: (0..routes).map(|_| RouteCounters::default()).collect(),
        }
    }

    pub(crate) fn count_exit(&self, exit: &Exit) {
        if let Some(counter) = self.exits.get(exit.kind()) {
            counter.add(1);
        }
    }

    /// All exits.
    pub fn total_exits(&self) -> u64 {
        self.exits.iter().map(Counter::get).sum()
    }
}
