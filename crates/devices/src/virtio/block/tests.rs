use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use vm_memory::bitmap::BitmapSlice;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, VolatileSlice};

use super::layout::{FEATURE_FLUSH, Geometry};
use super::overlay::{CLUSTER_BYTES, Clusters, Layer, Overlay, are_clusters_of};
use super::request::{Request, copy_in, copy_out, length};
use super::serve::Native;
use super::storage::Storage;
use crate::noise::Noise;

const SECTOR: usize = 512;
const HEADER: u64 = 0x1000;
const DATA: u64 = 0x2000;
const STATUS: u64 = 0x8_0000;

/// A disk of zeros in memory, and what was called.
#[derive(Debug, Default)]
struct Array {
    bytes: Vec<u8>,
    flushes: usize,
    fails: bool,
}

impl Array {
    fn of(length: usize) -> Self {
        let bytes = (0..length).map(|at| (at / SECTOR) as u8 ^ 0x55);
        Self {
            bytes: bytes.collect(),
            ..Self::default()
        }
    }

    fn range(&mut self, offset: u64, length: usize) -> io::Result<&mut [u8]> {
        if self.fails {
            return Err(io::ErrorKind::Other.into());
        }
        let start = offset as usize;
        let range = self.bytes.get_mut(start..start + length);
        range.ok_or(io::ErrorKind::UnexpectedEof.into())
    }
}

impl Storage for Array {
    fn read<B: BitmapSlice>(
        &mut self,
        offset: u64,
        into: &[VolatileSlice<'_, B>],
    ) -> io::Result<()> {
        copy_in(into, self.range(offset, length(into))?);
        Ok(())
    }

    fn read_bytes(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        into.copy_from_slice(self.range(offset, into.len())?);
        Ok(())
    }

    fn write<B: BitmapSlice>(
        &mut self,
        offset: u64,
        from: &[VolatileSlice<'_, B>],
    ) -> io::Result<()> {
        copy_out(from, self.range(offset, length(from))?);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flushes += 1;
        self.range(0, 0).map(|_| ())
    }

    fn discard(&mut self, offset: u64, length: u64) -> io::Result<()> {
        self.write_zeroes(offset, length, true)
    }

    fn write_zeroes(&mut self, offset: u64, length: u64, _unmap: bool) -> io::Result<()> {
        self.range(offset, length as usize)?.fill(0);
        Ok(())
    }
}

struct Bench<S> {
    memory: GuestMemoryMmap,
    disk: Native<S>,
    features: u64,
}

impl<S: Storage> Bench<S> {
    fn new(storage: S, sectors: u64) -> Self {
        Self {
            memory: GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 1 << 20)]).unwrap(),
            disk: Native {
                storage,
                geometry: Geometry {
                    sectors,
                    read_only: false,
                    id: "a disk whose name is too long".into(),
                },
                generation: Arc::default(),
            },
            features: FEATURE_FLUSH,
        }
    }

    /// Status and the length that was reported.
    fn ask(&mut self, kind: u32, sector: u64, readable: &[usize], writable: &[usize]) -> (u8, u32) {
        let mut header = [0; 16];
        header[..4].copy_from_slice(&kind.to_le_bytes());
        header[8..].copy_from_slice(&sector.to_le_bytes());
        self.memory
            .write_slice(&header, GuestAddress(HEADER))
            .unwrap();
        self.memory
            .write_slice(&[0xee], GuestAddress(STATUS))
            .unwrap();
        let slices = |lengths: &[usize]| {
            let mut at = DATA;
            let slice = |length: &usize| {
                let slice = self.memory.get_slice(GuestAddress(at), *length).unwrap();
                at += *length as u64;
                slice
            };
            lengths.iter().map(slice).collect::<Vec<_>>()
        };
        // The header in two pieces, as a driver may have it.
        let piece = |at| self.memory.get_slice(GuestAddress(at), 8).unwrap();
        let mut read = vec![piece(HEADER), piece(HEADER + 8)];
        read.extend(slices(readable));
        let mut write = slices(writable);
        write.push(self.memory.get_slice(GuestAddress(STATUS), 1).unwrap());
        let request = Request::parse(read, write).unwrap();
        let told = self.disk.serve(request, self.features);
        (self.memory.read_obj(GuestAddress(STATUS)).unwrap(), told)
    }

    fn data(&self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.memory
            .read_slice(&mut bytes, GuestAddress(DATA))
            .unwrap();
        bytes
    }

    fn put(&self, bytes: &[u8]) {
        self.memory.write_slice(bytes, GuestAddress(DATA)).unwrap();
    }

    fn changes(&self) -> u64 {
        self.disk.generation.load(Ordering::SeqCst)
    }
}

