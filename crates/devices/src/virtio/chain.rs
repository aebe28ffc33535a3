//! A request: a chain of buffers in the guest's memory, checked when it is taken.

use std::num::Wrapping;

use virtio_queue::desc::split::Descriptor;
use vm_memory::bitmap::BS;
use vm_memory::{Address, Bytes, GuestAddress, GuestMemoryBackend, VolatileSlice};

use crate::written::{DmaMemory, Written};

/// Buffers of one chain. A ring has no more, but an indirect table might; QEMU has the same bound.
const MAX_BUFFERS: usize = 1024;

/// A chain has at most this many bytes (§2.7.5.2).
const MAX_CHAIN_BYTES: u64 = 1 << 32;

/// Bytes of a descriptor.
const DESCRIPTOR_BYTES: u32 = size_of::<Descriptor>() as u32;

/// Memory of the guest that may change at any time.
pub type Slice<'m> = VolatileSlice<'m, BS<'m, Written>>;

/// The driver has done what it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// One request. It is the device's until it gives it back to
/// [`Rings::complete`](super::Rings::complete).
#[derive(Debug)]
pub struct Chain {
    pub(super) head: u16,
    /// Of the ring, when it was taken.
    pub(super) epoch: Wrapping<u32>,
    /// What the driver has written for the device.
    pub readable: Buffers,
    /// Where the device writes.
    pub writable: Buffers,
}

/// Some memory of the guest's, in pieces, as one run of bytes. All of it existed when the chain was
/// taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buffers {
    ranges: Vec<(GuestAddress, u32)>,
    bytes: u64,
}

impl Buffers {
    /// How many bytes it has.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Copies bytes from `offset` on, as many as there are, and says how many.
    pub fn read(&self, memory: &DmaMemory, offset: u64, into: &mut [u8]) -> usize {
        let mut done = 0;
        for slice in self.slices(memory, offset, into.len() as u64) {
            let Some(rest) = into.get_mut(done..) else {
                break;
            };
            done += slice.copy_to(rest);
        }
        done
    }

    /// Copies bytes to `offset` and on, as many as have room, and says how many.
    pub fn write(&self, memory: &DmaMemory, offset: u64, from: &[u8]) -> usize {
        let mut done = 0;
        for slice in self.slices(memory, offset, from.len() as u64) {
            let Some(rest) = from.get(done..).filter(|rest| !rest.is_empty()) else {
                break;
            };
            let count = rest.len().min(slice.len());
            slice.copy_from(rest.get(..count).unwrap_or_default());
            done += count;
        }
        done
    }

    /// At most `bytes` bytes from `offset` on, where they lie in this process. What is written
    /// there is noted.
    pub fn slices<'m>(
        &self,
        memory: &'m DmaMemory,
        offset: u64,
        bytes: u64,
    ) -> impl Iterator<Item = Slice<'m>> + use<'_, 'm> {
        let (mut skip, mut left) = (offset, bytes);
        let ranges = self.ranges.iter().filter_map(move |(gpa, length)| {
            let length = u64::from(*length);
            let from = skip.min(length);
            skip -= from;
            let count = (length - from).min(left);
            left -= count;
            (count > 0).then_some((gpa.unchecked_add(from), count as usize))
        });
        // The ranges were checked, and slots stay for as long as a machine lives.
        ranges.flat_map(|(gpa, count)| memory.get_slices(gpa, count).map_while(Result::ok))
    }

    fn push(&mut self, gpa: GuestAddress, length: u32) {
        self.ranges.push((gpa, length));
        self.bytes += u64::from(length);
    }
}

/// Reads the chain that begins at `head` of a ring's descriptor table.
pub(super) fn walk(
    memory: &DmaMemory,
    mut table: GuestAddress,
    size: u16,
    head: u16,
    epoch: Wrapping<u32>,
) -> Result<Chain, Malformed> {
    let mut chain = Chain {
        head,
        epoch,
        readable: Buffers::default(),
        writable: Buffers::default(),
    };
    let (mut count, mut index, mut is_indirect) = (u32::from(size), head, false);
    for _ in 0..=MAX_BUFFERS {
        if u32::from(index) >= count {
            break;
        }
        let at = table.checked_add(u64::from(index) * u64::from(DESCRIPTOR_BYTES));
        let descriptor = at.and_then(|at| memory.read_obj::<Descriptor>(at).ok());
        let descriptor = descriptor.ok_or(Malformed)?;
        if descriptor.refers_to_indirect_table() {
            // §2.7.5.3.1: none in another, and none goes on after it.
            let (bytes, is_last) = (descriptor.len(), !descriptor.has_next());
            if is_indirect || !is_last || bytes == 0 || !bytes.is_multiple_of(DESCRIPTOR_BYTES) {
                break;
            }
            (table, count, index) = (descriptor.addr(), bytes / DESCRIPTOR_BYTES, 0);
            is_indirect = true;
            continue;
        }
        chain.add(memory, &descriptor)?;
        if !descriptor.has_next() {
            return Ok(chain);
        }
        index = descriptor.next();
    }
    Err(Malformed)
}

impl Chain {
    fn add(&mut self, memory: &DmaMemory, descriptor: &Descriptor) -> Result<(), Malformed> {
        let (gpa, length) = (descriptor.addr(), descriptor.len());
        let is_write = descriptor.is_write_only();
        let total = self.readable.bytes + self.writable.bytes + u64::from(length);
        // §2.7.4.2: what the device writes comes last.
        let is_late = !is_write && !self.writable.ranges.is_empty();
        if total > MAX_CHAIN_BYTES || is_late || !memory.check_range(gpa, length as usize) {
            return Err(Malformed);
        }
        let side = if is_write {
            &mut self.writable
        } else {
            &mut self.readable
        };
        side.push(gpa, length);
        Ok(())
    }
}
