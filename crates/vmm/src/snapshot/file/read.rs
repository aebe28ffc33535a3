//! Reading a snapshot's file, every byte of which may be wrong.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::error::Result;
use crate::kvm::image::MemoryImage;
use crate::kvm::image::pages::{Layout, Pages};
use crate::limits::PAGE_BYTES;
use crate::snapshot::file::format::{Header, Index, no_snapshot};
use crate::snapshot::file::write::failure;

/// How the pages of a file are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// The checksum of every page is compared, which reads them all.
    pub verify: bool,
    /// The pages are read into memory; else the file is mapped, and has to stay as it is.
    pub copy: bool,
}

/// A file whose header and index are sound. Its pages were not looked at.
#[derive(Debug)]
pub(crate) struct Opened {
    file: File,
    header: Header,
    index: Index,
    /// The state, which is yet to be decoded.
    pub state: Vec<u8>,
}

impl Opened {
    /// # Errors
    /// `Snapshot`.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |call| move |error| failure(path, call, &error);
        let mut options = OpenOptions::new();
        // The path of a pipe or a device is an error, and no wait for its other end.
        options.read(true).custom_flags(libc::O_NONBLOCK);
        let file = options.open(path).map_err(failed("open"))?;
        let about = file.metadata().map_err(failed("fstat"))?;
        if !about.is_file() {
            return Err(no_snapshot("it is not an ordinary file"));
        }
        let read = |at, bytes: usize| {
            let mut buffer = vec![0; bytes];
            let read = file.read_exact_at(&mut buffer, at);
            read.map(|()| buffer).map_err(failed("pread"))
        };
        if about.len() < PAGE_BYTES {
            return Err(no_snapshot("it is too short"));
        }
        let header = Header::parse(&read(0, Header::BYTES)?, about.len())?;
        // At most as many as the file has.
        let mut state = read(
            PAGE_BYTES,
            (header.state_bytes + header.index_bytes) as usize,
        )?;
        if !header.matches(&state) {
            return Err(no_snapshot("its state is damaged"));
        }
        let index = state.split_off(header.state_bytes as usize);
        let pages = (header.file_bytes - header.pages_at) / PAGE_BYTES;
        Ok(Self {
            index: Index::parse(&index, pages)?,
            file,
            header,
            state,
        })
    }

    /// The memory of the slots that the state has.
    ///
    /// # Errors
    /// `Snapshot`, `KvmIoctl`.
    pub fn into_image(self, layout: Layout, options: LoadOptions) -> Result<MemoryImage> {
        let Header {
            pages_at,
            file_bytes,
            ..
        } = self.header;
        if (file_bytes - pages_at) / PAGE_BYTES != layout.end() as u64 {
            return Err(no_snapshot("its pages are those of other memory"));
        }
        let mut used = Pages::none(&layout);
        for (page, _) in self.index.pages() {
            if layout.gpa(page as usize).is_none() {
                return Err(no_snapshot("its index has a page outside memory"));
            }
            used.insert(page as usize);
        }
        if options.verify {
            self.verify(&used, layout.end())?;
        }
        if options.copy {
            MemoryImage::copied(layout, used, &self.file, pages_at)
        } else {
            MemoryImage::mapped(layout, used, self.file, pages_at)
        }
    }

    /// Compares every page with its checksum, and those without one with nothing.
    fn verify(&self, used: &Pages, pages: usize) -> Result<()> {
        let mut sums = self.index.checksums.iter();
        let mut bytes = [0; PAGE_BYTES as usize];
        for page in 0..pages {
            let at = self.header.pages_at + page as u64 * PAGE_BYTES;
            let read = self.file.read_exact_at(&mut bytes, at);
            read.map_err(|error| no_snapshot(format!("page {page} cannot be read: {error}")))?;
            let is_sound = if used.contains(page) {
                sums.next() == Some(&crc32fast::hash(&bytes))
            } else {
                bytes.iter().all(|byte| *byte == 0)
            };
            if !is_sound {
                return Err(no_snapshot(format!("page {page} of its memory is damaged")));
            }
        }
        Ok(())
    }
}
