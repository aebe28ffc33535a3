//! virtio devices over MMIO (Virtual I/O Device 1.2, §4.2): a driver in the guest puts requests
//! into rings in its memory, and a worker thread of the device's takes them out, off the vCPUs'
//! threads.
//!
//! ```text
//!  vCPU ── register ─► VirtioMmio ─► Core: registers, rings, the device   (one lock)
//!    └── doorbell ───► worker ─────► Rings ─► VirtioDevice ─► used ring ─► line
//! ```
//!
//! A device gets chains of buffers, never registers and no ring. The driver is hostile: what it
//! may not do stops the device until it is reset, and nothing else.

pub mod block;
mod chain;
mod console;
mod core;
mod mmio;
mod net;
mod ring;
mod rings;
mod rng;
mod shared;
#[cfg(test)]
pub(crate) mod testing;
mod waker;
mod worker;

use std::fmt::Debug;

pub use chain::{Buffers, Chain, Slice};
pub use console::Console;
pub use mmio::{VIRTIO_MMIO_BYTES, VirtioMmio};
pub use net::Net;
pub use rings::Rings;
pub use rng::Rng;
pub use waker::Waker;

/// What stands at a virtio transport. Its methods are called one at a time, those that serve
/// requests by its worker.
pub trait VirtioDevice: Debug + Send {
    /// Its device id (§5): 1 network, 2 block, 3 console, 4 entropy.
    fn kind(&self) -> u32;

    /// What saved states call it, such as `virtio-rng`; of one kind for as long as it lives.
    fn name(&self) -> &'static str;

    /// The feature bits that it offers, without the transport's.
    fn features(&self) -> u64 {
        0
    }

    /// The largest size of each of its queues, a power of two.
    fn queue_sizes(&self) -> &[u16];

    /// Its configuration space; what is beyond reads as zero.
    fn config(&self) -> &[u8] {
        &[]
    }

    /// The driver writes to the configuration space.
    fn write_config(&mut self, _offset: u32, _data: &[u8]) {}

    /// The device gets the way to wake its worker; called once, before anything else.
    fn attach(&mut self, _waker: Waker) {}

    /// The driver is ready, and has taken these features of those offered. After a restore it is
    /// called before [`restore`](Self::restore).
    fn activate(&mut self, _features: u64) {}

    /// The driver has reset the device, or the machine goes back to a snapshot: the chains that it
    /// holds are gone, and answers to them that are yet to come are dropped.
    fn reset(&mut self) {}

    /// The driver has rung, or the device was woken: it looks at its rings and at what it waits
    /// for. Only here may it change the guest's memory, and it must not wait for anybody.
    fn work(&mut self, rings: &mut Rings<'_>);

    /// The machine comes to rest. What the device has yet to complete stays open; in a snapshot it
    /// is not taken yet.
    fn park(&mut self) {}

    /// What it would need to go on elsewhere, without the chains that it holds.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Goes on as the device that saved this; `false` for what no device of its kind saves.
    fn restore(&mut self, state: &[u8]) -> bool {
        state.is_empty()
    }
}

#[cfg(test)]
mod tests;
