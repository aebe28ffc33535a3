//! A disk's requests, answered at once from where its bytes are.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vm_memory::bitmap::BitmapSlice;

use super::layout::{
    FEATURE_FLUSH, Geometry, MAX_DISCARD_SECTORS, MAX_DISCARD_SEGMENTS, MAX_ZEROES_SECTORS,
    MAX_ZEROES_SEGMENTS,
};
use super::request::{ID_BYTES, Kind, Request, Segment, Status, copy_in, cut, length, segments};
use super::storage::Storage;

/// How often a disk was changed, counted by all that have it open.
pub type Generation = Arc<AtomicU64>;

/// A native disk.
#[derive(Debug)]
pub struct Native<S> {
    /// Where its bytes are.
    pub storage: S,
    /// What it is to its driver.
    pub geometry: Geometry,
    /// Counts its changes.
    pub generation: Generation,
}

impl<S: Storage> Native<S> {
    /// Does what is asked and tells the driver; returns the number of bytes that it finds written.
    /// `features` are those that the driver took.
    pub fn serve<B: BitmapSlice>(&mut self, request: Request<'_, B>, features: u64) -> u32 {
        let status = match self.answer(&request, features) {
            Ok(()) => Status::Ok,
            Err(status) => status,
        };
        request.finish(status)
    }

    fn answer<B: BitmapSlice>(
        &mut self,
        request: &Request<'_, B>,
        features: u64,
    ) -> Result<(), Status> {
        match request.kind {
            Kind::Read => {
                let offset = self.place(request, length(&request.writable))?;
                told(self.storage.read(offset, &request.writable))
            }
            Kind::GetId => {
                get_id(&self.geometry, request);
                Ok(())
            }
            Kind::Unknown => Err(Status::Unsupported),
            _ if self.geometry.read_only => match request.kind {
                Kind::Flush => Ok(()),
                _ => Err(Status::IoError),
            },
            Kind::Flush => told(self.storage.flush()),
            Kind::Write => {
                let offset = self.place(request, length(&request.readable))?;
                self.changes();
                told(self.storage.write(offset, &request.readable))?;
                self.write_through(features)
            }
            Kind::Discard => {
                for Segment { offset, length, .. } in
                    self.segments(request, MAX_DISCARD_SEGMENTS, MAX_DISCARD_SECTORS)?
                {
                    told(self.storage.discard(offset, length))?;
                }
                Ok(())
            }
            Kind::WriteZeroes => {
                for segment in self.segments(request, MAX_ZEROES_SEGMENTS, MAX_ZEROES_SECTORS)? {
                    let Segment {
                        offset,
                        length,
                        unmap,
                    } = segment;
                    told(self.storage.write_zeroes(offset, length, unmap))?;
                }
                self.write_through(features)
            }
        }
    }

    fn place<B: BitmapSlice>(&self, request: &Request<'_, B>, bytes: usize) -> Result<u64, Status> {
        let place = request.place(self.geometry.sectors, bytes);
        place.ok_or(Status::IoError)
    }

    fn segments<B: BitmapSlice>(
        &self,
        request: &Request<'_, B>,
        most: usize,
        most_sectors: u32,
    ) -> Result<Vec<Segment>, Status> {
        let found = segments(request, most, most_sectors, self.geometry.sectors)?;
        self.changes();
        Ok(found)
    }

    fn changes(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// A driver that knows no flush takes what is answered for lasting.
    fn write_through(&mut self, features: u64) -> Result<(), Status> {
        if features & FEATURE_FLUSH == 0 {
            told(self.storage.flush())?;
        }
        Ok(())
    }
}

/// The name of a disk, as much as the driver has room for.
pub fn get_id<B: BitmapSlice>(geometry: &Geometry, request: &Request<'_, B>) {
    let mut id = [0; ID_BYTES];
    for (to, from) in id.iter_mut().zip(geometry.id.bytes()) {
        *to = from;
    }
    copy_in(&cut(&request.writable, 0, ID_BYTES), &id);
}

fn told(done: io::Result<()>) -> Result<(), Status> {
    done.map_err(|_| Status::IoError)
}
