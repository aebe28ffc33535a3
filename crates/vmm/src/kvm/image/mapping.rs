//! Mappings of this process that a machine's memory and pages are.
#![allow(unsafe_code)]

use boot::MemorySlot;
use devices::Written;
use vm_memory::mmap::MmapRegionError;
use vm_memory::{GuestAddress, GuestRegionMmap, MmapRegion};

use crate::error::{Error, Result};

/// Slots up to this size are committed in single pages. Where the host gives huge pages unasked, as
/// many distributions do, the first touch would cost an idle machine 2 MiB; what huge pages gain
/// shows in larger memory.
pub const SINGLE_PAGES_BYTES: u64 = 16 << 20;

/// Puts empty memory where an image is shown.
pub fn forget_image(start: *mut libc::c_void, bytes: usize) -> bool {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_ANONYMOUS | libc::MAP_PRIVATE | libc::MAP_NORESERVE | libc::MAP_FIXED;
    // SAFETY: the range is a mapping of ours, and every access to it is by value.
    let mapped = unsafe { libc::mmap(start, bytes, protection, kind, -1, 0) };
    mapped != libc::MAP_FAILED && stays_here(mapped.cast(), bytes).is_ok()
}

/// Empty memory for a slot.
pub fn map_slot(slot: &MemorySlot) -> Result<GuestRegionMmap<Written>> {
    let no_memory = || Error::call("mmap", libc::ENOMEM);
    let bytes = usize::try_from(slot.bytes).map_err(|_| no_memory())?;
    let region = MmapRegion::new(bytes).map_err(|error| match error {
        MmapRegionError::Mmap(error) => Error::io("mmap")(error),
        _ => no_memory(),
    })?;
    if slot.bytes <= SINGLE_PAGES_BYTES {
        // A kernel without huge pages refuses, and needs nothing.
        advise(region.as_ptr(), bytes, libc::MADV_NOHUGEPAGE);
    }
    stays_here(region.as_ptr(), bytes)?;
    GuestRegionMmap::new(region, GuestAddress(slot.gpa)).ok_or_else(no_memory)
}

/// Keeps a mapping out of child processes, which would pay for a copy of its page tables, and out
/// of core dumps.
pub fn stays_here(start: *mut u8, bytes: usize) -> Result<()> {
    for advice in [libc::MADV_DONTFORK, libc::MADV_DONTDUMP] {
        if !advise(start, bytes, advice) {
            return Err(Error::io("madvise")(std::io::Error::last_os_error()));
        }
    }
    Ok(())
}

/// Whether the kernel takes one of the advices of this file for a mapping of ours.
pub fn advise(start: *mut u8, bytes: usize, advice: libc::c_int) -> bool {
    // SAFETY: none of them touches a byte of this process.
    unsafe { libc::madvise(start.cast(), bytes, advice) == 0 }
}
