//! What a device is to a machine, and a machine to a device.

use std::fmt::Debug;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::state::State;
use crate::trigger::Trigger;
use crate::written::DmaMemory;

/// A device on the bus. It sees offsets in its claim and bytes, never an address, and one access at
/// a time. It must not block.
pub trait Device: Debug + Send {
    /// The device gets its route; called once, before any access.
    ///
    /// # Errors
    /// What it needs and the machine lacks, in one sentence. It then gets no route.
    fn attach(&mut self, _context: &mut dyn Context) -> Result<(), String> {
        Ok(())
    }

    /// Fills the bytes of a read, 1, 2, 4 or 8 from `offset` on. A string instruction reads once
    /// per item.
    fn read(&mut self, offset: u32, data: &mut [u8]);

    /// Takes the bytes of a write, as in [`read`](Self::read); what the guest wants of the whole
    /// machine is returned.
    fn write(&mut self, offset: u32, data: &[u8]) -> Option<PowerRequest>;

    /// Whether [`run`](Self::run) is for it; the same for as long as it lives.
    fn minds_runs(&self) -> bool {
        false
    }

    /// The machine begins to run, or has come to rest: from the return of `run(false)` on a device
    /// with a thread of its own changes neither memory nor a line, until `run(true)`.
    fn run(&mut self, _on: bool) {}

    /// What it would need to go on elsewhere; of the same kind for as long as it lives. Its
    /// interrupt line, and what it has raised there, are the interrupt controllers' state.
    fn save(&self) -> State {
        State::default()
    }

    /// Goes on as the device that saved this, without an interrupt; `false` for the state of
    /// another kind, and for what no device saves, which changes nothing.
    fn restore(&mut self, state: &State) -> bool {
        *state == State::default()
    }
}

/// What a device may use of its machine. What it takes from here it may keep.
pub trait Context {
    /// An interrupt line, 0 to 23; none without an irqchip.
    fn line(&mut self, line: u32) -> Option<Box<dyn Trigger + Send + Sync>>;

    /// The guest's memory.
    fn memory(&self) -> Arc<dyn Memory>;

    /// The guest's memory, without copies: for a device that is told addresses by the guest.
    fn dma(&self) -> Arc<DmaMemory>;

    /// The time of day.
    fn clock(&self) -> Arc<dyn Clock>;

    /// A descriptor that counts the guest's writes at `offset` without an exit, with `datamatch`
    /// only those of one value and size: an ioeventfd (KVM API, `KVM_IOEVENTFD`). It counts until
    /// the device is detached.
    ///
    /// # Errors
    /// Why the machine has none.
    fn doorbell(
        &mut self,
        offset: u32,
        datamatch: Option<(u64, u8)>,
    ) -> Result<Arc<dyn Doorbell>, String>;
}

/// What the kernel counts for a device; its descriptor is readable when there is something.
pub trait Doorbell: Debug + Send + Sync + AsRawFd {
    /// Writes since the last call.
    fn take(&self) -> u64;

    /// Counts as a write of the guest's.
    fn ring(&self);
}

/// Guest memory, as a device reaches it.
pub trait Memory: Debug + Send + Sync {
    /// Copies memory from `gpa` on into `bytes`; `false`, and nothing copied, where some of it has
    /// no memory.
    fn read(&self, gpa: u64, bytes: &mut [u8]) -> bool;

    /// Copies `bytes` into memory from `gpa` on; `false`, and nothing copied, where some of it has
    /// no memory.
    fn write(&self, gpa: u64, bytes: &[u8]) -> bool;
}

/// The time of day.
pub trait Clock: Debug + Send + Sync {
    /// Since 1970-01-01 UTC.
    fn now(&self) -> Duration;
}

/// The host's.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        // Before 1970 it is 1970.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.unwrap_or_default()
    }
}

/// What a guest asks of the whole machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum PowerRequest {
    /// Start again from the reset vector.
    Reset,
    /// Power off: the soft-off state S5.
    Off,
}

/// Reads registers of a byte each.
pub(crate) fn read_bytes(offset: u32, data: &mut [u8], mut read: impl FnMut(u8) -> u8) {
    for (byte, at) in data.iter_mut().zip(offset..) {
        *byte = read(at as u8);
    }
}

/// Writes registers of a byte each, up to the first that asks for something.
pub(crate) fn write_bytes(
    offset: u32,
    data: &[u8],
    mut write: impl FnMut(u8, u8) -> Option<PowerRequest>,
) -> Option<PowerRequest> {
    let mut bytes = data.iter().zip(offset..);
    bytes.find_map(|(byte, at)| write(at as u8, *byte))
}

#[cfg(test)]
mod tests;
