//! Writes that stay in memory, over a disk that is only read.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vm_memory::VolatileSlice;
use vm_memory::bitmap::BitmapSlice;

use super::request::{copy_in, copy_out, cut, length};
use super::storage::Storage;

/// The unit that is copied with the first write to it.
pub const CLUSTER_BYTES: usize = 64 << 10;

/// What was written, by the number of its cluster. A copy of it shares them, each until it is
/// written again.
pub type Clusters = Arc<BTreeMap<u64, Arc<[u8]>>>;

/// Whether these can be the clusters of a disk of so many bytes.
pub fn are_clusters_of(clusters: &Clusters, bytes: u64) -> bool {
    let mut all = clusters.iter();
    all.all(|(number, cluster)| !cluster.is_empty() && cluster.len() == size_of(*number, bytes))
}

/// The bytes of a cluster, of which the last one may have fewer; 0 behind the end.
fn size_of(number: u64, bytes: u64) -> usize {
    let start = number.saturating_mul(CLUSTER_BYTES as u64);
    let rest = bytes.saturating_sub(start);
    rest.min(CLUSTER_BYTES as u64) as usize
}

/// What was written to an overlay, for those who save it: while its machine rests.
#[derive(Clone, Debug, Default)]
pub struct Layer(Arc<Mutex<Clusters>>);

impl Layer {
    /// What was written.
    pub fn clusters(&self) -> Clusters {
        Clusters::clone(&self.lock())
    }

    /// Replaces what was written, by [clusters of the disk](are_clusters_of).
    pub fn set_clusters(&self, clusters: Clusters) {
        *self.lock() = clusters;
    }

    fn lock(&self) -> MutexGuard<'_, Clusters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A disk whose writes go to memory, at most as much as it has bytes.
#[derive(Debug)]
pub struct Overlay<S> {
    base: S,
    bytes: u64,
    layer: Layer,
}

/// A part of a range that lies in one cluster.
struct Part {
    cluster: u64,
    /// Its first byte, within the cluster and within the range.
    inside: usize,
    at: usize,
    length: usize,
}

impl<S: Storage> Overlay<S> {
    /// Over a disk of so many bytes.
    pub const fn new(base: S, bytes: u64, layer: Layer) -> Self {
        Self { base, bytes, layer }
    }

    /// Changes a part, in a cluster that is this disk's alone from here on.
    fn fill(&mut self, part: &Part, fill: impl FnOnce(&mut [u8])) -> io::Result<()> {
        let size = size_of(part.cluster, self.bytes);
        let mut clusters = self.layer.lock();
        let cluster = match Arc::make_mut(&mut clusters).entry(part.cluster) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let mut bytes = vec![0; size];
                if part.length < size {
                    let start = part.cluster * CLUSTER_BYTES as u64;
                    self.base.read_bytes(start, &mut bytes)?;
                }
                entry.insert(bytes.into())
            }
        };
        let cluster = Arc::make_mut(cluster);
        match cluster.get_mut(part.inside..part.inside + part.length) {
            Some(bytes) => fill(bytes),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
    }
}

/// The parts of a range.
fn parts(offset: u64, length: usize) -> impl Iterator<Item = Part> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = offset + at as u64;
        let inside = (start % CLUSTER_BYTES as u64) as usize;
        let part = Part {
            cluster: start / CLUSTER_BYTES as u64,
            inside,
            at,
            length: (CLUSTER_BYTES - inside).min(length - at),
        };
        at += part.length;
        (part.length > 0).then_some(part)
    })
}

impl<S: Storage> Storage for Overlay<S> {
    fn read<B: BitmapSlice>(
        &mut self,
        offset: u64,
        into: &[VolatileSlice<'_, B>],
    ) -> io::Result<()> {
        // What lies in the base is read in one go as far as it reaches.
        let mut pending: Option<(usize, usize)> = None;
        let total = length(into);
        let clusters = self.layer.clusters();
        for part in parts(offset, total) {
            let Some(cluster) = clusters.get(&part.cluster) else {
                let (start, count) = pending.unwrap_or((part.at, 0));
                pending = Some((start, count + part.length));
                continue;
            };
            let bytes = cluster.get(part.inside..part.inside + part.length);
            let bytes = bytes.ok_or(io::ErrorKind::UnexpectedEof)?;
            copy_in(&cut(into, part.at, part.length), bytes);
            if let Some((start, count)) = pending.take() {
                let into = cut(into, start, count);
                self.base.read(offset + start as u64, &into)?;
            }
        }
        match pending {
            Some((0, count)) if count == total => self.base.read(offset, into),
            Some((start, count)) => self
                .base
                .read(offset + start as u64, &cut(into, start, count)),
            None => Ok(()),
        }
    }

    fn read_bytes(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let clusters = self.layer.clusters();
        for part in parts(offset, into.len()) {
            let Some(into) = into.get_mut(part.at..part.at + part.length) else {
                break;
            };
            let inside = part.inside..part.inside + part.length;
            match clusters.get(&part.cluster) {
                Some(cluster) => match cluster.get(inside) {
                    Some(bytes) => into.copy_from_slice(bytes),
                    None => return Err(io::ErrorKind::UnexpectedEof.into()),
                },
                None => self.base.read_bytes(offset + part.at as u64, into)?,
            }
        }
        Ok(())
    }

    fn write<B: BitmapSlice>(
        &mut self,
        offset: u64,
        from: &[VolatileSlice<'_, B>],
    ) -> io::Result<()> {
        for part in parts(offset, length(from)) {
            let from = cut(from, part.at, part.length);
            self.fill(&part, |bytes| {
                copy_out(&from, bytes);
            })?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn discard(&mut self, _offset: u64, _length: u64) -> io::Result<()> {
        Ok(())
    }

    fn write_zeroes(&mut self, offset: u64, length: u64, _unmap: bool) -> io::Result<()> {
        for part in parts(offset, length as usize) {
            self.fill(&part, |bytes| bytes.fill(0))?;
        }
        Ok(())
    }
}
