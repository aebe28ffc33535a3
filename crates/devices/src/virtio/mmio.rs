//! The transport's registers on the bus, version 2 (§4.2.2).

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use virtio_bindings::virtio_mmio::*;

use crate::device::{Context, Device, Doorbell, PowerRequest};
use crate::state::State;
use crate::virtio::core::{Core, Effect, Half};
use crate::virtio::ring::RingRegisters;
use crate::virtio::shared::Shared;
use crate::virtio::worker::Worker;
use crate::virtio::{VirtioDevice, Waker};

/// Bytes of a transport's registers and its device's configuration space.
pub const VIRTIO_MMIO_BYTES: u32 = 0x200;

/// "virt", little-endian.
const MAGIC: u32 = 0x7472_6976;
const VERSION: u32 = 2;
/// "VMEX", little-endian.
const VENDOR: u32 = 0x5845_4d56;
const CONFIG: u32 = VIRTIO_MMIO_CONFIG;

/// A virtio device at its registers.
#[derive(Debug)]
pub struct VirtioMmio {
    // The worker ends first.
    worker: Option<Worker>,
    shared: Arc<Shared>,
    bell: Option<Arc<dyn Doorbell>>,
    waker: Waker,
    line: u32,
    name: &'static str,
}

impl VirtioMmio {
    /// A device whose interrupts go to `line`.
    pub fn new(mut device: Box<dyn VirtioDevice>, line: u32) -> Self {
        let (waker, name) = (Waker::default(), device.name());
        device.attach(waker.clone());
        Self {
            worker: None,
            shared: Arc::new(Shared::new(Core::new(device))),
            bell: None,
            waker,
            line,
            name,
        }
    }

    fn read_register(&self, register: u32) -> u32 {
        if register == VIRTIO_MMIO_INTERRUPT_STATUS {
            return self.shared.interrupts.load(Ordering::SeqCst);
        }
        let core = self.shared.core();
        match register {
            VIRTIO_MMIO_MAGIC_VALUE => MAGIC,
            VIRTIO_MMIO_VERSION => VERSION,
            VIRTIO_MMIO_DEVICE_ID => core.device.kind(),
            VIRTIO_MMIO_VENDOR_ID => VENDOR,
            VIRTIO_MMIO_DEVICE_FEATURES => core.offered_page(),
            VIRTIO_MMIO_QUEUE_NUM_MAX => {
                core.selected().map_or(0, |ring| u32::from(ring.max_size()))
            }
            VIRTIO_MMIO_QUEUE_READY => {
                u32::from(core.selected().is_some_and(|ring| ring.is_ready()))
            }
            VIRTIO_MMIO_STATUS => core.status(),
            // No shared memory: length and address are all ones (§4.2.2).
            VIRTIO_MMIO_SHM_LEN_LOW..=VIRTIO_MMIO_SHM_BASE_HIGH => u32::MAX,
            VIRTIO_MMIO_CONFIG_GENERATION => core.generation,
            _ => 0,
        }
    }

    fn write_register(&mut self, register: u32, value: u32) {
        match register {
            VIRTIO_MMIO_INTERRUPT_ACK => {
                self.shared.interrupts.fetch_and(!value, Ordering::SeqCst);
                return;
            }
            // Only where the kernel has not counted it.
            VIRTIO_MMIO_QUEUE_NOTIFY => return self.waker.wake(),
            _ => {}
        }
        let mut core = self.shared.core();
        let effect = match register {
            VIRTIO_MMIO_STATUS => core.set_status(value),
            VIRTIO_MMIO_QUEUE_READY => core.set_ready(value & 1 != 0),
            _ => {
                write_plain(&mut core, register, value);
                Effect::default()
            }
        };
        if effect.is_reset {
            self.shared.interrupts.store(0, Ordering::SeqCst);
        }
        if effect.is_broken {
            self.shared.interrupt(VIRTIO_MMIO_INT_CONFIG);
        }
        let is_live = core.is_live();
        drop(core);
        if is_live {
            self.start();
        }
    }

