//! What stands for a guest: memory, a driver's hands, and an interrupt line that counts.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::device::{Clock, Context, Device, Doorbell, Memory};
use crate::trigger::Trigger;
use crate::virtio::{VirtioDevice, VirtioMmio};
use crate::written::DmaMemory;

/// Memory is from 0 to here, and from `HIGH` on as much again.
pub const LOW_END: u64 = 0x20_0000;
pub const HIGH: u64 = 0x40_0000;

/// Where the parts of a queue lie, for queues of up to 256 entries.
pub const fn table(queue: u64) -> u64 {
    0x1_0000 + queue * 0x4000
}

pub const fn avail(queue: u64) -> u64 {
    table(queue) + 0x2000
}

pub const fn used(queue: u64) -> u64 {
    table(queue) + 0x3000
}

/// Free memory.
pub const BUFFERS: u64 = 0x10_0000;

pub const NEXT: u16 = 1;
pub const WRITE: u16 = 2;
pub const INDIRECT: u16 = 4;

pub const EVENT_IDX: u64 = 1 << 29;

/// Registers.
pub const STATUS: u32 = 0x70;
pub const READY: u32 = 0x44;
pub const SELECT: u32 = 0x30;

/// Status bits.
pub const OK: u32 = 0xf;
pub const NEEDS_RESET: u32 = 0x40;

/// Nothing here takes as long.
pub const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub struct Line(AtomicU32);

impl Trigger for Arc<Line> {
    fn trigger(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A doorbell, and how often somebody has listened.
#[derive(Debug)]
struct Bell(EventFd, AtomicU32);

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Doorbell for Bell {
    fn take(&self) -> u64 {
        let rings = self.0.read().unwrap_or(0);
        self.1.fetch_add(1, Ordering::SeqCst);
        rings
    }

    fn ring(&self) {
        self.0.write(1).unwrap();
    }
}

struct Wall<'a>(&'a Arc<DmaMemory>, &'a Arc<Line>, Arc<Bell>);

impl Context for Wall<'_> {
    fn line(&mut self, _: u32) -> Option<Box<dyn Trigger + Send + Sync>> {
        Some(Box::new(Arc::clone(self.1)))
    }

    fn memory(&self) -> Arc<dyn Memory> {
        unreachable!("it has the memory itself")
    }

    fn dma(&self) -> Arc<DmaMemory> {
        Arc::clone(self.0)
    }

    fn clock(&self) -> Arc<dyn Clock> {
        unreachable!("no device here has a clock")
    }

    fn doorbell(&mut self, _: u32, _: Option<(u64, u8)>) -> Result<Arc<dyn Doorbell>, String> {
        Ok(Arc::clone(&self.2) as Arc<dyn Doorbell>)
    }
}

/// A device, its machine, and a driver's hands.
#[derive(Debug)]
pub struct Guest {
    pub device: VirtioMmio,
    pub memory: Arc<DmaMemory>,
    line: Arc<Line>,
    bell: Arc<Bell>,
    /// Chains offered so far, by queue.
    offered: Vec<u16>,
    pub sizes: Vec<u16>,
}

pub fn empty_memory() -> Arc<DmaMemory> {
    let ranges = [0, HIGH].map(|gpa| (GuestAddress(gpa), LOW_END as usize));
    Arc::new(DmaMemory::from_ranges(&ranges).unwrap())
}

impl Guest {
    /// A device on a machine that runs.
    pub fn new(device: Box<dyn VirtioDevice>) -> Self {
        Self::with(device, empty_memory())
    }

    pub fn with(device: Box<dyn VirtioDevice>, memory: Arc<DmaMemory>) -> Self {
        let (line, sizes) = (Arc::default(), device.queue_sizes().to_vec());
        let bell = Arc::new(Bell(EventFd::new(EFD_NONBLOCK).unwrap(), AtomicU32::new(0)));
        let mut device = VirtioMmio::new(device, 16);
        let mut wall = Wall(&memory, &line, Arc::clone(&bell));
        assert_eq!(device.attach(&mut wall), Ok(()));
        let mut guest = Self {
            device,
            memory,
            line,
            bell,
            offered: vec![0; sizes.len()],
            sizes,
        };
        guest.run(true);
        guest
    }

    pub fn run(&mut self, on: bool) {
        self.device.run(on);
    }

