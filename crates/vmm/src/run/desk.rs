//! What one vCPU's thread needs to have an exit answered.

use crate::bus::BusAccess;
use crate::counters::Counters;
use crate::error::{Error, ErrorCode, Result};
use crate::kvm::kick::KickHandle;
use crate::run::handler::{ExitHandler, Reply, Unanswered};

pub(crate) struct Desk<'a> {
    pub bus: BusAccess<'a>,
    pub handler: &'a mut dyn ExitHandler,
    pub kick: &'a KickHandle,
    /// The vCPU.
    pub vcpu: u32,
    pub counters: &'a Counters,
}

impl Desk<'_> {
    /// Whether the run shall end.
    pub fn is_kicked(&self) -> bool {
        self.kick.requested().is_some()
    }

    /// Tells the handler that posted writes wait.
    pub fn tell_posted(&mut self) -> Result<()> {
        told(self.handler.posted())
    }
}

/// Of what only a failure matters.
pub(crate) fn told(reply: Reply<()>) -> Result<()> {
    match reply {
        Err(Unanswered::Failed) => Err(handler_failed()),
        _ => Ok(()),
    }
}

pub(crate) fn handler_failed() -> Error {
    Error::new(ErrorCode::Handler, "a handler failed")
}
