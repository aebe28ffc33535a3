//! QEMU's firmware configuration device: items by number, files by name, and a way to have them
//! copied into memory (QEMU, `docs/specs/fw_cfg.rst`).

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::device::{Context, Device, Memory, PowerRequest};
use crate::state::{State, saved};

/// Where a register is, from port 0x510.
mod offset {
    /// Two bytes: which item.
    pub const SELECTOR: u32 = 0;
    /// The item's next byte.
    pub const DATA: u32 = 1;
    /// The upper half of an address, most significant byte first.
    pub const DMA_HIGH: u32 = 4;
    /// The lower half, whose write starts the transfer.
    pub const DMA_LOW: u32 = 8;
}
use offset::*;

/// Items by number.
mod key {
    pub const SIGNATURE: u16 = 0x00;
    pub const VERSION: u16 = 0x01;
    pub const NO_GRAPHICS: u16 = 0x04;
    pub const CPUS: u16 = 0x05;
    pub const MAX_CPUS: u16 = 0x0f;
    pub const DIRECTORY: u16 = 0x19;
    pub const FIRST_FILE: u16 = 0x20;
    /// Whether the timer is at input 2 of the IOAPIC.
    pub const TIMER_OVERRIDE: u16 = 0x8002;
}

/// The traditional interface and DMA.
const VERSION: u32 = 0b11;

/// What the DMA register reads as.
const DMA_SIGNATURE: [u8; 8] = *b"QEMU CFG";

/// The commands of a transfer, its first word; the upper half is an item's number.
mod control {
    pub const ERROR: u32 = 1 << 0;
    pub const READ: u32 = 1 << 1;
    pub const SKIP: u32 = 1 << 2;
    pub const SELECT: u32 = 1 << 3;
    pub const WRITE: u32 = 1 << 4;
}

/// Zeros that are written at once.
const CHUNK_BYTES: usize = 4 << 10;

/// Bytes of a file's name in the directory, the zero at its end among them.
const NAME_BYTES: usize = 56;

/// The longest name of a file.
pub const MAX_FILE_NAME_BYTES: usize = NAME_BYTES - 1;

/// Files, ours among them: the directory fits one page.
pub const MAX_DIRECTORY_FILES: usize = 60;

/// Bytes of all files, of which every snapshot keeps a copy; also the most that one transfer
/// writes, so that no guest can make the vCPU's thread copy for long.
pub const MAX_FILE_BYTES: usize = 16 << 20;

saved! {
    /// The state of a [`FwCfg`].
    FwCfgState = "fw-cfg" {
        /// The selected item.
        selector: [u8; 2],
        /// Its next byte.
        offset: [u8; 4],
        /// The upper half of the next transfer's address.
        high: [u8; 4],
        /// All items, as [`Items`] packs them.
        items: Vec<u8>,
    }
}

/// What firmware asks for that is no file.
#[derive(Clone, Copy, Debug)]
pub struct FwCfgNumbers {
    /// How many vCPUs there are.
    pub cpus: u16,
    /// Whether its console is the serial port.
    pub no_graphics: bool,
}

/// The device at ports 0x510 to 0x51b. What a guest does with it changes nothing but where it
/// reads: no item can be written.
#[derive(Debug)]
pub struct FwCfg {
    items: Items,
    selector: u16,
    offset: u32,
    high: u32,
    /// Where a transfer may write.
    ram: Vec<Range<u64>>,
    memory: Option<Arc<dyn Memory>>,
}

impl FwCfg {
    /// Bytes from the selector on.
    pub const BYTES: u8 = 12;

