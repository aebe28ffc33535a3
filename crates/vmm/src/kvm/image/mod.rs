//! Memory as a value: the pages of all slots of a machine, one slot after the other, in a sealed
//! memfd (memfd_create(2)) that any number of machines map privately.
#![allow(unsafe_code)]

pub mod mapping;
pub mod pagemap;
pub mod pages;

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;

use crate::error::{Error, ErrorCode, Result};
use crate::kvm::image::pages::{Layout, Pages, Span};
use crate::limits::PAGE_BYTES;

const PAGE: usize = PAGE_BYTES as usize;

/// A page without content.
static ZEROS: [u8; PAGE] = [0; PAGE];

/// The memory of a machine as it was once. Nothing changes it; pages of zeros take no space.
#[derive(Debug)]
pub(crate) struct MemoryImage {
    layout: Layout,
    /// The pages that are in the file; the others are holes.
    used: Pages,
    file: File,
    /// Where the first page is in the file.
    pages_at: u64,
    view: View,
}

/// Where the bytes of one slot lie in this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mapped {
    pub span: Span,
    pub start: NonNull<u8>,
}

impl Mapped {
    /// The address of one of the slot's pages, by its number in the layout.
    pub fn page(&self, page: usize) -> Option<NonNull<u8>> {
        let within = page.checked_sub(self.span.first)?;
        if within >= self.span.count {
            return None;
        }
        // SAFETY: inside the slot's mapping.
        Some(unsafe { self.start.add(within * PAGE) })
    }
}

impl MemoryImage {
    /// Copies pages that may have content. They lie where `source` says.
    ///
    /// # Errors
    /// `Limit` where the process may not make so large a file, `KvmIoctl`.
    ///
    /// # Safety
    /// What `source` gives is a page that can be read, and that nobody writes meanwhile.
    pub unsafe fn new(
        layout: Layout,
        candidates: &Pages,
        source: impl Fn(usize) -> Option<NonNull<u8>>,
    ) -> Result<Self> {
        let bytes = layout.end() * PAGE;
        let file = create(bytes as u64)?;
        let mut used = Pages::none(&layout);
        let mut run: Option<Run> = None;
        for page in candidates.iter() {
            let Some(start) = source(page) else { continue };
            // SAFETY: the caller's promise.
            if unsafe { is_same(start, NonNull::from(&ZEROS).cast()) } {
                continue;
            }
            used.insert(page);
            match &mut run {
                Some(run) if run.continues(page, start) => run.pages += 1,
                _ => {
                    let next = Run {
                        page,
                        start,
                        pages: 1,
                    };
                    if let Some(run) = run.replace(next) {
                        run.write(&file)?;
                    }
                }
            }
        }
        run.map_or(Ok(()), |run| run.write(&file))?;
        seal(&file)?;
        Self::mapped(layout, used, file, 0)
    }

    /// Maps a file that has the pages from an offset on, which nobody changes as long as this
    /// lives.
    ///
    /// # Errors
    /// `KvmIoctl`.
    pub fn mapped(layout: Layout, used: Pages, file: File, pages_at: u64) -> Result<Self> {
        let view = View::new(&file, pages_at, layout.end() * PAGE)?;
        Ok(Self {
            layout,
            used,
            file,
            pages_at,
            view,
        })
    }

