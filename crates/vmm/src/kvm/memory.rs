//! Guest memory: slots of anonymous host memory, committed by the first touch.
//!
//! Guest and host see the same bytes at the same time, so every access here is a volatile copy,
//! and nothing hands out a Rust reference to them.
#![allow(unsafe_code)]

use std::sync::Arc;

use boot::MemorySlot;
use vm_memory::mmap::MmapRegionError;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap, GuestRegionMmap, MmapRegion};

use crate::error::{Error, ErrorCode, Result};

/// All slots of one machine, ordered by address; shared with everything that may read or write
/// them.
#[derive(Debug)]
pub struct GuestMemory {
    slots: Vec<MemorySlot>,
    regions: GuestMemoryMmap,
}

/// Where a slot's bytes lie in this process.
#[derive(Clone, Copy, Debug)]
pub struct HostRange {
    /// Address of the first byte.
    pub start: *mut u8,
    /// Bytes.
    pub bytes: usize,
}

impl GuestMemory {
    /// Reserves address space for every slot; nothing is committed before it is touched.
    ///
    /// # Errors
    /// `KvmIoctl` with call `mmap` or `madvise` when the host refuses, `InvalidOption` when slots
    /// overlap.
    pub fn new(slots: &[MemorySlot]) -> Result<Self> {
        let mut slots = slots.to_vec();
        slots.sort_by_key(|slot| slot.gpa);
        let regions = slots.iter().map(map_slot).collect::<Result<Vec<_>>>()?;
        let regions = GuestMemoryMmap::from_regions(regions)
            .map_err(|error| Error::new(ErrorCode::InvalidOption, format!("slots: {error}")))?;
        Ok(Self { slots, regions })
    }

    /// The slots, ordered by address.
    pub fn slots(&self) -> &[MemorySlot] {
        &self.slots
    }

    /// Copies guest memory from `gpa` on into `bytes`; adjacent slots read as one.
    ///
    /// # Errors
    /// `GuestMemory` when a byte of the range has no memory; `bytes` is then as it was.
    pub fn read(&self, gpa: u64, bytes: &mut [u8]) -> Result<()> {
        self.check(gpa, bytes.len() as u64)?;
        self.regions
            .read_slice(bytes, GuestAddress(gpa))
            .map_err(|error| outside(gpa, bytes.len() as u64, &error))
    }

    /// Copies `bytes` into guest memory from `gpa` on, read-only slots included.
    ///
    /// # Errors
    /// `GuestMemory` when a byte of the range has no memory; nothing is then written.
    pub fn write(&self, gpa: u64, bytes: &[u8]) -> Result<()> {
        self.check(gpa, bytes.len() as u64)?;
        self.regions
            .write_slice(bytes, GuestAddress(gpa))
            .map_err(|error| outside(gpa, bytes.len() as u64, &error))
    }

    /// Whether every byte of a range has memory; an empty range needs its start inside a slot
    /// or at its end.
    ///
    /// # Errors
    /// `GuestMemory`, naming the range and the slots.
    pub fn check(&self, gpa: u64, length: u64) -> Result<()> {
        let mut at = gpa;
        let end = gpa.checked_add(length);
        for slot in &self.slots {
            let slot_end = slot.end();
            if at >= slot.gpa && at <= slot_end {
                at = slot_end;
                if end.is_some_and(|end| end <= at) {
                    return Ok(());
                }
            }
        }
        let slots: Vec<_> = self
            .slots
            .iter()
            .map(|slot| format!("{:#x}..{:#x}", slot.gpa, slot.end()))
            .collect();
        Err(Error::new(
            ErrorCode::GuestMemory,
            format!(
                "{length} bytes at gpa {gpa:#x} are outside guest memory ({})",
                slots.join(", ")
            ),
        ))
    }

    /// Where the slot that starts at `gpa` lies in this process.
    ///
    /// The pointer is valid as long as this value lives. Guest and host may write at any time, so
    /// no reference may be made of it; racing readers see old or new bytes.
    pub fn host_range(&self, gpa: u64) -> Option<HostRange> {
        use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};
        let region = self.regions.find_region(GuestAddress(gpa))?;
        let bytes = usize::try_from(region.len()).ok()?;
        Some(HostRange {
            start: region.as_ptr(),
            bytes,
        })
    }

    /// Unmaps memory whose VM is gone; what a buffer keeps mapped is emptied.
    pub fn give_back(self: Arc<Self>) {
        if let Err(kept) = Arc::try_unwrap(self) {
            kept.discard();
        }
    }

    /// Returns every page to the host: the memory reads as zeros, and costs nothing until it is
    /// written again.
    ///
    /// For memory that outlives its machine. What the host refuses to take back goes with this
    /// value.
    pub fn discard(&self) {
        for slot in &self.slots {
            let Some(HostRange { start, bytes }) = self.host_range(slot.gpa) else {
                continue;
            };
            let start = start.cast();
            // SAFETY: the range is a mapping of ours, and every access to it is by value.
            let given = unsafe { libc::madvise(start, bytes, libc::MADV_DONTNEED) } == 0;
            // Where the process locks all its memory (mlockall(2)) the pages are to be unlocked
            // first.
            // SAFETY: as above.
            if !given && unsafe { libc::munlock(start, bytes) } == 0 {
                // SAFETY: as above.
                unsafe { libc::madvise(start, bytes, libc::MADV_DONTNEED) };
            }
        }
    }
}