fn bench() -> Bench<Array> {
    Bench::new(Array::of(64 * SECTOR), 64)
}

#[test]
fn sectors_are_read_and_written_in_whatever_pieces_memory_has() {
    let mut bench = bench();
    assert_eq!(bench.ask(0, 3, &[], &[100, 412, 512]), (0, 1025));
    let data = bench.data(1024);
    assert!(data[..512].iter().all(|byte| *byte == 3 ^ 0x55));
    assert!(data[512..].iter().all(|byte| *byte == 4 ^ 0x55));
    bench.put(&[9; 1024]);
    assert_eq!(bench.changes(), 0);
    assert_eq!(bench.ask(1, 62, &[1, 1023], &[]), (0, 1));
    assert_eq!(bench.changes(), 1);
    assert!(
        bench.disk.storage.bytes[62 * SECTOR..]
            .iter()
            .all(|byte| *byte == 9)
    );
    assert_eq!(bench.disk.storage.flushes, 0);
    assert_eq!(bench.ask(4, 0, &[], &[]), (0, 1));
    assert_eq!(bench.disk.storage.flushes, 1);
}

#[test]
fn what_is_not_whole_sectors_of_the_disk_is_an_error_and_changes_nothing() {
    let mut bench = bench();
    let wrong = [
        (63, 1024),
        (64, 512),
        (u64::MAX, 512),
        (u64::MAX / 512 + 1, 512),
        (0, 0),
        (0, 511),
        (0, 513),
        (0, 65 * 512),
    ];
    for (sector, bytes) in wrong {
        assert_eq!(
            bench.ask(0, sector, &[], &[bytes]),
            (1, 1),
            "{sector} {bytes}"
        );
        assert_eq!(
            bench.ask(1, sector, &[bytes], &[]),
            (1, 1),
            "{sector} {bytes}"
        );
    }
    assert_eq!(bench.changes(), 0);
    assert_eq!(bench.disk.storage.bytes, Array::of(64 * SECTOR).bytes);
    for kind in [2, 3, 5, 9, 10, 12, u32::MAX] {
        assert_eq!(bench.ask(kind, 0, &[512], &[512]).0, 2, "{kind}");
    }
}

#[test]
fn a_read_only_disk_is_read_only() {
    let mut bench = bench();
    bench.disk.geometry.read_only = true;
    for kind in [1, 11, 13] {
        assert_eq!(bench.ask(kind, 0, &[512], &[]).0, 1, "{kind}");
    }
    assert_eq!(bench.ask(4, 0, &[], &[]).0, 0);
    assert_eq!(bench.ask(0, 0, &[], &[512]).0, 0);
    assert_eq!((bench.disk.storage.flushes, bench.changes()), (0, 0));
}

#[test]
fn without_a_flush_each_write_lasts_when_it_is_answered() {
    let mut bench = bench();
    bench.features = 0;
    bench.ask(1, 0, &[512], &[]);
    assert_eq!(bench.disk.storage.flushes, 1);
    bench.ask(0, 0, &[], &[512]);
    assert_eq!(bench.disk.storage.flushes, 1);
}

#[test]
fn a_failing_host_is_an_io_error() {
    let mut bench = bench();
    bench.disk.storage.fails = true;
    assert_eq!(bench.ask(0, 0, &[], &[512]), (1, 1));
    assert_eq!(bench.ask(1, 0, &[512], &[]), (1, 1));
    assert_eq!(bench.ask(4, 0, &[], &[]), (1, 1));
}

#[test]
fn the_name_fits_into_what_there_is_for_it() {
    let mut bench = bench();
    assert_eq!(bench.ask(8, 0, &[], &[20]).0, 0);
    assert_eq!(bench.data(20), b"a disk whose name is");
    bench.put(&[7; 20]);
    assert_eq!(bench.ask(8, 0, &[], &[5]).0, 0);
    assert_eq!(bench.data(7), b"a dis\x07\x07");
    assert_eq!(bench.ask(8, 0, &[], &[]).0, 0);
}

fn segment(sector: u64, sectors: u32, flags: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&sector.to_le_bytes());
    bytes[8..12].copy_from_slice(&sectors.to_le_bytes());
    bytes[12..].copy_from_slice(&flags.to_le_bytes());
    bytes
}

