//! The registers of a transport (§4.2.2), its rings and its device: what the lock protects.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use virtio_bindings::bindings::virtio_ring::{
    VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC,
};
use virtio_bindings::virtio_config::{
    VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_CONFIG_S_NEEDS_RESET,
    VIRTIO_F_VERSION_1,
};

use crate::state::{Field, saved};
use crate::virtio::VirtioDevice;
use crate::virtio::ring::{Ring, RingState};
use crate::virtio::rings::{Rings, Worked};
use crate::written::DmaMemory;

/// What every device offers.
const TRANSPORT_FEATURES: u64 =
    1 << VIRTIO_F_VERSION_1 | 1 << VIRTIO_RING_F_EVENT_IDX | 1 << VIRTIO_RING_F_INDIRECT_DESC;

saved! {
    /// A transport and its device.
    TransportState {
        status: u32,
        features_page: u32,
        driver_page: u32,
        features: u64,
        queue: u32,
        interrupts: u32,
        generation: u32,
        rings: Vec<RingState>,
        device: Vec<u8>,
    }
}

/// The halves of a 64-bit register.
#[derive(Clone, Copy, Debug)]
pub(super) enum Half {
    Low,
    High,
}

impl Half {
    pub fn put(self, into: &mut u64, value: u32) {
        let (shift, value) = match self {
            Self::Low => (0, u64::from(value)),
            Self::High => (32, u64::from(value)),
        };
        *into = *into & !(0xffff_ffff << shift) | value << shift;
    }
}

/// What a write to a register comes to, besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Effect {
    /// The interrupt status is cleared.
    pub is_reset: bool,
    /// The driver is to look at the status.
    pub is_broken: bool,
}

/// What the lock of a transport protects.
#[derive(Debug)]
pub(super) struct Core {
    pub device: Box<dyn VirtioDevice>,
    pub memory: Arc<DmaMemory>,
    /// Whether the machine runs.
    pub is_on: bool,
    rings: Vec<Ring>,
    status: u32,
    /// Which 32 of the offered bits are read.
    pub features_page: u32,
    /// Which 32 of the taken bits are written.
    pub driver_page: u32,
    /// What the driver has taken.
    features: u64,
    /// The queue that registers are of.
    pub queue: u32,
    pub generation: u32,
}

impl Core {
    pub fn new(device: Box<dyn VirtioDevice>) -> Self {
        let rings = device.queue_sizes().iter().map(|size| Ring::new(*size));
        Self {
            rings: rings.collect(),
            device,
            memory: Arc::default(),
            is_on: false,
            status: 0,
            features_page: 0,
            driver_page: 0,
            features: 0,
            queue: 0,
            generation: 0,
        }
    }

    pub const fn status(&self) -> u32 {
        self.status
    }

    const fn has(&self, bit: u32) -> bool {
        self.status & bit != 0
    }

    /// Whether the device serves requests, while its machine runs.
    pub const fn is_live(&self) -> bool {
        self.has(VIRTIO_CONFIG_S_DRIVER_OK) && !self.has(VIRTIO_CONFIG_S_NEEDS_RESET)
    }

    const fn has_event_idx(&self) -> bool {
        self.features & 1 << VIRTIO_RING_F_EVENT_IDX != 0
    }

    fn offered(&self) -> u64 {
        self.device.features() | TRANSPORT_FEATURES
    }

    /// The offered features that are selected.
    pub fn offered_page(&self) -> u32 {
        match self.features_page {
            0 => self.offered() as u32,
            1 => (self.offered() >> 32) as u32,
            _ => 0,
        }
    }

    /// The driver takes features; they are settled with FEATURES_OK.
    pub fn take_features(&mut self, value: u32) {
        if self.has(VIRTIO_CONFIG_S_FEATURES_OK) {
            return;
        }
        match self.driver_page {
            0 => Half::Low.put(&mut self.features, value),
            1 => Half::High.put(&mut self.features, value),
            _ => {}
        }
    }

    /// The queue that is selected, if the device has it.
    pub fn selected(&self) -> Option<&Ring> {
        self.rings.get(self.queue as usize)
    }

    /// Its registers, while it may be set up.
    pub fn set_up(&mut self) -> Option<&mut Ring> {
        let ring = self.rings.get_mut(self.queue as usize);
        ring.filter(|ring| !ring.is_ready())
    }

    /// The driver makes the selected queue ready, or takes it back.
    pub fn set_ready(&mut self, ready: bool) -> Effect {
        let event_idx = self.has_event_idx();
        let Some(ring) = self.rings.get_mut(self.queue as usize) else {
            return Effect::default();
        };
        if !ready {
            ring.stop();
            return Effect::default();
        }
        match ring.start(&self.memory, event_idx) {
            Ok(()) => Effect::default(),
            Err(_) => self.break_down(),
        }
    }

