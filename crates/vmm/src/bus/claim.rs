//! Which ports or addresses a route claims, and what a caller may claim at all.

use boot::{MemorySlot, layout};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorCode, Result};
use crate::limits::{MAX_GPA, MAX_ROUTE_LENGTH};

/// Where a claim begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Base {
    /// An I/O port.
    Port(u16),
    /// A guest physical address.
    Gpa(u64),
}

/// Ports or addresses in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Claim {
    /// The first port or address.
    pub base: Base,
    /// Ports or bytes, at least 1.
    pub length: u64,
}

/// Names a route for as long as its machine lives. Those of the configuration are 0, 1, 2, … in
/// their order, COM1's is the next, and no id is given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub struct RouteId(u32);

/// Whose a route is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// One of the configuration's.
    Configured,
    /// One that the caller attached later.
    Attached,
    /// The machine's own, which no other may overlap.
    Board,
    /// The machine's own, as far as no route of the caller's claims the same.
    Yields,
}

impl RouteId {
    /// The route with this number.
    pub const fn new(id: u32) -> Self {
        Self(id)
    }

    /// Its number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Standing {
    /// Whether the caller made it, and may take it away.
    pub const fn is_callers(self) -> bool {
        matches!(self, Self::Configured | Self::Attached)
    }

    /// Its name in messages.
    pub fn name(self, id: RouteId) -> String {
        match self {
            Self::Configured => format!("routes[{}]", id.get()),
            Self::Attached => "route".into(),
            // The caller knows no id of it.
            Self::Board | Self::Yields => "the machine's own device".into(),
        }
    }
}

impl Claim {
    pub(crate) const fn start(&self) -> u64 {
        match self.base {
            Base::Port(port) => port as u64,
            Base::Gpa(gpa) => gpa,
        }
    }

    /// One past the last port or address.
    pub(crate) const fn end(&self) -> u64 {
        self.start().saturating_add(self.length)
    }

    /// One past the last address of an MMIO claim.
    pub(crate) fn gpa_end(&self) -> Option<u64> {
        match self.base {
            Base::Port(_) => None,
            Base::Gpa(gpa) => gpa.checked_add(self.length),
        }
    }

    /// Whether both claim one port, or one address.
    pub(crate) const fn meets(&self, other: &Self) -> bool {
        let is_same_kind = matches!(
            (self.base, other.base),
            (Base::Port(_), Base::Port(_)) | (Base::Gpa(_), Base::Gpa(_))
        );
        is_same_kind && self.start() < other.end() && other.start() < self.end()
    }

    /// For messages.
    pub(crate) fn describe(&self) -> String {
        let last = self.start().saturating_add(self.length.saturating_sub(1));
        let kind = if matches!(self.base, Base::Port(_)) {
            "port"
        } else {
            "gpa"
        };
        if self.length == 1 {
            format!("{kind} {:#x}", self.start())
        } else {
            format!("{kind} {:#x}..={last:#x}", self.start())
        }
    }

    /// Checks a claim of the caller's for itself and against memory.
    ///
    /// # Errors
    /// `InvalidOption`, with the route's name.
    pub(crate) fn check(&self, name: &str, slots: &[MemorySlot]) -> Result<()> {
        self.check_range(name)?;
        self.check_memory(name, slots)
    }

    fn check_range(&self, name: &str) -> Result<()> {
        let end = match self.base {
            Base::Port(_) => 0x1_0000,
            Base::Gpa(_) => MAX_GPA,
        };
        if self.length == 0
            || self.length > MAX_ROUTE_LENGTH
            || self.start() >= end
            || self.length > end - self.start()
        {
            return Err(Error::new(
                ErrorCode::InvalidOption,
                format!(
                    "{name}.length must be 1 to {MAX_ROUTE_LENGTH} and end at or below {end:#x}, got {} from {:#x}",
                    self.length,
                    self.start()
                ),
            ));
        }
        Ok(())
    }

    /// An access to memory never exits, so a route there would never be asked.
    fn check_memory(&self, name: &str, slots: &[MemorySlot]) -> Result<()> {
        let Some(end) = self.gpa_end() else {
            return Ok(());
        };
        let system = MemorySlot {
            gpa: layout::SYSTEM_START,
            bytes: layout::SYSTEM_LIMIT - layout::SYSTEM_START,
            read_only: false,
        };
        let inside =
            |slot: &&MemorySlot| self.start() < slot.end() && slot.gpa < end && !slot.read_only;
        match slots.iter().chain([&system]).find(inside) {
            None => Ok(()),
            Some(slot) => Err(Error::new(
                ErrorCode::InvalidOption,
                format!(
                    "{name} ({}) overlaps guest memory {:#x}..{:#x}, where no access exits",
                    self.describe(),
                    slot.gpa,
                    slot.end()
                ),
            )),
        }
    }
}