impl devices::Memory for GuestMemory {
    fn read(&self, gpa: u64, bytes: &mut [u8]) -> bool {
        Self::read(self, gpa, bytes).is_ok()
    }

    fn write(&self, gpa: u64, bytes: &[u8]) -> bool {
        Self::write(self, gpa, bytes).is_ok()
    }
}

/// Slots up to this size are committed in single pages. Where the host gives huge pages unasked, as
/// many distributions do, the first touch would cost an idle machine 2 MiB; what huge pages gain
/// shows in larger memory.
const SINGLE_PAGES_BYTES: u64 = 16 << 20;

fn map_slot(slot: &MemorySlot) -> Result<GuestRegionMmap> {
    let no_memory = || Error::call("mmap", libc::ENOMEM);
    let bytes = usize::try_from(slot.bytes).map_err(|_| no_memory())?;
    let region = MmapRegion::new(bytes).map_err(|error| match error {
        MmapRegionError::Mmap(error) => Error::io("mmap")(error),
        _ => no_memory(),
    })?;
    if slot.bytes <= SINGLE_PAGES_BYTES {
        // SAFETY: the range is the mapping that was just made. A kernel without huge pages refuses,
        // and needs nothing.
        unsafe { libc::madvise(region.as_ptr().cast(), bytes, libc::MADV_NOHUGEPAGE) };
    }
    stays_here(region.as_ptr(), bytes)?;
    GuestRegionMmap::new(region, GuestAddress(slot.gpa)).ok_or_else(no_memory)
}

/// Keeps a mapping out of child processes, which would pay for a copy of its page tables, and out
/// of core dumps.
pub(crate) fn stays_here(start: *mut u8, bytes: usize) -> Result<()> {
    for advice in [libc::MADV_DONTFORK, libc::MADV_DONTDUMP] {
        // SAFETY: neither advice touches a byte or a page of this process.
        if unsafe { libc::madvise(start.cast(), bytes, advice) } != 0 {
            return Err(Error::io("madvise")(std::io::Error::last_os_error()));
        }
    }
    Ok(())
}

fn outside(gpa: u64, length: u64, error: &impl std::fmt::Display) -> Error {
    Error::new(
        ErrorCode::GuestMemory,
        format!("{length} bytes at gpa {gpa:#x}: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_adjacent_and_one_apart() -> GuestMemory {
        let slot = |gpa, bytes| MemorySlot {
            gpa,
            bytes,
            read_only: false,
        };
        GuestMemory::new(&[slot(0x10_0000, 4096), slot(4096, 4096), slot(0, 4096)]).unwrap()
    }

    #[test]
    fn a_range_may_cross_adjacent_slots() {
        let memory = two_adjacent_and_one_apart();
        memory.write(4094, &[1, 2, 3, 4]).unwrap();
        let mut back = [0; 4];
        memory.read(4094, &mut back).unwrap();
        assert_eq!(back, [1, 2, 3, 4]);
    }

    #[test]
    fn a_range_that_leaves_memory_touches_nothing() {
        let memory = two_adjacent_and_one_apart();
        for gpa in [8190, 8193, 0x10_0ffe, u64::MAX, 0xf_ffff] {
            let error = memory.write(gpa, &[7; 4]).unwrap_err();
            assert_eq!(error.code, ErrorCode::GuestMemory, "{gpa:#x}");
            let mut bytes = [9; 4];
            assert_eq!(
                memory.read(gpa, &mut bytes).unwrap_err().code,
                ErrorCode::GuestMemory
            );
            assert_eq!(bytes, [9; 4]);
        }
        let mut tail = [9; 2];
        memory.read(8190, &mut tail).unwrap();
        assert_eq!(tail, [0, 0]);
        memory.read(0x10_0ffe, &mut tail).unwrap();
        assert_eq!(tail, [0, 0]);
    }

    #[test]
    fn an_empty_range_needs_a_place_in_memory() {
        let memory = two_adjacent_and_one_apart();
        assert!(memory.read(8192, &mut []).is_ok());
        assert!(memory.read(8193, &mut []).is_err());
    }
}