    /// One with these files, in the order of their names. A transfer writes to `ram` alone.
    pub fn new(
        numbers: FwCfgNumbers,
        files: &[(String, Cow<'_, [u8]>)],
        ram: &[Range<u64>],
    ) -> Self {
        Self {
            items: Items::new(numbers, files),
            selector: 0,
            offset: 0,
            high: 0,
            ram: ram.to_vec(),
            memory: None,
        }
    }

    fn select(&mut self, selector: u16) {
        (self.selector, self.offset) = (selector, 0);
    }

    /// What is left of the selected item.
    fn rest(&self) -> &[u8] {
        let item = self.items.get(self.selector);
        item.get(self.offset as usize..).unwrap_or_default()
    }

    /// The next byte; zeros after the item's end, and where there is none.
    fn next(&mut self) -> u8 {
        let byte = self.rest().first().copied();
        self.skip(1);
        byte.unwrap_or_default()
    }

    fn skip(&mut self, bytes: u32) {
        self.offset = self.offset.saturating_add(bytes);
    }

    /// Does what the descriptor at `gpa` says, and says there how it went.
    fn transfer(&mut self, gpa: u64) {
        let Some(memory) = self.memory.clone() else {
            return;
        };
        let mut descriptor = [0; 16];
        let read = memory.read(gpa, &mut descriptor);
        let [control, length, high, low] = words(descriptor);
        let done = read
            && self.obey(
                &*memory,
                control,
                length,
                u64::from(high) << 32 | u64::from(low),
            );
        let status = if done { 0 } else { control::ERROR };
        // A descriptor that cannot be written is its guest's loss.
        if self.is_ram(gpa, 4) {
            memory.write(gpa, &status.to_be_bytes());
        }
    }

    /// Whether a command could be obeyed.
    fn obey(&mut self, memory: &dyn Memory, control: u32, length: u32, gpa: u64) -> bool {
        if control & control::SELECT != 0 {
            self.select((control >> 16) as u16);
        }
        if control & control::READ != 0 {
            return self.copy(memory, gpa, length);
        }
        if control & control::WRITE != 0 {
            return false;
        }
        if control & control::SKIP != 0 {
            self.skip(length);
        }
        true
    }

    /// Copies the next bytes of the item into memory; all or, where that is no RAM, none.
    fn copy(&mut self, memory: &dyn Memory, gpa: u64, length: u32) -> bool {
        if length as usize > MAX_FILE_BYTES || !self.is_ram(gpa, u64::from(length)) {
            return false;
        }
        let (length, rest) = (length as usize, self.rest());
        let there = rest.get(..length).unwrap_or(rest);
        let mut done = memory.write(gpa, there);
        let mut at = there.len();
        while at < length {
            let zeros = &[0; CHUNK_BYTES][..CHUNK_BYTES.min(length - at)];
            done &= memory.write(gpa + at as u64, zeros);
            at += zeros.len();
        }
        self.skip(length as u32);
        done
    }

    /// Whether a range is writable memory; ranges that meet count as one.
    fn is_ram(&self, gpa: u64, bytes: u64) -> bool {
        let Some(end) = gpa.checked_add(bytes) else {
            return false;
        };
        let mut at = gpa;
        while at < end {
            let Some(range) = self.ram.iter().find(|range| range.contains(&at)) else {
                return false;
            };
            at = range.end;
        }
        true
    }
}

impl Device for FwCfg {
    fn attach(&mut self, context: &mut dyn Context) -> Result<(), String> {
        self.memory = Some(context.memory());
        Ok(())
    }

    fn read(&mut self, offset: u32, data: &mut [u8]) {
        for (byte, at) in data.iter_mut().zip(offset..) {
            *byte = match at {
                // A wide read of the data port is of that port alone.
                _ if offset == DATA => self.next(),
                DMA_HIGH.. => DMA_SIGNATURE
                    .get((at - DMA_HIGH) as usize)
                    .copied()
                    .unwrap_or(0xff),
                _ => 0xff,
            };
        }
    }

    fn write(&mut self, offset: u32, data: &[u8]) -> Option<PowerRequest> {
        match (offset, data) {
            (SELECTOR, &[low, high]) => self.select(u16::from_le_bytes([low, high])),
            (DMA_HIGH, &[a, b, c, d]) => self.high = u32::from_be_bytes([a, b, c, d]),
            (DMA_LOW, &[a, b, c, d]) => {
                let low = u32::from_be_bytes([a, b, c, d]);
                let high = std::mem::take(&mut self.high);
                self.transfer(u64::from(high) << 32 | u64::from(low));
            }
            // No item can be written, and no other width means anything.
            _ => {}
        }
        None
    }

    fn save(&self) -> State {
        State::of(&FwCfgState {
            selector: self.selector.to_le_bytes(),
            offset: self.offset.to_le_bytes(),
            high: self.high.to_le_bytes(),
            items: self.items.bytes.clone(),
        })
    }

    fn restore(&mut self, state: &State) -> bool {
        let Some(FwCfgState {
            selector,
            offset,
            high,
            items,
        }) = state.fields()
        else {
            return false;
        };
        if items != self.items.bytes {
            match Items::unpack(items) {
                Some(items) => self.items = items,
                None => return false,
            }
        }
        self.selector = u16::from_le_bytes(selector);
        self.offset = u32::from_le_bytes(offset);
        self.high = u32::from_le_bytes(high);
        true
    }
}

/// The words of a transfer's descriptor, most significant byte first.
fn words(bytes: [u8; 16]) -> [u32; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    words
}

/// All items in one piece: number, length and bytes of each.
#[derive(Debug, Default)]
struct Items {
    bytes: Vec<u8>,
    places: Vec<(u16, Range<usize>)>,
}

impl Items {
    fn new(numbers: FwCfgNumbers, files: &[(String, Cow<'_, [u8]>)]) -> Self {
        let mut items = Self::default();
        let cpus = numbers.cpus.to_le_bytes();
        items.put(key::SIGNATURE, b"QEMU");
        items.put(key::VERSION, &VERSION.to_le_bytes());
        items.put(
            key::NO_GRAPHICS,
            &u16::from(numbers.no_graphics).to_le_bytes(),
        );
        items.put(key::CPUS, &cpus);
        items.put(key::MAX_CPUS, &cpus);
        items.put(key::TIMER_OVERRIDE, &[1]);
        let mut files: Vec<_> = files.iter().collect();
        files.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut directory = (files.len() as u32).to_be_bytes().to_vec();
        for ((name, bytes), key) in files.into_iter().zip(key::FIRST_FILE..) {
            directory.extend((bytes.len() as u32).to_be_bytes());
            directory.extend(key.to_be_bytes());
            directory.extend([0; 2]);
            let mut padded = [0; NAME_BYTES];
            for (to, from) in padded
                .iter_mut()
                .take(MAX_FILE_NAME_BYTES)
                .zip(name.bytes())
            {
                *to = from;
            }
            directory.extend(padded);
            items.put(key, bytes);
        }
        items.put(key::DIRECTORY, &directory);
        items
    }

    fn put(&mut self, key: u16, item: &[u8]) {
        self.bytes.extend(key.to_le_bytes());
        self.bytes.extend((item.len() as u32).to_le_bytes());
        let start = self.bytes.len();
        self.bytes.extend(item);
        self.places.push((key, start..self.bytes.len()));
    }

    /// What was packed; `None` for anything else.
    fn unpack(bytes: Vec<u8>) -> Option<Self> {
        let (mut places, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let (key, rest) = bytes.get(at..)?.split_first_chunk()?;
            let (length, rest) = rest.split_first_chunk()?;
            let length = u32::from_le_bytes(*length) as usize;
            let start = bytes.len() - rest.len();
            at = start
                .checked_add(length)
                .filter(|end| *end <= bytes.len())?;
            places.push((u16::from_le_bytes(*key), start..at));
        }
        Some(Self { bytes, places })
    }

    /// An item; empty if there is none.
    fn get(&self, key: u16) -> &[u8] {
        let place = self.places.iter().find(|(of, _)| *of == key);
        let bytes = place.and_then(|(_, place)| self.bytes.get(place.clone()));
        bytes.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