    /// The driver writes the status.
    pub fn set_status(&mut self, value: u32) -> Effect {
        if value == 0 {
            self.reset();
            return Effect {
                is_reset: true,
                is_broken: false,
            };
        }
        let new = |bit| value & bit != 0 && !self.has(bit);
        let (agrees, starts) = (
            new(VIRTIO_CONFIG_S_FEATURES_OK),
            new(VIRTIO_CONFIG_S_DRIVER_OK),
        );
        let mut status = self.status | value & 0xff & !VIRTIO_CONFIG_S_NEEDS_RESET;
        let is_fit =
            self.features & !self.offered() == 0 && self.features & 1 << VIRTIO_F_VERSION_1 != 0;
        if agrees && !is_fit {
            status &= !VIRTIO_CONFIG_S_FEATURES_OK;
        }
        if status & VIRTIO_CONFIG_S_FEATURES_OK == 0 {
            status &= !VIRTIO_CONFIG_S_DRIVER_OK;
        }
        self.status = status;
        if starts && self.has(VIRTIO_CONFIG_S_DRIVER_OK) {
            let event_idx = self.has_event_idx();
            let rings = self.rings.iter_mut();
            rings.for_each(|ring| ring.set_event_idx(event_idx));
            self.device.activate(self.features);
        }
        Effect::default()
    }

    fn reset(&mut self) {
        self.rings.iter_mut().for_each(Ring::reset);
        self.device.reset();
        self.status = 0;
        self.features_page = 0;
        self.driver_page = 0;
        self.features = 0;
        self.queue = 0;
    }

    /// The device stops until it is reset, and a driver that is there hears of it (§2.1.2).
    pub fn break_down(&mut self) -> Effect {
        let is_told = self.is_live();
        self.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
        Effect {
            is_reset: false,
            is_broken: is_told,
        }
    }

    /// Lets the device work, if it may.
    pub fn work(&mut self, wanted: &AtomicU32) -> Worked {
        if !self.is_on || !self.is_live() {
            return Worked::default();
        }
        let mut rings = Rings::new(&mut self.rings, &self.memory, wanted);
        self.device.work(&mut rings);
        let worked = rings.finish();
        if worked.is_malformed {
            self.break_down();
        }
        if worked.is_config_changed {
            self.generation = self.generation.wrapping_add(1);
        }
        worked
    }

    /// Bytes of the configuration space.
    pub fn read_config(&self, offset: usize, data: &mut [u8]) {
        let config = self.device.config().get(offset..).unwrap_or_default();
        let bytes = config.iter().copied().chain(std::iter::repeat(0));
        for (to, from) in data.iter_mut().zip(bytes) {
            *to = from;
        }
    }

    pub fn save(&self, interrupts: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let state = TransportState {
            status: self.status,
            features_page: self.features_page,
            driver_page: self.driver_page,
            features: self.features,
            queue: self.queue,
            interrupts,
            generation: self.generation,
            rings: self.rings.iter().map(Ring::save).collect(),
            device: self.device.save(),
        };
        state.put(&mut bytes);
        bytes
    }

    /// Goes on as the transport that saved this, and says its interrupt status; `None` for what
    /// none saves.
    pub fn restore(&mut self, mut bytes: &[u8]) -> Option<u32> {
        let state = TransportState::take(&mut bytes).filter(|_| bytes.is_empty())?;
        let is_live = state.status & VIRTIO_CONFIG_S_DRIVER_OK != 0;
        let is_known = state.features & !self.offered() == 0 || !is_live;
        if !is_known || state.rings.len() != self.rings.len() {
            return None;
        }
        let event_idx = state.features & 1 << VIRTIO_RING_F_EVENT_IDX != 0;
        let rings = self.rings.iter().zip(&state.rings);
        let rings: Option<Vec<_>> = rings
            .map(|(ring, state)| ring.restored(state, event_idx))
            .collect();
        let rings = rings?;
        self.device.reset();
        if is_live {
            self.device.activate(state.features);
        }
        if !self.device.restore(&state.device) {
            // The device is as new, and so is the rest.
            self.reset();
            return None;
        }
        self.rings = rings;
        self.status = state.status;
        self.features_page = state.features_page;
        self.driver_page = state.driver_page;
        self.features = state.features;
        self.queue = state.queue;
        self.generation = state.generation;
        Some(state.interrupts)
    }
}
