//! The parts of a snapshot's file, and where they are:
//!
//! | at | what |
//! | --- | --- |
//! | 0 | the header, one page |
//! | 4,096 | the state, then the index of pages |
//! | a multiple of 4,096 | the pages in use, each where it is in memory; holes between them |
//!
//! Numbers are little-endian. The pages lie so that a file can be mapped as it is.

use std::fmt::Display;

use crate::error::{Error, ErrorCode, Result};
use crate::limits::PAGE_BYTES;

/// How a file begins.
const MAGIC: [u8; 16] = *b"vmexit snapshot\0";

/// Changes with every change of what is in a file.
pub(crate) const VERSION: u32 = 3;

/// The most that state and index may take: the text of 16 MiB, devices of the caller's, and what
/// was written to volatile disks.
pub(crate) const MOST_BYTES: u64 = 1 << 30;

/// The first page of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Bytes of the state, which follows the header.
    pub state_bytes: u64,
    /// Bytes of the index, which follows the state.
    pub index_bytes: u64,
    /// Where the pages begin.
    pub pages_at: u64,
    /// Bytes of the whole file.
    pub file_bytes: u64,
    /// Of state and index.
    pub checksum: u32,
}

impl Header {
    /// Of a file with these parts.
    pub fn new(state: &[u8], index: &[u8], image_bytes: u64) -> Self {
        let (state_bytes, index_bytes) = (state.len() as u64, index.len() as u64);
        let pages_at = (PAGE_BYTES + state_bytes + index_bytes).next_multiple_of(PAGE_BYTES);
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(state);
        checksum.update(index);
        Self {
            state_bytes,
            index_bytes,
            pages_at,
            file_bytes: pages_at + image_bytes,
            checksum: checksum.finalize(),
        }
    }

    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        for number in [
            self.state_bytes,
            self.index_bytes,
            self.pages_at,
            self.file_bytes,
        ] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.checksum.to_le_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// Bytes of [`to_bytes`](Self::to_bytes).
    pub const BYTES: usize = MAGIC.len() + 4 + 4 * 8 + 4 + 4;

    /// # Errors
    /// `Snapshot` for what is no header, of another version, or contradicts the file's size.
    pub fn parse(bytes: &[u8], file_bytes: u64) -> Result<Self> {
        let mut rest = bytes;
        if take(&mut rest) != Some(MAGIC) {
            return Err(no_snapshot("it does not begin as one"));
        }
        match take_u32(&mut rest) {
            Some(VERSION) => {}
            version => {
                return Err(no_snapshot(format!(
                    "its version is {}, and this vmexit reads {VERSION}; save it again",
                    version.unwrap_or_default()
                )));
            }
        }
        let header =
            Self::take_rest(&mut rest).ok_or_else(|| no_snapshot("its header ends early"))?;
        let covered = bytes.len() - rest.len();
        let sum = take_u32(&mut rest);
        if sum != bytes.get(..covered).map(crc32fast::hash) {
            return Err(no_snapshot("its header is damaged"));
        }
        if header.file_bytes != file_bytes {
            return Err(no_snapshot(format!(
                "it has {file_bytes} bytes where its header says {}",
                header.file_bytes
            )));
        }
        let parts = [header.state_bytes, header.index_bytes];
        let before = parts
            .iter()
            .try_fold(PAGE_BYTES, |sum, part| sum.checked_add(*part));
        let is_sound = before.is_some_and(|before| before <= header.pages_at)
            && header.pages_at <= file_bytes
            && header.pages_at <= MOST_BYTES
            && header.pages_at.is_multiple_of(PAGE_BYTES)
            && (file_bytes - header.pages_at).is_multiple_of(PAGE_BYTES);
        if !is_sound {
            return Err(no_snapshot("its parts do not fit into it"));
        }
        Ok(header)
    }

    fn take_rest(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            state_bytes: take_u64(from)?,
            index_bytes: take_u64(from)?,
            pages_at: take_u64(from)?,
            file_bytes: take_u64(from)?,
            checksum: take_u32(from)?,
        })
    }

    /// Whether the parts are as they were written.
    pub fn matches(&self, parts: &[u8]) -> bool {
        crc32fast::hash(parts) == self.checksum
    }
}

/// Pages in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub first: u64,
    pub count: u64,
}

/// Which pages a file has, and the checksum of each, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    pub extents: Vec<Extent>,
    pub checksums: Vec<u32>,
}

impl Index {
    /// Adds a page after those that are there.
    pub fn push(&mut self, page: u64, checksum: u32) {
        match self.extents.last_mut() {
            Some(last) if last.first + last.count == page => last.count += 1,
            _ => self.extents.push(Extent {
                first: page,
                count: 1,
            }),
        }
        self.checksums.push(checksum);
    }

    /// The pages with their checksums.
    pub fn pages(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        let all = self.extents.iter();
        let pages = all.flat_map(|extent| extent.first..extent.first + extent.count);
        pages.zip(self.checksums.iter().copied())
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = (self.extents.len() as u64).to_le_bytes().to_vec();
        for extent in &self.extents {
            bytes.extend(extent.first.to_le_bytes());
            bytes.extend(extent.count.to_le_bytes());
        }
        bytes.extend(self.checksums.iter().flat_map(|sum| sum.to_le_bytes()));
        bytes
    }

