//! What a driver asks of a disk, taken out of the memory of one descriptor chain. All of it may be
//! hostile, and may change while it is looked at: what counts is what was copied.

use vm_memory::VolatileSlice;
use vm_memory::bitmap::{BS, BitmapSlice};

use crate::virtio::{Buffers, Chain};
use crate::written::{DmaMemory, Written};

/// The unit of all positions and lengths.
pub const SECTOR_BYTES: u64 = 512;

/// Type, a reserved word and the first sector (virtio 1.2, §5.2.6).
const HEADER_BYTES: usize = 16;
/// A segment of discard and write-zeroes: first sector, sectors, flags.
pub const SEGMENT_BYTES: usize = 16;
/// What `GetId` returns.
pub const ID_BYTES: usize = 20;

/// What is asked (virtio 1.2, §5.2.6, `VIRTIO_BLK_T_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Read,
    Write,
    Flush,
    GetId,
    Discard,
    WriteZeroes,
    Unknown,
}

impl Kind {
    const fn of(word: u32) -> Self {
        match word {
            0 => Self::Read,
            1 => Self::Write,
            4 => Self::Flush,
            8 => Self::GetId,
            11 => Self::Discard,
            13 => Self::WriteZeroes,
            _ => Self::Unknown,
        }
    }
}

/// How a request ended, as the driver reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ok = 0,
    IoError = 1,
    Unsupported = 2,
}

/// A request, and where in the guest's memory its data is.
#[derive(Debug)]
pub struct Request<'m, B> {
    /// What is asked.
    pub kind: Kind,
    /// As the driver has it: not checked.
    pub sector: u64,
    /// Behind the header.
    pub readable: Vec<VolatileSlice<'m, B>>,
    /// Before the status.
    pub writable: Vec<VolatileSlice<'m, B>>,
    status: VolatileSlice<'m, B>,
}

impl<'m> Request<'m, BS<'m, Written>> {
    /// Of a chain.
    pub fn of(chain: &Chain, memory: &'m DmaMemory) -> Option<Self> {
        let slices = |buffers: &Buffers| buffers.slices(memory, 0, buffers.bytes()).collect();
        Self::parse(slices(&chain.readable), slices(&chain.writable))
    }
}

impl<'m, B: BitmapSlice> Request<'m, B> {
    /// Of the parts of a chain that the device reads and writes; `None` if these have no place for
    /// a header or a status, and nobody could be told.
    pub fn parse(
        readable: Vec<VolatileSlice<'m, B>>,
        mut writable: Vec<VolatileSlice<'m, B>>,
    ) -> Option<Self> {
        let last = length(&writable).checked_sub(1)?;
        let status = cut(&writable, last, 1).pop()?;
        writable = cut(&writable, 0, last);
        let mut header = [0; HEADER_BYTES];
        if copy_out(&readable, &mut header) < HEADER_BYTES {
            return None;
        }
        let (kind, rest) = header.split_first_chunk()?;
        let (_reserved, sector) = rest.split_first_chunk::<4>()?;
        let rest = length(&readable) - HEADER_BYTES;
        Some(Self {
            kind: Kind::of(u32::from_le_bytes(*kind)),
            sector: u64::from_le_bytes(*sector.first_chunk()?),
            readable: cut(&readable, HEADER_BYTES, rest),
            writable,
            status,
        })
    }

    /// Where it begins on a disk of so many sectors, in bytes; `None` unless all `bytes` are whole
    /// sectors of it.
    pub fn place(&self, sectors: u64, bytes: usize) -> Option<u64> {
        let bytes = bytes as u64;
        let is_whole = bytes > 0 && bytes.is_multiple_of(SECTOR_BYTES);
        let end = self.sector.checked_add(bytes / SECTOR_BYTES)?;
        (is_whole && end <= sectors).then(|| self.sector * SECTOR_BYTES)
    }

    /// Tells the driver, and returns the number of bytes that it finds written.
    pub fn finish(self, status: Status) -> u32 {
        self.status.copy_from(&[status as u8]);
        let is_filled = status == Status::Ok;
        let data = if is_filled { length(&self.writable) } else { 0 };
        u32::try_from(data).map_or(u32::MAX, |data| data.saturating_add(1))
    }
}

/// A range of a discard or write-zeroes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// In bytes.
    pub offset: u64,
    pub length: u64,
    /// Space may be given back.
    pub unmap: bool,
}

/// The segments of a discard or write-zeroes, each of at most `most_sectors`, within a disk of so
/// many sectors.
///
/// # Errors
/// What the driver is told when any of them is wrong, and none is then to be done.
pub fn segments<B: BitmapSlice>(
    request: &Request<'_, B>,
    most: usize,
    most_sectors: u32,
    sectors: u64,
) -> Result<Vec<Segment>, Status> {
    let bytes = length(&request.readable);
    if bytes == 0 || !bytes.is_multiple_of(SEGMENT_BYTES) || bytes / SEGMENT_BYTES > most {
        return Err(Status::IoError);
    }
    let mut copied = vec![0; bytes];
    copy_out(&request.readable, &mut copied);
    let (words, _) = copied.as_chunks::<SEGMENT_BYTES>();
    let may_unmap = request.kind == Kind::WriteZeroes;
    let segment = |words: &[u8; SEGMENT_BYTES]| {
        let word = u128::from_le_bytes(*words);
        let (first, count, flags) = (word as u64, (word >> 64) as u32, (word >> 96) as u32);
        if flags & !u32::from(may_unmap) != 0 {
            return Err(Status::Unsupported);
        }
        let end = first.checked_add(u64::from(count));
        if count > most_sectors || end.is_none_or(|end| end > sectors) {
            return Err(Status::IoError);
        }
        Ok(Segment {
            offset: first * SECTOR_BYTES,
            length: u64::from(count) * SECTOR_BYTES,
            unmap: flags != 0,
        })
    };
    words.iter().map(segment).collect()
}

/// The bytes in all parts.
pub fn length<B: BitmapSlice>(slices: &[VolatileSlice<'_, B>]) -> usize {
    let lengths = slices.iter().map(VolatileSlice::len);
    lengths.fold(0, usize::saturating_add)
}

/// `count` bytes from `start` on, as far as there are any.
pub fn cut<'m, B: BitmapSlice>(
    slices: &[VolatileSlice<'m, B>],
    mut start: usize,
    mut count: usize,
) -> Vec<VolatileSlice<'m, B>> {
    let mut parts = Vec::with_capacity(slices.len());
    for slice in slices {
        let skipped = start.min(slice.len());
        start -= skipped;
        let taken = count.min(slice.len() - skipped);
        if taken == 0 {
            continue;
        }
        count -= taken;
        parts.extend(slice.subslice(skipped, taken));
    }
    parts
}

/// Copies from the parts until `bytes` is full, and returns how many there were.
pub fn copy_out<B: BitmapSlice>(slices: &[VolatileSlice<'_, B>], bytes: &mut [u8]) -> usize {
    let mut copied = 0;
    for slice in slices {
        let Some(rest) = bytes.get_mut(copied..).filter(|rest| !rest.is_empty()) else {
            break;
        };
        copied += slice.copy_to(rest);
    }
    copied
}

/// Copies `bytes` into the parts, as far as there is room.
pub fn copy_in<B: BitmapSlice>(slices: &[VolatileSlice<'_, B>], mut bytes: &[u8]) {
    for slice in slices {
        let (now, later) = bytes.split_at(bytes.len().min(slice.len()));
        slice.copy_from(now);
        bytes = later;
    }
}