    /// Reads the pages out of a file that has them from an offset on, whatever becomes of it then.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn copied(layout: Layout, used: Pages, from: &File, pages_at: u64) -> Result<Self> {
        let file = create((layout.end() * PAGE) as u64)?;
        let mut bytes = ZEROS;
        for page in used.iter() {
            let at = (page * PAGE) as u64;
            let read = from.read_exact_at(&mut bytes, pages_at + at);
            read.map_err(Error::io("pread"))?;
            file.write_all_at(&bytes, at).map_err(Error::io("pwrite"))?;
        }
        seal(&file)?;
        Self::mapped(layout, used, file, 0)
    }

    /// Bytes that a file of this process may have (`RLIMIT_FSIZE`); a larger one would end it by
    /// SIGXFSZ.
    pub fn file_limit() -> Option<u64> {
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: fills the struct.
        let known = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) } == 0;
        known.then_some(limit.rlim_cur)
    }

    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The pages that are not all zeros.
    pub const fn used(&self) -> &Pages {
        &self.used
    }

    /// Where a page lies, to be read; `None` for one of zeros.
    pub fn page(&self, page: usize) -> Option<NonNull<u8>> {
        if !self.used.contains(page) {
            return None;
        }
        // SAFETY: a used page lies inside the view.
        Some(unsafe { self.view.start.add(page * PAGE) })
    }

    /// Whether a page is the same in another image of the same layout.
    pub fn is_same(&self, other: &Self, page: usize) -> bool {
        match (self.page(page), other.page(page)) {
            (None, None) => true,
            // A page of zeros is not used.
            (None, Some(_)) | (Some(_), None) => false,
            // SAFETY: pages of the views, which nothing writes.
            (Some(one), Some(two)) => unsafe { is_same(one, two) },
        }
    }

    /// A copy of a page.
    pub fn read(&self, page: usize) -> [u8; PAGE] {
        let mut bytes = ZEROS;
        if let Some(start) = self.page(page) {
            // SAFETY: a page of the view, which nothing writes.
            unsafe {
                start
                    .as_ptr()
                    .copy_to_nonoverlapping(bytes.as_mut_ptr(), PAGE)
            };
        }
        bytes
    }

    /// Whether a page of a machine is as it is here.
    ///
    /// # Safety
    /// `at` is a page that can be read, and that nobody writes meanwhile.
    pub unsafe fn is_as(&self, page: usize, at: NonNull<u8>) -> bool {
        let own = self.page(page);
        let own = own.unwrap_or(NonNull::from(&ZEROS).cast());
        // SAFETY: both are pages; the caller's promise.
        unsafe { is_same(own, at) }
    }

    /// Makes a page of a machine what it is here; whether it was something else.
    ///
    /// # Safety
    /// `to` is a page that can be written, and that nobody else writes or reads meanwhile.
    pub unsafe fn put_back(&self, page: usize, to: NonNull<u8>) -> bool {
        let from = self.page(page);
        let from = from.unwrap_or(NonNull::from(&ZEROS).cast());
        // SAFETY: both are pages; the caller's promise.
        if unsafe { is_same(from, to) } {
            return false;
        }
        // SAFETY: as above, and one is this value's own.
        unsafe { from.copy_to_nonoverlapping(to, PAGE) };
        true
    }

    /// Maps a slot of it privately over a mapping that is there, which has its place for good.
    ///
    /// # Errors
    /// `KvmIoctl`, and what was there may be gone.
    ///
    /// # Safety
    /// `mapped` is a mapping of the caller's of the size of its slot, and nothing refers to its
    /// content.
    pub unsafe fn map_over(&self, mapped: &Mapped) -> Result<()> {
        let bytes = mapped.span.count * PAGE;
        // SAFETY: the caller's promise; the file has all bytes of its layout.
        let start = unsafe {
            libc::mmap(
                mapped.start.as_ptr().cast(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_NORESERVE | libc::MAP_FIXED,
                self.file.as_raw_fd(),
                self.pages_at as libc::off_t + (mapped.span.first * PAGE) as libc::off_t,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(Error::io("mmap")(std::io::Error::last_os_error()));
        }
        Ok(())
    }
}

/// Pages in a row, here and in the file.
struct Run {
    page: usize,
    start: NonNull<u8>,
    pages: usize,
}

impl Run {
    fn continues(&self, page: usize, start: NonNull<u8>) -> bool {
        let here = self.start.addr().get() + self.pages * PAGE;
        page == self.page + self.pages && start.addr().get() == here
    }

    fn write(&self, file: &File) -> Result<()> {
        let (mut done, bytes) = (0, self.pages * PAGE);
        while done < bytes {
            // SAFETY: inside the pages of the run.
            let from = unsafe { self.start.add(done) };
            let at = (self.page * PAGE + done) as libc::off_t;
            let (fd, from) = (file.as_raw_fd(), from.as_ptr().cast());
            // SAFETY: the pages of the run can be read.
            let count = unsafe { libc::pwrite(fd, from, bytes - done, at) };
            match usize::try_from(count) {
                Ok(count) if count > 0 => done += count,
                _ => {
                    let error = std::io::Error::last_os_error();
                    if error.kind() != std::io::ErrorKind::Interrupted {
                        return Err(Error::io("pwrite")(error));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether two pages have the same content.
///
/// # Safety
/// Both can be read, and nobody writes them meanwhile.
unsafe fn is_same(one: NonNull<u8>, other: NonNull<u8>) -> bool {
    // SAFETY: the caller's promise.
    unsafe { libc::memcmp(one.as_ptr().cast(), other.as_ptr().cast(), PAGE) == 0 }
}

/// An empty file of holes, in memory.
fn create(bytes: u64) -> Result<File> {
    check_limit(bytes)?;
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a string that ends.
    let fd = unsafe { libc::memfd_create(c"vmexit-snapshot".as_ptr(), flags) };
    if fd < 0 {
        return Err(Error::io("memfd_create")(std::io::Error::last_os_error()));
    }
    // SAFETY: just opened, and nobody else's.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len(bytes).map_err(Error::io("ftruncate"))?;
    Ok(file)
}

fn check_limit(bytes: u64) -> Result<()> {
    let Some(limit) = MemoryImage::file_limit().filter(|limit| bytes > *limit) else {
        return Ok(());
    };
    Err(Error::new(
        ErrorCode::Limit,
        format!(
            "a snapshot needs a file of {bytes} bytes, got a limit of {limit}; raise `ulimit -f`"
        ),
    ))
}

/// From here on nothing changes the file.
fn seal(file: &File) -> Result<()> {
    let seals = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: a descriptor of ours, and a command without a pointer.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } < 0 {
        return Err(Error::io("fcntl")(std::io::Error::last_os_error()));
    }
    Ok(())
}

/// A mapping of the whole file, to be read.
#[derive(Debug)]
struct View {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: nothing writes what it points to.
unsafe impl Send for View {}
// SAFETY: as above.
unsafe impl Sync for View {}

impl View {
    fn new(file: &File, at: u64, bytes: usize) -> Result<Self> {
        // A shared mapping of a sealed file is refused before Linux 6.7.
        let (nowhere, kind) = (
            std::ptr::null_mut(),
            libc::MAP_PRIVATE | libc::MAP_NORESERVE,
        );
        let fd = file.as_raw_fd();
        // SAFETY: a fresh mapping.
        let start =
            unsafe { libc::mmap(nowhere, bytes, libc::PROT_READ, kind, fd, at as libc::off_t) };
        if start == libc::MAP_FAILED {
            return Err(Error::io("mmap")(std::io::Error::last_os_error()));
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| Error::call("mmap", libc::ENOMEM))?;
        let view = Self { start, bytes };
        for advice in [libc::MADV_DONTFORK, libc::MADV_DONTDUMP] {
            // SAFETY: neither advice touches a byte or a page of this process.
            unsafe { libc::madvise(start.as_ptr().cast(), bytes, advice) };
        }
        Ok(view)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this size.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
