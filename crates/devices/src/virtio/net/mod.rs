//! The network card (§5.1): frames without offloads, and a link that comes and goes.

use std::sync::Arc;

use virtio_bindings::virtio_ids::VIRTIO_ID_NET;

use crate::remote::{FRAME_BYTES, RemoteNic};
use crate::virtio::{Chain, Rings, VirtioDevice, Waker};

/// Feature bits (§5.1.3): the device says its MTU, its address, and whether it has a link.
const F_MTU: u32 = 3;
const F_MAC: u32 = 5;
const F_STATUS: u32 = 16;

/// Queues (§5.1.2).
const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;

/// The header before each frame (§5.1.6), all zeros but for the number of buffers of a received
/// one. None of its fields has a meaning without offloads.
const HEADER_BYTES: usize = 12;
const RECEIVED: [u8; HEADER_BYTES] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];

/// Bytes in a frame, without the Ethernet header.
const MTU: u16 = 1500;

/// In the configuration space (§5.1.4): address, status, pairs of queues, MTU.
const STATUS: usize = 6;
const STATUS_LINK_UP: u8 = 1;

/// A network card whose frames somebody else carries.
#[derive(Debug)]
pub struct Net {
    config: [u8; 12],
    remote: Arc<RemoteNic>,
}

impl Net {
    /// A card with a host's end.
    pub fn new(remote: Arc<RemoteNic>) -> Self {
        let [a, b, c, d, e, f] = remote.mac();
        let [low, high] = MTU.to_le_bytes();
        Self {
            config: [a, b, c, d, e, f, STATUS_LINK_UP, 0, 1, 0, low, high],
            remote,
        }
    }

    /// Takes over whether there is a link, and says whether that is news.
    fn look_at_link(&mut self) -> bool {
        let status = u8::from(self.remote.has_link()) * STATUS_LINK_UP;
        std::mem::replace(&mut self.config[STATUS], status) != status
    }

    /// The frame in a chain. One that is too long is cut after the first byte that is too much.
    fn sent(rings: &Rings<'_>, chain: &Chain) -> Vec<u8> {
        let header = HEADER_BYTES as u64;
        let bytes = chain.readable.bytes().saturating_sub(header);
        let mut frame = vec![0; bytes.min(*FRAME_BYTES.end() as u64 + 1) as usize];
        let count = chain.readable.read(rings.memory(), header, &mut frame);
        frame.truncate(count);
        frame
    }

    /// Puts a frame into a chain, and says how many bytes it then has; none if there is no room.
    fn receive(rings: &Rings<'_>, chain: &Chain, frame: &[u8]) -> u32 {
        let bytes = [&RECEIVED, frame].concat();
        if chain.writable.bytes() < bytes.len() as u64 {
            return 0;
        }
        chain.writable.write(rings.memory(), 0, &bytes) as u32
    }
}

impl VirtioDevice for Net {
    fn kind(&self) -> u32 {
        VIRTIO_ID_NET
    }

    fn name(&self) -> &'static str {
        "virtio-net"
    }

    fn features(&self) -> u64 {
        1 << F_MTU | 1 << F_MAC | 1 << F_STATUS
    }

    fn queue_sizes(&self) -> &[u16] {
        &[256, 256]
    }

    fn config(&self) -> &[u8] {
        &self.config
    }

    fn attach(&mut self, waker: Waker) {
        self.remote.attach(waker);
    }

    fn activate(&mut self, _features: u64) {
        self.look_at_link();
        self.remote.drive(true);
    }

    fn reset(&mut self) {
        self.remote.drive(false);
    }

    fn work(&mut self, rings: &mut Rings<'_>) {
        if self.look_at_link() {
            rings.config_changed();
        }
        while self.remote.may_send()
            && let Some(chain) = rings.next(TRANSMIT)
        {
            self.remote.send(Self::sent(rings, &chain));
            rings.complete(TRANSMIT, chain, 0);
        }
        while self.remote.has_arrived()
            && let Some(chain) = rings.next(RECEIVE)
        {
            let frame = self.remote.arrive().unwrap_or_default();
            let written = Self::receive(rings, &chain, &frame);
            self.remote.arrived(written > 0);
            rings.complete(RECEIVE, chain, written);
        }
        self.remote.announce();
    }

    fn save(&self) -> Vec<u8> {
        self.config.to_vec()
    }

    /// Whether there is a link is the host's business, and the driver hears of it.
    fn restore(&mut self, state: &[u8]) -> bool {
        let Ok(config) = <[u8; 12]>::try_from(state) else {
            return false;
        };
        if config[..STATUS] != self.config[..STATUS]
            || config[STATUS + 2..] != self.config[STATUS + 2..]
        {
            return false;
        }
        self.config = config;
        self.remote.forget();
        true
    }
}

#[cfg(test)]
mod tests;
