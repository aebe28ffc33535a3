//! A disk that is answered here, by the worker's own thread.

use virtio_bindings::virtio_ids::VIRTIO_ID_BLOCK;

use super::layout::{CONFIG_BYTES, QUEUE_SIZE};
use super::request::Request;
use super::serve::Native;
use super::storage::Storage;
use super::{NAME, REQUESTS};
use crate::virtio::{Rings, VirtioDevice};

/// The virtio device of a native disk.
#[derive(Debug)]
pub struct Block<S> {
    disk: Native<S>,
    config: [u8; CONFIG_BYTES],
    /// What the driver has taken.
    features: u64,
}

impl<S: Storage> Block<S> {
    /// A device at which nothing was asked yet.
    pub fn new(disk: Native<S>) -> Self {
        Self {
            config: disk.geometry.native_config(),
            disk,
            features: 0,
        }
    }
}

impl<S: Storage> VirtioDevice for Block<S> {
    fn kind(&self) -> u32 {
        VIRTIO_ID_BLOCK
    }

    fn name(&self) -> &'static str {
        NAME
    }

    fn features(&self) -> u64 {
        self.disk.geometry.features()
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE]
    }

    fn config(&self) -> &[u8] {
        &self.config
    }

    fn activate(&mut self, features: u64) {
        self.features = features;
    }

    fn work(&mut self, rings: &mut Rings<'_>) {
        let memory = rings.memory();
        while let Some(chain) = rings.next(REQUESTS) {
            let written = Request::of(&chain, memory)
                .map_or(0, |request| self.disk.serve(request, self.features));
            rings.complete(REQUESTS, chain, written);
        }
    }
}
