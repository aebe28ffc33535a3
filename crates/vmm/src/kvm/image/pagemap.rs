//! Which pages of a mapping this process has, by its page tables (Linux, `pagemap.rst`).
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use crate::limits::PAGE_BYTES;

/// `_IOWR('f', 16, struct pm_scan_arg)`, since Linux 6.7.
const PAGEMAP_SCAN: libc::c_ulong =
    3 << 30 | (size_of::<ScanArg>() as libc::c_ulong) << 16 | (b'f' as libc::c_ulong) << 8 | 16;

const PAGE_IS_FILE: u64 = 1 << 2;
const PAGE_IS_PRESENT: u64 = 1 << 3;
const PAGE_IS_SWAPPED: u64 = 1 << 4;

/// Bits of an entry of `/proc/self/pagemap`.
const ENTRY_FILE: u64 = 1 << 61;
const ENTRY_SWAPPED: u64 = 1 << 62;
const ENTRY_PRESENT: u64 = 1 << 63;

/// `struct pm_scan_arg`.
#[repr(C)]
#[derive(Default)]
struct ScanArg {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `struct page_region`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

/// Ranges that one call fills.
const REGIONS: usize = 256;

/// Entries that one call reads.
const ENTRIES: usize = 4096;

/// Calls with ranges of page numbers, counted from `start` on, that together are every page that
/// this process has written to a private mapping, or has of anonymous memory. Where nothing tells
/// them, it is all of them.
pub(crate) fn each_private(start: usize, pages: usize, found: &mut dyn FnMut(usize, usize)) {
    let whole = |found: &mut dyn FnMut(usize, usize)| found(0, pages);
    let Some(file) = file() else {
        return whole(found);
    };
    if scan(file, start, pages, found).is_none() && read(file, start, pages, found).is_none() {
        whole(found);
    }
}

/// Kept, as a restore may look at any time.
fn file() -> Option<&'static File> {
    static PAGEMAP: OnceLock<Option<File>> = OnceLock::new();
    let open = || File::open("/proc/self/pagemap").ok();
    PAGEMAP.get_or_init(open).as_ref()
}

/// By `PAGEMAP_SCAN`; `None` where it fails, which is at once.
fn scan(
    file: &File,
    start: usize,
    pages: usize,
    found: &mut dyn FnMut(usize, usize),
) -> Option<()> {
    let mut regions = [Region::default(); REGIONS];
    let page_bytes = PAGE_BYTES as usize;
    let end = (start + pages * page_bytes) as u64;
    let mut at = start as u64;
    while at < end {
        let mut arg = ScanArg {
            size: size_of::<ScanArg>() as u64,
            start: at,
            end,
            vec: regions.as_mut_ptr() as u64,
            vec_len: REGIONS as u64,
            category_inverted: PAGE_IS_FILE,
            category_mask: PAGE_IS_FILE,
            category_anyof_mask: PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
            return_mask: PAGE_IS_FILE,
            ..ScanArg::default()
        };
        let (fd, arg_start) = (file.as_raw_fd(), &raw mut arg);
        // SAFETY: the kernel writes `vec_len` regions at most and `walk_end`, and reads the rest.
        let count = unsafe { libc::ioctl(fd, PAGEMAP_SCAN as libc::Ioctl, arg_start) };
        let count = usize::try_from(count).ok()?;
        for region in regions.iter().take(count) {
            let first = (region.start as usize - start) / page_bytes;
            found(first, (region.end - region.start) as usize / page_bytes);
        }
        if arg.walk_end <= at {
            return None;
        }
        at = arg.walk_end;
    }
    Some(())
}

/// By the entries of each page; `None` where they cannot be read.
fn read(
    file: &File,
    start: usize,
    pages: usize,
    found: &mut dyn FnMut(usize, usize),
) -> Option<()> {
    let mut bytes = vec![0; ENTRIES * size_of::<u64>()];
    let first_entry = start / PAGE_BYTES as usize;
    for first in (0..pages).step_by(ENTRIES) {
        let count = ENTRIES.min(pages - first);
        let into = bytes.get_mut(..count * size_of::<u64>())?;
        let offset = (first_entry + first) * size_of::<u64>();
        file.read_exact_at(into, offset as u64).ok()?;
        let (entries, _) = into.as_chunks::<{ size_of::<u64>() }>();
        for (page, entry) in (first..).zip(entries) {
            let entry = u64::from_ne_bytes(*entry);
            if entry & (ENTRY_PRESENT | ENTRY_SWAPPED) != 0 && entry & ENTRY_FILE == 0 {
                found(page, 1);
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = PAGE_BYTES as usize;

    /// Pages of anonymous memory, of which some are written.
    struct Mapping(usize, usize);

    impl Mapping {
        fn new(pages: usize, written: &[usize]) -> Self {
            let (kind, protection) = (
                libc::MAP_ANONYMOUS | libc::MAP_PRIVATE | libc::MAP_NORESERVE,
                libc::PROT_READ | libc::PROT_WRITE,
            );
            let nowhere = std::ptr::null_mut();
            // SAFETY: a fresh mapping.
            let start = unsafe { libc::mmap(nowhere, pages * PAGE, protection, kind, -1, 0) };
            assert_ne!(start, libc::MAP_FAILED);
            // SAFETY: the mapping is ours.
            unsafe { libc::madvise(start, pages * PAGE, libc::MADV_NOHUGEPAGE) };
            for page in written {
                // SAFETY: inside the mapping.
                let byte = unsafe { start.cast::<u8>().add(page * PAGE) };
                // SAFETY: mapped and writable.
                unsafe { byte.write_volatile(1) };
            }
            Self(start as usize, pages)
        }
    }

    impl Drop for Mapping {
        fn drop(&mut self) {
            // SAFETY: mapped by `new`.
            unsafe { libc::munmap(self.0 as *mut libc::c_void, self.1 * PAGE) };
        }
    }

    fn collected(
        by: impl FnOnce(&mut dyn FnMut(usize, usize)) -> Option<()>,
    ) -> Option<Vec<usize>> {
        let mut pages = Vec::new();
        by(&mut |first, count| pages.extend(first..first + count))?;
        Some(pages)
    }

    #[test]
    fn every_way_finds_the_pages_that_were_written() {
        // More ranges than one call gives, and more pages than one call reads.
        let written: Vec<_> = (1..ENTRIES + 100).step_by(5).collect();
        let mapping = Mapping::new(ENTRIES + 200, &written);
        let (start, pages) = (mapping.0, mapping.1);
        let file = file().unwrap();
        let scanned = collected(|found| scan(file, start, pages, found));
        // Linux 6.7 and newer have it.
        assert!(scanned.is_none_or(|pages| pages == written));
        assert_eq!(
            collected(|found| read(file, start, pages, found)),
            Some(written)
        );
    }
}
