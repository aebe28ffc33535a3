//! A driver for tests: it puts chains into rings and lets a device work on them.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::device::Doorbell;
use crate::virtio::ring::Ring;
use crate::virtio::rings::{Rings, Worked};
use crate::virtio::{VirtioDevice, Waker};
use crate::written::DmaMemory;

/// Bytes of memory for each queue: table, rings, then buffers.
const QUEUE_BYTES: u64 = 0x10_0000;
const AVAIL: u64 = 0x2000;
const USED: u64 = 0x4000;
const BUFFERS: u64 = 0x8000;

/// Descriptor flags (§2.7.5).
const NEXT: u16 = 1;
const WRITE: u16 = 2;

/// A device and its driver.
pub struct Driver<D> {
    pub device: D,
    pub memory: DmaMemory,
    rings: Vec<Ring>,
    queues: Vec<Queue>,
}

#[derive(Default)]
struct Queue {
    /// Chains so far, and bytes of buffers in use.
    count: u16,
    bytes: u64,
    /// Used ones that were looked at.
    seen: u16,
    /// Of each chain, where its bytes are.
    buffers: Vec<u64>,
}

impl<D: VirtioDevice> Driver<D> {
    /// A driver that has made all queues ready and takes these features.
    pub fn new(mut device: D, features: u64) -> Self {
        let sizes = device.queue_sizes().to_vec();
        let bytes = QUEUE_BYTES * sizes.len() as u64;
        let memory = DmaMemory::from_ranges(&[(GuestAddress(0), bytes as usize)]).unwrap();
        let mut rings: Vec<_> = sizes.iter().map(|size| Ring::new(*size)).collect();
        for (ring, base) in rings.iter_mut().zip((0..).map(|index| index * QUEUE_BYTES)) {
            ring.registers.table = base;
            ring.registers.avail = base + AVAIL;
            ring.registers.used = base + USED;
            ring.start(&memory, false).unwrap();
        }
        device.activate(features);
        Self {
            device,
            memory,
            queues: sizes.iter().map(|_| Queue::default()).collect(),
            rings,
        }
    }

    /// Offers a chain: what the device reads, then room for what it writes.
    pub fn offer(&mut self, queue: usize, readable: &[u8], writable: u32) {
        let (base, state) = (queue as u64 * QUEUE_BYTES, &mut self.queues[queue]);
        let size = self.rings[queue].max_size();
        let at = base + BUFFERS + state.bytes;
        state.bytes += readable.len() as u64 + u64::from(writable);
        assert!(state.bytes < QUEUE_BYTES - BUFFERS, "the test offers less");
        // Two descriptors for each, so that half as many chains fit.
        let head = state.count % (size / 2) * 2;
        let both = !readable.is_empty() && writable > 0;
        let parts = [
            (readable.len() as u32, at, if both { NEXT } else { 0 }),
            (writable, at + readable.len() as u64, WRITE),
        ];
        let parts = parts.into_iter().filter(|(length, ..)| *length > 0);
        for ((length, gpa, flags), index) in parts.zip(head..) {
            let to = base + u64::from(index) * 16;
            let words = [
                gpa,
                u64::from(length) | u64::from(flags) << 32 | u64::from(index + 1) << 48,
            ];
            self.memory.write_obj(words[0], GuestAddress(to)).unwrap();
            self.memory
                .write_obj(words[1], GuestAddress(to + 8))
                .unwrap();
        }
        self.memory.write_slice(readable, GuestAddress(at)).unwrap();
        let entry = base + AVAIL + 4 + u64::from(state.count % size) * 2;
        self.memory.write_obj(head, GuestAddress(entry)).unwrap();
        state.count += 1;
        self.memory
            .write_obj(state.count, GuestAddress(base + AVAIL + 2))
            .unwrap();
        state.buffers.push(at + readable.len() as u64);
    }

    /// Lets the device work until it has nothing to do.
    pub(in crate::virtio) fn work(&mut self) -> Worked {
        let wanted = AtomicU32::new(0);
        loop {
            let mut rings = Rings::new(&mut self.rings, &self.memory, &wanted);
            self.device.work(&mut rings);
            let worked = rings.finish();
            if !worked.is_more {
                return worked;
            }
        }
    }

    /// What was written into each chain that has come back since the last call.
    pub fn used(&mut self, queue: usize) -> Vec<Vec<u8>> {
        let (base, state) = (queue as u64 * QUEUE_BYTES, &mut self.queues[queue]);
        let count: u16 = self.memory.read_obj(GuestAddress(base + USED + 2)).unwrap();
        let size = self.rings[queue].max_size();
        let mut used = Vec::new();
        while state.seen != count {
            let entry = base + USED + 4 + u64::from(state.seen % size) * 8;
            let length: u32 = self.memory.read_obj(GuestAddress(entry + 4)).unwrap();
            let mut bytes = vec![0; length as usize];
            // A device that works in order.
            let at = state.buffers[usize::from(state.seen)];
            self.memory
                .read_slice(&mut bytes, GuestAddress(at))
                .unwrap();
            used.push(bytes);
            state.seen += 1;
        }
        used
    }
}

/// A doorbell as the kernel makes it.
#[derive(Debug)]
pub struct Bell(EventFd);

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Doorbell for Bell {
    fn take(&self) -> u64 {
        self.0.read().unwrap_or_default()
    }

    fn ring(&self) {
        self.0.write(1).unwrap();
    }
}

/// A waker, and the bell that it rings.
pub fn waker() -> (Waker, Arc<dyn Doorbell>) {
    let bell: Arc<dyn Doorbell> = Arc::new(Bell(EventFd::new(EFD_NONBLOCK).unwrap()));
    let waker = Waker::default();
    waker.hang(&bell);
    (waker, bell)
}