#[test]
fn ranges_are_discarded_and_zeroed_all_or_none() {
    let mut bench = bench();
    let two = [segment(1, 2, 0), segment(60, 4, 0)].concat();
    bench.put(&two);
    assert_eq!(bench.ask(11, 0, &[32], &[]), (0, 1));
    assert!(
        bench.disk.storage.bytes[60 * SECTOR..]
            .iter()
            .all(|byte| *byte == 0)
    );
    bench.put(&segment(5, 1, 1));
    assert_eq!(bench.ask(13, 0, &[16], &[]).0, 0);
    assert_eq!(bench.disk.storage.bytes[5 * SECTOR], 0);
    let before = bench.disk.storage.bytes.clone();
    let wrong = [
        (11, [segment(8, 1, 0), segment(63, 2, 0)].concat(), 1),
        (11, segment(8, 1, 1).to_vec(), 2),
        (13, segment(8, 1, 2).to_vec(), 2),
        (13, segment(u64::MAX, 1, 0).to_vec(), 1),
        (13, segment(0, u32::MAX, 0).to_vec(), 1),
        (13, [segment(8, 1, 0), segment(9, 1, 0)].concat(), 1),
        (11, vec![0; 15], 1),
        (11, Vec::new(), 1),
        (11, segment(8, 1, 0).repeat(17), 1),
    ];
    for (kind, bytes, status) in wrong {
        bench.put(&bytes);
        assert_eq!(
            bench.ask(kind, 0, &[bytes.len()], &[]).0,
            status,
            "{bytes:?}"
        );
    }
    assert_eq!(bench.disk.storage.bytes, before);
}

#[test]
fn a_chain_without_a_header_or_a_status_is_none() {
    let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), 0x1000)]).unwrap();
    let slice = |length| vec![memory.get_slice(GuestAddress(0), length).unwrap()];
    assert!(Request::parse(slice(15), slice(1)).is_none());
    assert!(Request::parse(slice(16), Vec::new()).is_none());
    assert!(Request::parse(Vec::new(), slice(1)).is_none());
    assert!(Request::parse(slice(16), slice(0)).is_none());
    assert!(Request::parse(slice(16), slice(1)).is_some());
}

#[test]
fn an_overlay_is_the_disk_that_was_written() {
    let sectors = 3 * CLUSTER_BYTES / SECTOR + 5;
    let length = sectors * SECTOR;
    let overlay = Overlay::new(Array::of(length), length as u64, Layer::default());
    let (mut model, mut bench) = (Array::of(length).bytes, Bench::new(overlay, sectors as u64));
    let mut noise = Noise::new(15);
    for round in 0..400 {
        let first = noise.below(sectors);
        let count = 1 + noise.below((sectors - first).min(160));
        let (start, bytes) = (first * SECTOR, count * SECTOR);
        if noise.below(2) == 0 {
            let data: Vec<u8> = (0..bytes).map(|at| (at ^ round) as u8).collect();
            bench.put(&data);
            assert_eq!(bench.ask(1, first as u64, &[bytes], &[]).0, 0);
            model[start..start + bytes].copy_from_slice(&data);
        } else {
            assert_eq!(bench.ask(0, first as u64, &[], &[100, bytes - 100]).0, 0);
            assert_eq!(bench.data(bytes), model[start..start + bytes], "{round}");
        }
    }
    let mut whole = vec![0; length];
    bench.disk.storage.read_bytes(0, &mut whole).unwrap();
    assert_eq!(whole, model);
}

#[test]
fn a_copy_of_an_overlay_shares_its_clusters_until_one_of_them_writes() {
    let length = 2 * CLUSTER_BYTES;
    let layer = Layer::default();
    let overlay = Overlay::new(Array::of(length), length as u64, layer.clone());
    let mut bench = Bench::new(overlay, (length / SECTOR) as u64);
    bench.put(&[1; SECTOR]);
    bench.ask(1, 0, &[SECTOR], &[]);
    let saved = layer.clusters();
    bench.put(&[2; SECTOR]);
    bench.ask(1, 0, &[SECTOR], &[]);
    assert_eq!(saved[&0][0], 1);
    assert!(are_clusters_of(&saved, length as u64));
    layer.set_clusters(saved);
    bench.ask(0, 0, &[], &[SECTOR]);
    assert_eq!(bench.data(1), [1]);
    let outside = Clusters::new([(2, vec![0; CLUSTER_BYTES].into())].into());
    assert!(!are_clusters_of(&outside, length as u64));
}
