//! What a driver finds in a disk's configuration space, and the features that a disk has (virtio
//! 1.2, §5.2.3 and §5.2.4).

/// Requests of one disk at a time, and descriptors of each.
pub const QUEUE_SIZE: u16 = 256;

/// Segments of data that one request may have, beside header and status.
const MAX_SEGMENTS: u32 = QUEUE_SIZE as u32 - 2;
/// The longest segment of a disk whose requests are copied, so that no request is longer than all
/// of these together.
const COPIED_SEGMENT_BYTES: u32 = 4096;
/// The longest segment of a native disk: a page less than 1 GiB, since SeaBIOS 1.16 keeps only 16
/// bits of how many sectors all segments together have, and would read none.
const NATIVE_SEGMENT_BYTES: u32 = (1 << 30) - 4096;
/// The most bytes of a request that is copied. It may come of a driver that has begun with a native
/// disk.
pub const MAX_COPIED_BYTES: usize = 16 << 20;

/// The most bytes of all requests of such a disk that are open at a time.
pub const MAX_OPEN_BYTES: usize = 16 << 20;

pub const MAX_DISCARD_SEGMENTS: usize = 16;
/// 2 GiB.
pub const MAX_DISCARD_SECTORS: u32 = (1 << 22) - 1;
pub const MAX_ZEROES_SEGMENTS: usize = 1;
/// 16 MiB: where the host has no faster way, zeros are written.
pub const MAX_ZEROES_SECTORS: u32 = (MAX_COPIED_BYTES / 512) as u32;

const FEATURE_SIZE_MAX: u64 = 1 << 1;
const FEATURE_SEG_MAX: u64 = 1 << 2;
const FEATURE_READ_ONLY: u64 = 1 << 5;
const FEATURE_BLOCK_SIZE: u64 = 1 << 6;
/// The driver flushes; else each write lasts when it is answered.
pub const FEATURE_FLUSH: u64 = 1 << 9;
const FEATURE_DISCARD: u64 = 1 << 13;
const FEATURE_WRITE_ZEROES: u64 = 1 << 14;

/// Bytes of the configuration space.
pub const CONFIG_BYTES: usize = 60;

/// What a disk is to its driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Of 512 bytes each.
    pub sectors: u64,
    /// Writes are errors.
    pub read_only: bool,
    /// What `GetId` returns, up to 20 bytes.
    pub id: String,
}

impl Geometry {
    /// What a disk offers: the same of each kind, so that one can go on in the place of another.
    pub const fn features(&self) -> u64 {
        let more = if self.read_only {
            FEATURE_READ_ONLY
        } else {
            FEATURE_FLUSH | FEATURE_DISCARD | FEATURE_WRITE_ZEROES
        };
        FEATURE_SIZE_MAX | FEATURE_SEG_MAX | FEATURE_BLOCK_SIZE | more
    }

    /// The configuration space of a native disk.
    pub fn native_config(&self) -> [u8; CONFIG_BYTES] {
        self.config(NATIVE_SEGMENT_BYTES)
    }

    /// The configuration space of a disk whose requests are copied.
    pub fn copied_config(&self) -> [u8; CONFIG_BYTES] {
        self.config(COPIED_SEGMENT_BYTES)
    }

    fn config(&self, segment_bytes: u32) -> [u8; CONFIG_BYTES] {
        let mut config = [0; CONFIG_BYTES];
        let mut put = |at: usize, bytes: &[u8]| {
            for (to, from) in config.iter_mut().skip(at).zip(bytes) {
                *to = *from;
            }
        };
        put(0, &self.sectors.to_le_bytes());
        put(8, &segment_bytes.to_le_bytes());
        put(12, &MAX_SEGMENTS.to_le_bytes());
        put(20, &512_u32.to_le_bytes());
        put(34, &1_u16.to_le_bytes());
        put(36, &MAX_DISCARD_SECTORS.to_le_bytes());
        put(40, &(MAX_DISCARD_SEGMENTS as u32).to_le_bytes());
        put(44, &8_u32.to_le_bytes());
        put(48, &MAX_ZEROES_SECTORS.to_le_bytes());
        put(52, &(MAX_ZEROES_SEGMENTS as u32).to_le_bytes());
        put(56, &[1]);
        config
    }
}

/// Sectors that SeaBIOS 1.16 asks for at once (its `src/hw/virtio-blk.c`).
const fn seabios_sectors(segment_bytes: u32) -> u16 {
    (segment_bytes.wrapping_mul(MAX_SEGMENTS) / 512) as u16
}

const _: () = assert!(seabios_sectors(NATIVE_SEGMENT_BYTES) >= 128);
const _: () = assert!(seabios_sectors(COPIED_SEGMENT_BYTES) >= 128);
