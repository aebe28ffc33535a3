//! The entropy device (§5.4): it fills buffers with the host's random bytes.

use std::fs::File;
use std::io::Read;

use virtio_bindings::virtio_ids::VIRTIO_ID_RNG;

use crate::virtio::{Rings, VirtioDevice};

/// The host's source, which never waits.
const SOURCE: &str = "/dev/urandom";

/// Bytes of one answer; a driver that wants more asks again.
const MOST_BYTES: u64 = 4096;

/// The entropy device.
#[derive(Debug, Default)]
pub struct Rng {
    /// From the first driver on. Where the host has none, requests stay open.
    source: Option<File>,
}

impl Rng {
    /// A device that has opened nothing yet.
    pub const fn new() -> Self {
        Self { source: None }
    }
}

impl VirtioDevice for Rng {
    fn kind(&self) -> u32 {
        VIRTIO_ID_RNG
    }

    fn name(&self) -> &'static str {
        "virtio-rng"
    }

    fn queue_sizes(&self) -> &[u16] {
        &[64]
    }

    fn activate(&mut self, _features: u64) {
        if self.source.is_none() {
            self.source = File::open(SOURCE).ok();
        }
    }

    fn work(&mut self, rings: &mut Rings<'_>) {
        let Some(source) = &mut self.source else {
            return;
        };
        let mut bytes = [0; MOST_BYTES as usize];
        while let Some(chain) = rings.next(0) {
            let count = chain.writable.bytes().min(MOST_BYTES) as usize;
            let bytes = bytes.get_mut(..count).unwrap_or_default();
            let written = source.read_exact(bytes).map_or(0, |()| {
                chain.writable.write(rings.memory(), 0, bytes) as u32
            });
            rings.complete(0, chain, written);
        }
    }
}
