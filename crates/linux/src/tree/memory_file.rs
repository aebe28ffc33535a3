//! A file without a name, which lies in memory, with holes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::errno::Errno;
use crate::limits::{FILE_BYTES, PAGE};

#[expect(clippy::cast_possible_truncation, reason = "a page's size fits")]
const PAGE_BYTES: usize = PAGE as usize;

/// The contents of a page. A copy of the whole state shares it until one of them writes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
struct Page(Arc<[u8; PAGE_BYTES]>);

impl TryFrom<Vec<u8>> for Page {
    type Error = &'static str;

    fn try_from(bytes: Vec<u8>) -> Result<Self, Self::Error> {
        let page = bytes.try_into().map_err(|_| "no page of a file")?;
        Ok(Self(Arc::new(page)))
    }
}

impl From<Page> for Vec<u8> {
    fn from(page: Page) -> Self {
        page.0.to_vec()
    }
}

/// A file's contents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct MemoryFile {
    size: u64,
    /// By number; a page that is missing reads as zeros. What is beyond the size is zeros.
    pages: BTreeMap<u64, Page>,
}

/// A piece that lies within one page: the page's number, and where in it.
fn piece(offset: u64, bytes: usize) -> (u64, std::ops::Range<usize>) {
    let start = usize::try_from(offset % PAGE).unwrap_or(0);
    (
        offset / PAGE,
        start..PAGE_BYTES.min(start.saturating_add(bytes)),
    )
}

impl MemoryFile {
    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many pages it has taken.
    pub fn pages(&self) -> usize {
        self.pages.len()
    }

    /// Where the pages start that are there, of so many bytes from the page at `offset` on.
    pub fn present(&self, offset: u64, bytes: u64) -> impl Iterator<Item = u64> {
        let first = offset / PAGE;
        let end = first.saturating_add(bytes.div_ceil(PAGE));
        self.pages
            .range(first..end)
            .map(|(number, _)| number * PAGE)
    }

    /// Copies from `offset` on; returns how many bytes there were.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> usize {
        let left = self.size.saturating_sub(offset).min(bytes.len() as u64);
        let count = usize::try_from(left).unwrap_or(0);
        let mut done = 0;
        while done < count {
            let (number, range) = piece(offset + done as u64, count - done);
            let part = &mut bytes[done..done + range.len()];
            done += range.len();
            match self.pages.get(&number) {
                Some(page) => part.copy_from_slice(&page.0[range]),
                None => part.fill(0),
            }
        }
        count
    }

    /// Copies to `offset` and on, and grows. Pages come out of `left`.
    ///
    /// # Errors
    /// `EFBIG` or `ENOSPC` if nothing could be written; a part may have been.
    pub fn write(&mut self, offset: u64, bytes: &[u8], left: &mut usize) -> Result<usize, Errno> {
        let room = FILE_BYTES.saturating_sub(offset).min(bytes.len() as u64);
        let count = usize::try_from(room).unwrap_or(0);
        if count == 0 && !bytes.is_empty() {
            return Err(Errno::EFBIG);
        }
        let mut done = 0;
        while done < count {
            let (number, range) = piece(offset + done as u64, count - done);
            if !self.pages.contains_key(&number) {
                if *left == 0 {
                    break;
                }
                *left -= 1;
            }
            let page = self
                .pages
                .entry(number)
                .or_insert_with(|| Page(Arc::new([0; PAGE_BYTES])));
            let part = &bytes[done..done + range.len()];
            done += range.len();
            Arc::make_mut(&mut page.0)[range].copy_from_slice(part);
        }
        if done > 0 {
            self.size = self.size.max(offset + done as u64);
        } else if count > 0 {
            return Err(Errno::ENOSPC);
        }
        Ok(done)
    }

    /// Makes it so large; pages that are cut off go back to `left`.
    ///
    /// # Errors
    /// `EFBIG`.
    pub fn resize(&mut self, size: u64, left: &mut usize) -> Result<(), Errno> {
        if size > FILE_BYTES {
            return Err(Errno::EFBIG);
        }
        if size < self.size {
            let cut = self.pages.split_off(&size.div_ceil(PAGE));
            *left = left.saturating_add(cut.len());
            let (number, range) = piece(size, PAGE_BYTES);
            if let Some(page) = self.pages.get_mut(&number) {
                Arc::make_mut(&mut page.0)[range].fill(0);
            }
        }
        self.size = size;
        Ok(())
    }
}