    /// # Errors
    /// `Snapshot` for what is no index of so many pages.
    pub fn parse(mut bytes: &[u8], pages: u64) -> Result<Self> {
        let parsed = Self::take(&mut bytes, pages).filter(|_| bytes.is_empty());
        parsed.ok_or_else(|| no_snapshot("its index of pages is none"))
    }

    fn take(from: &mut &[u8], pages: u64) -> Option<Self> {
        let count = take_u64(from)?;
        let (mut extents, mut next, mut total) = (Vec::new(), 0, 0);
        for _ in 0..count {
            let extent = Extent {
                first: take_u64(from)?,
                count: take_u64(from)?,
            };
            let end = extent.first.checked_add(extent.count)?;
            if extent.first < next || extent.count == 0 || end > pages {
                return None;
            }
            next = end;
            total += extent.count;
            extents.push(extent);
        }
        if from.len() as u64 != total.checked_mul(4)? {
            return None;
        }
        let (sums, rest) = from.as_chunks();
        *from = rest;
        let checksums = sums.iter().map(|sum| u32::from_le_bytes(*sum)).collect();
        Some(Self { extents, checksums })
    }
}

/// Takes bytes off the front.
fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*first)
}

fn take_u32(from: &mut &[u8]) -> Option<u32> {
    take(from).map(u32::from_le_bytes)
}

fn take_u64(from: &mut &[u8]) -> Option<u64> {
    take(from).map(u64::from_le_bytes)
}

/// Why a file is no snapshot.
pub(crate) fn no_snapshot(why: impl Display) -> Error {
    Error::new(
        ErrorCode::Snapshot,
        format!("the file is no snapshot: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_what_was_written_and_nothing_else() {
        let header = Header::new(b"state", b"index", 3 * PAGE_BYTES);
        let bytes = header.to_bytes();
        assert_eq!(bytes.len(), Header::BYTES);
        assert_eq!(header.pages_at, 2 * PAGE_BYTES);
        assert_eq!(Header::parse(&bytes, 5 * PAGE_BYTES), Ok(header));
        assert!(header.matches(b"stateindex") && !header.matches(b"statfindex"));
        for size in [0, 5 * PAGE_BYTES - 1, 6 * PAGE_BYTES, u64::MAX] {
            assert!(Header::parse(&bytes, size).is_err(), "{size}");
        }
        for length in 0..bytes.len() {
            assert!(Header::parse(&bytes[..length], 5 * PAGE_BYTES).is_err());
        }
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            assert!(Header::parse(&wrong, 5 * PAGE_BYTES).is_err(), "{at}");
        }
    }

    #[test]
    fn parts_that_do_not_fit_are_refused_though_their_checksum_is_right() {
        let sound = Header::new(b"state", b"index", PAGE_BYTES);
        for (change, what) in [
            (
                Header {
                    state_bytes: u64::MAX,
                    ..sound
                },
                "state",
            ),
            (
                Header {
                    index_bytes: PAGE_BYTES,
                    ..sound
                },
                "index",
            ),
            (
                Header {
                    pages_at: sound.pages_at + 1,
                    ..sound
                },
                "alignment",
            ),
            (
                Header {
                    pages_at: 4 * PAGE_BYTES,
                    ..sound
                },
                "place",
            ),
        ] {
            let parsed = Header::parse(&change.to_bytes(), sound.file_bytes);
            assert_eq!(parsed.unwrap_err().code, ErrorCode::Snapshot, "{what}");
        }
    }

    #[test]
    fn an_index_keeps_pages_in_order_and_inside() {
        let mut index = Index::default();
        for (page, sum) in [(0, 1), (1, 2), (7, 3)] {
            index.push(page, sum);
        }
        let bytes = index.to_bytes();
        assert_eq!(Index::parse(&bytes, 8), Ok(index.clone()));
        assert_eq!(index.pages().collect::<Vec<_>>(), [(0, 1), (1, 2), (7, 3)]);
        assert!(Index::parse(&bytes, 7).is_err());
        let wrong = |extents: &[(u64, u64)], sums: usize| {
            let mut bytes = (extents.len() as u64).to_le_bytes().to_vec();
            for (first, count) in extents {
                bytes.extend(first.to_le_bytes());
                bytes.extend(count.to_le_bytes());
            }
            bytes.resize(bytes.len() + sums * 4, 0);
            Index::parse(&bytes, 8).is_err()
        };
        assert!(wrong(&[(3, 1), (2, 1)], 2) && wrong(&[(2, 2), (3, 1)], 3));
        assert!(wrong(&[(2, 0)], 0) && wrong(&[(2, 1)], 0) && wrong(&[(2, 1)], 2));
        assert!(wrong(&[(u64::MAX, 2)], 2) && wrong(&[(1, u64::MAX)], 2));
    }
}
