//! A route: its claim, its device, its gate and its counters.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use vmm_sys_util::eventfd::EventFd;

use crate::bus::backend::Backend;
use crate::bus::claim::{Base, Claim, RouteId};
use crate::bus::counts::RouteCounters;
use crate::bus::feed::Feed;
use crate::bus::gate::Gate;
use crate::bus::table::Row;
use crate::bus::target::RouteTarget;

/// An ioeventfd of a device.
#[derive(Debug)]
pub(crate) struct Doorbell {
    pub fd: EventFd,
    pub base: Base,
    /// Only writes of this value and size count.
    pub datamatch: Option<(u64, u8)>,
}

/// One route of a machine.
#[derive(Debug)]
pub(crate) struct Route {
    pub row: Row,
    /// Locked for one access if there are several vCPUs, and never while a question is asked or an
    /// answer awaited.
    pub backend: Mutex<Backend>,
    /// What kind of thing stands there, as saved states call it.
    pub kind: Cow<'static, str>,
    /// Where its posted writes wait.
    pub feed: Option<Feed>,
    /// vCPUs ask about it one after the other.
    pub gate: Gate,
    /// Shared with readers on any thread, which may outlive the route.
    pub counters: Arc<RouteCounters>,
    /// Whether its backend may have text for the handler.
    pub has_text: bool,
    /// Whether its device minds whether the machine runs.
    pub minds_runs: bool,
    /// What the kernel counts for a device here, and at which offset.
    pub doorbells: Vec<Doorbell>,
    /// Of an event route: only writes of this value and size count.
    pub datamatch: Option<(u64, u8)>,
    /// Whether the kernel gathers its writes.
    pub is_gathered: bool,
    /// What a caller wants of it; `None` for a device in Rust.
    pub target: Option<RouteTarget>,
}

impl Route {
    pub fn new(row: Row, backend: Backend) -> Self {
        Self {
            row,
            kind: backend.kind(),
            feed: backend.feed(),
            has_text: backend.has_text(),
            minds_runs: matches!(&backend, Backend::Device(device) if device.minds_runs()),
            backend: Mutex::new(backend),
            gate: Gate::default(),
            datamatch: None,
            is_gathered: false,
            doorbells: Vec::new(),
            target: None,
            counters: Arc::default(),
        }
    }

    /// Its id and its claim.
    pub const fn place(&self) -> (RouteId, Claim) {
        (self.row.id, self.row.claim)
    }

    /// What stands there, while no vCPU runs.
    pub fn backend_mut(&mut self) -> &mut Backend {
        let backend = self.backend.get_mut();
        backend.unwrap_or_else(PoisonError::into_inner)
    }
}