    pub fn read(&mut self, register: u32) -> u32 {
        let mut bytes = [0; 4];
        self.device.read(register, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    pub fn write(&mut self, register: u32, value: u32) {
        assert_eq!(self.device.write(register, &value.to_le_bytes()), None);
    }

    pub fn status(&mut self) -> u32 {
        self.read(STATUS)
    }

    /// Interrupts so far.
    pub fn interrupts(&self) -> u32 {
        self.line.0.load(Ordering::SeqCst)
    }

    /// Resets the device and takes features, up to FEATURES_OK.
    pub fn agree(&mut self, features: u64) -> u32 {
        self.write(STATUS, 0);
        self.offered.fill(0);
        self.write(STATUS, 1);
        self.write(STATUS, 3);
        for (page, bits) in [(0, features as u32), (1, (features >> 32) as u32)] {
            self.write(0x24, page);
            self.write(0x20, bits);
        }
        self.write(STATUS, 0xb);
        self.status()
    }

    /// Sets a queue up at its place.
    pub fn set_up(&mut self, queue: u32, size: u32, parts: [u64; 3]) {
        self.write(SELECT, queue);
        self.write(0x38, size);
        for (register, gpa) in [0x80, 0x90, 0xa0].into_iter().zip(parts) {
            self.write(register, gpa as u32);
            self.write(register + 4, (gpa >> 32) as u32);
        }
        self.write(READY, 1);
    }

    /// A driver that is ready, with empty queues of their largest size.
    pub fn start(&mut self, features: u64) {
        assert_eq!(self.agree(features | 1 << 32), 0xb);
        for (queue, size) in (0..).zip(self.sizes.clone()) {
            let zeros = vec![0; 0x4000];
            let gpa = GuestAddress(table(queue));
            self.memory.write_slice(&zeros, gpa).unwrap();
            let parts = [table(queue), avail(queue), used(queue)];
            self.set_up(queue as u32, size.into(), parts);
        }
        self.write(STATUS, OK);
        assert_eq!(self.status(), OK);
    }

    pub fn put<T: vm_memory::ByteValued>(&self, gpa: u64, value: T) {
        self.memory.write_obj(value, GuestAddress(gpa)).unwrap();
    }

    pub fn get<T: vm_memory::ByteValued>(&self, gpa: u64) -> T {
        self.memory.read_obj(GuestAddress(gpa)).unwrap()
    }

    /// Writes a descriptor into a table.
    pub fn describe(&self, at: u64, index: u64, (gpa, bytes): (u64, u32), flags: u16, next: u16) {
        let at = at + 16 * index;
        self.put(at, gpa);
        self.put(at + 8, bytes);
        self.put(at + 12, flags);
        self.put(at + 14, next);
    }

    /// Makes a chain available.
    pub fn offer(&mut self, queue: u64, head: u16) {
        let (size, place) = (
            self.sizes[queue as usize],
            &mut self.offered[queue as usize],
        );
        let number = *place;
        *place = number.wrapping_add(1);
        let index = *place;
        self.put(avail(queue) + 4 + 2 * u64::from(number % size), head);
        self.put(avail(queue) + 2, index);
    }

    pub fn ring(&self) {
        self.bell.ring();
    }

    /// Rings, and waits until what was to do by then is done, if there is a driver.
    pub fn settle(&mut self) {
        if self.status() != OK {
            return;
        }
        for _ in 0..2 {
            let before = self.bell.1.load(Ordering::SeqCst);
            self.ring();
            self.until("the worker listens", |guest| {
                guest.bell.1.load(Ordering::SeqCst) != before
            });
        }
    }

    /// Rings that the worker has not heard.
    pub fn unheard(&self) -> u64 {
        self.bell.take()
    }

    pub fn used_index(&self, queue: u64) -> u16 {
        self.get(used(queue) + 2)
    }

    /// Head and length of a used chain.
    pub fn used_entry(&self, queue: u64, number: u16) -> (u32, u32) {
        let size = self.sizes[queue as usize];
        let at = used(queue) + 4 + 8 * u64::from(number % size);
        (self.get(at), self.get(at + 4))
    }

    /// Waits for something that the worker brings about.
    pub fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let begin = Instant::now();
        while !is_so(self) {
            assert!(begin.elapsed() < PATIENCE, "{what}");
            std::thread::yield_now();
        }
    }

    pub fn until_used(&mut self, queue: u64, index: u16) {
        self.until("a chain is used", |guest| guest.used_index(queue) == index);
    }
}
