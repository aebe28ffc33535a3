//! A route, as a caller wants it.

use boot::MemorySlot;
use serde::{Deserialize, Serialize};

use crate::bus::claim::{Base, Claim};
use crate::error::{Error, ErrorCode, Result};

/// What becomes of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum RouteTarget {
    /// Writes are text; with `deliver` they go to the handler in batches, else into the outcome.
    Console {
        /// Whether the handler gets them.
        deliver: bool,
    },
    /// Reads give this value, writes are dropped.
    Constant(u64),
    /// Writes are dropped.
    Discard,
    /// Writes are dropped; what comes is counted, as on every route.
    Count,
    /// A write ends the run, its value is the exit code.
    Stop,
    /// The handler is asked.
    Device,
    /// Writes go into a ring, and the vCPU does not wait.
    Queue {
        /// What reads give; without it they are not claimed.
        read_value: Option<u64>,
    },
    /// As `Queue`, gathered by the kernel without an exit (KVM API, `KVM_REGISTER_COALESCED_MMIO`).
    Coalesce {
        /// As for `Queue`.
        read_value: Option<u64>,
    },
    /// Writes are counted by the kernel without an exit (KVM API, `KVM_IOEVENTFD`); reads are not
    /// claimed.
    Event {
        /// Only writes of this value and size count; the others are not claimed.
        datamatch: Option<(u64, u8)>,
    },
}

/// Hands every kind that needs nothing but its name, and that name, to a macro, after what is
/// given.
#[macro_export]
macro_rules! each_plain_target {
    ($call:ident $($given:tt)*) => {
        $call! { $($given)* { Discard = "discard", Count = "count", Stop = "stop" } }
    };
}

/// One route, as a caller wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteConfig {
    /// The first port or address.
    pub base: Base,
    /// Ports or bytes, at least 1.
    pub length: u64,
    /// Where an access goes.
    pub target: RouteTarget,
}

impl RouteConfig {
    /// Which ports or addresses it is for.
    pub const fn claim(&self) -> Claim {
        Claim {
            base: self.base,
            length: self.length,
        }
    }

    /// Checks it for itself and against memory; `name` is what messages call it.
    ///
    /// # Errors
    /// `InvalidOption`.
    pub(crate) fn check(&self, name: &str, slots: &[MemorySlot]) -> Result<()> {
        self.claim().check(name, slots)?;
        self.check_event(name)
    }

    /// An ioeventfd has one address and matches 1, 2, 4 or 8 bytes.
    fn check_event(&self, name: &str) -> Result<()> {
        let RouteTarget::Event { datamatch } = self.target else {
            return Ok(());
        };
        let what = match datamatch {
            _ if self.length != 1 => {
                format!("{name}.length must be 1 for an event, got {}", self.length)
            }
            Some((_, size)) if ![1, 2, 4, 8].contains(&size) => {
                format!("{name}.size must be 1, 2, 4 or 8, got {size}")
            }
            _ => return Ok(()),
        };
        Err(Error::new(ErrorCode::InvalidOption, what))
    }
}
