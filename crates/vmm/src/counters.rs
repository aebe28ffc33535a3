//! Counts that are always on: written by the threads that run the vCPUs, read from any thread at
//! any time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::bus::{Counter, RouteCounters, RouteId};
use crate::kvm::exit::Exit;
use crate::trace::TraceSlot;

/// A route with its counts.
pub type CountedRoute = (RouteId, Arc<RouteCounters>);

/// The counts of one machine since it was made.
#[derive(Debug, Default)]
pub struct Counters {
    /// Exits by kind, in the order of [`Exit::KINDS`].
    pub exits: [Counter; Exit::KINDS.len()],
    /// The caller's routes: those of the configuration, then those that were attached, oldest
    /// first.
    routes: Mutex<Vec<CountedRoute>>,
    /// Times that the vCPU waited because a ring was full.
    pub ring_waits: Counter,
    /// Entries that a kick or a nudge interrupted.
    pub kicks: Counter,
    /// Nanoseconds inside `KVM_RUN`, of those runs that ask for it.
    pub kvm_run_ns: Counter,
    /// Where the exits go that are counted, one by one, if there is a trace.
    pub trace: TraceSlot,
}

impl Counters {
    pub(crate) fn count_exit(&self, exit: &Exit) {
        if let Some(counter) = self.exits.get(exit.kind()) {
            counter.add(1);
        }
    }

    /// All exits.
    pub fn total_exits(&self) -> u64 {
        self.exits.iter().map(Counter::get).sum()
    }

    /// The routes of the caller's that are attached now: those of the configuration, then the
    /// others, oldest first.
    pub fn routes(&self) -> Vec<CountedRoute> {
        self.list().clone()
    }

    /// The counts of one of them, which go on to be readable after the route is gone.
    pub fn route(&self, id: RouteId) -> Option<Arc<RouteCounters>> {
        let list = self.list();
        let (_, counters) = list.iter().find(|(route, _)| *route == id)?;
        Some(Arc::clone(counters))
    }

    pub(crate) fn set_routes(&self, routes: Vec<CountedRoute>) {
        *self.list() = routes;
    }

    fn list(&self) -> MutexGuard<'_, Vec<CountedRoute>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