    /// A worker for a driver that is ready.
    fn start(&mut self) {
        let (None, Some(bell)) = (&self.worker, &self.bell) else {
            return;
        };
        match Worker::start(&self.shared, bell) {
            Ok(worker) => self.worker = Some(worker),
            // As far as the driver can see, the device is broken.
            Err(_) => self.shared.break_down(),
        }
    }
}

/// The registers that only keep what is written.
fn write_plain(core: &mut Core, register: u32, value: u32) {
    match register {
        VIRTIO_MMIO_DEVICE_FEATURES_SEL => core.features_page = value,
        VIRTIO_MMIO_DRIVER_FEATURES_SEL => core.driver_page = value,
        VIRTIO_MMIO_DRIVER_FEATURES => core.take_features(value),
        VIRTIO_MMIO_QUEUE_SEL => core.queue = value,
        _ => {
            if let Some(ring) = core.set_up() {
                write_ring(&mut ring.registers, register, value);
            }
        }
    }
}

fn write_ring(ring: &mut RingRegisters, register: u32, value: u32) {
    match register {
        VIRTIO_MMIO_QUEUE_NUM => ring.size = value,
        VIRTIO_MMIO_QUEUE_DESC_LOW => Half::Low.put(&mut ring.table, value),
        VIRTIO_MMIO_QUEUE_DESC_HIGH => Half::High.put(&mut ring.table, value),
        VIRTIO_MMIO_QUEUE_AVAIL_LOW => Half::Low.put(&mut ring.avail, value),
        VIRTIO_MMIO_QUEUE_AVAIL_HIGH => Half::High.put(&mut ring.avail, value),
        VIRTIO_MMIO_QUEUE_USED_LOW => Half::Low.put(&mut ring.used, value),
        VIRTIO_MMIO_QUEUE_USED_HIGH => Half::High.put(&mut ring.used, value),
        _ => {}
    }
}

impl Device for VirtioMmio {
    fn attach(&mut self, context: &mut dyn Context) -> Result<(), String> {
        self.shared.core().memory = context.dma();
        self.shared.line.set(context.line(self.line)).ok();
        let bell = context.doorbell(VIRTIO_MMIO_QUEUE_NOTIFY, None)?;
        self.waker.hang(&bell);
        self.bell = Some(bell);
        Ok(())
    }

    fn read(&mut self, offset: u32, data: &mut [u8]) {
        if let Some(offset) = offset.checked_sub(CONFIG) {
            return self.shared.core().read_config(offset as usize, data);
        }
        // Registers are read whole, and others than these read as zero.
        if let (4, true) = (data.len(), offset.is_multiple_of(4)) {
            data.copy_from_slice(&self.read_register(offset).to_le_bytes());
        } else {
            data.fill(0);
        }
    }

    fn write(&mut self, offset: u32, data: &[u8]) -> Option<PowerRequest> {
        if let Some(offset) = offset.checked_sub(CONFIG) {
            self.shared.core().device.write_config(offset, data);
        } else if let (Ok(bytes), true) = (data.try_into(), offset.is_multiple_of(4)) {
            self.write_register(offset, u32::from_le_bytes(bytes));
        }
        None
    }

    fn minds_runs(&self) -> bool {
        true
    }

    fn run(&mut self, on: bool) {
        let mut core = self.shared.core();
        core.is_on = on;
        let is_live = core.is_live();
        if !on {
            core.device.park();
        }
        drop(core);
        if on && is_live {
            self.start();
            self.waker.wake();
        } else if let (false, Some(bell)) = (on, &self.bell) {
            // The next run begins with a look at everything.
            bell.take();
        }
    }

    fn save(&self) -> State {
        let interrupts = self.shared.interrupts.load(Ordering::SeqCst);
        State {
            kind: Cow::Borrowed(self.name),
            bytes: self.shared.core().save(interrupts),
        }
    }

    fn restore(&mut self, state: &State) -> bool {
        if state.kind != self.name {
            return false;
        }
        let interrupts = self.shared.core().restore(&state.bytes);
        if let Some(interrupts) = interrupts {
            self.shared.interrupts.store(interrupts, Ordering::SeqCst);
        }
        interrupts.is_some()
    }
}
