//! Guest memory: slots of anonymous host memory, committed by the first touch.
//!
//! Guest and host see the same bytes at the same time, so every access here is a volatile copy,
//! and nothing hands out a Rust reference to them.
#![allow(unsafe_code)]

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use boot::MemorySlot;
use boot::layout::SYSTEM_START;
use devices::{DmaMemory, Written};
use vm_memory::{
    Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, MmapRegion,
};

use crate::error::{Error, ErrorCode, Result};
use crate::kvm::image::mapping::{SINGLE_PAGES_BYTES, advise, forget_image, map_slot, stays_here};
use crate::kvm::image::pages::{Layout, Span};
use crate::kvm::image::{Mapped, MemoryImage};

/// All slots of one machine, ordered by address; shared with everything that may read or write
/// them.
#[derive(Debug)]
pub struct GuestMemory {
    slots: Vec<MemorySlot>,
    regions: GuestMemoryMmap<Written>,
    /// Whether a slot shows an image, so that pages given back to the host are the image's again.
    has_image: AtomicBool,
    /// Whether something writes to slot 0 without telling.
    is_lent: AtomicBool,
    /// How often the host has written to the system slot, or behind it.
    system_writes: AtomicU64,
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
        Ok(Self {
            slots,
            regions,
            has_image: AtomicBool::new(false),
            is_lent: AtomicBool::new(false),
            system_writes: AtomicU64::new(0),
        })
    }

    /// Large slots get huge pages where the host gives them to those who ask: a first touch in
    /// ring 3 then costs a fraction. A machine that touches little pays with memory.
    pub(crate) fn with_huge_pages(self) -> Self {
        for region in self
            .regions
            .iter()
            .filter(|at| at.len() > SINGLE_PAGES_BYTES)
        {
            let bytes = usize::try_from(region.len()).unwrap_or(0);
            advise(region.as_ptr(), bytes, libc::MADV_HUGEPAGE);
        }
        self
    }

    /// Memory that is as an image, and shares its pages until they are written.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn from_image(image: &MemoryImage) -> Result<Self> {
        let spans = image.layout().spans();
        let slots: Vec<_> = spans.iter().map(|span| span.slot).collect();
        let memory = Self::new(&slots)?;
        for span in spans {
            memory.show(image, span)?;
            memory.settle(span)?;
        }
        Ok(memory)
    }

    /// Makes a slot what it is in an image. On an idle machine only.
    ///
    /// # Errors
    /// `KvmIoctl` with call `mmap`.
    pub(crate) fn show(&self, image: &MemoryImage, span: &Span) -> Result<()> {
        let Some(mapped) = self.mapped(span) else {
            return Ok(());
        };
        self.has_image.store(true, Ordering::SeqCst);
        // SAFETY: a mapping of ours of this size, and every access to it is by value.
        unsafe { image.map_over(&mapped) }
    }

    /// Keeps a slot that shows an image out of child processes and core dumps.
    ///
    /// # Errors
    /// `KvmIoctl` with call `madvise`.
    pub(crate) fn settle(&self, span: &Span) -> Result<()> {
        self.mapped(span).map_or(Ok(()), |mapped| {
            stays_here(mapped.start.as_ptr(), span.slot.bytes as usize)
        })
    }

    /// The numbers of its pages.
    pub(crate) fn layout(&self) -> Layout {
        Layout::new(&self.slots)
    }

    /// Where a slot lies, if it is one of these.
    pub(crate) fn mapped(&self, span: &Span) -> Option<Mapped> {
        let region = self.region(span)?;
        let start = NonNull::new(region.as_ptr())?;
        Some(Mapped { span: *span, start })
    }

    /// What devices may reach by themselves: the writable slots, but for the system slot.
    pub(crate) fn dma(&self) -> Arc<DmaMemory> {
        let is_out = |slot: &&MemorySlot| slot.read_only || slot.gpa == SYSTEM_START;
        let out = self.slots.iter().filter(is_out);
        let rest = out.fold(self.regions.clone(), |rest, slot| {
            let without = rest.remove_region(GuestAddress(slot.gpa), slot.bytes);
            without.map_or(rest, |(without, _)| without)
        });
        Arc::new(rest)
    }

    /// What the host has written to a slot.
    pub(crate) fn written(&self, span: &Span) -> Option<&Written> {
        Some(self.region(span)?.bitmap())
    }

    fn region(&self, span: &Span) -> Option<&MmapRegion<Written>> {
        let region = self.regions.find_region(GuestAddress(span.slot.gpa))?;
        let is_it = region.start_addr().0 == span.slot.gpa && region.len() == span.slot.bytes;
        is_it.then_some(&**region)
    }

    /// Where slot 0 lies, for something that will write to it without telling.
    pub fn lend(&self) -> Option<HostRange> {
        self.is_lent.store(true, Ordering::SeqCst);
        self.host_range(0)
    }

    /// Whether only its VM has it, and nothing ever wrote to it without telling.
    pub(crate) fn is_own(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) == 1 && !self.is_lent.load(Ordering::SeqCst)
    }

    /// Whether something may write to this slot without telling.
    pub(crate) fn is_lent(&self, span: &Span) -> bool {
        span.slot.gpa == 0 && self.is_lent.load(Ordering::SeqCst)
    }

    /// The slots, ordered by address.
    pub fn slots(&self) -> &[MemorySlot] {
        &self.slots
    }

    /// How often the host has begun to write to where GDT and page tables are, or above.
    pub(crate) fn system_writes(&self) -> u64 {
        self.system_writes.load(Ordering::SeqCst)
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
        if gpa.saturating_add(bytes.len() as u64) > SYSTEM_START {
            self.system_writes.fetch_add(1, Ordering::SeqCst);
        }
        self.check(gpa, bytes.len() as u64)?;
        self.regions
            .write_slice(bytes, GuestAddress(gpa))
            .map_err(|error| outside(gpa, bytes.len() as u64, &error))
    }

    /// Reads an aligned word of 32 bits, after which nothing is read that comes later.
    ///
    /// # Errors
    /// `GuestMemory` when it has no memory.
    pub fn load(&self, gpa: u64) -> Result<u32> {
        self.regions
            .load(GuestAddress(gpa), Ordering::Acquire)
            .map_err(|error| outside(gpa, 4, &error))
    }

    /// Writes an aligned word of 32 bits, after all that was written before.
    ///
    /// # Errors
    /// `GuestMemory` when it has no memory.
    pub fn store(&self, gpa: u64, value: u32) -> Result<()> {
        self.regions
            .store(value, GuestAddress(gpa), Ordering::Release)
            .map_err(|error| outside(gpa, 4, &error))
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
            if self.has_image.load(Ordering::SeqCst) && forget_image(start, bytes) {
                continue;
            }
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
