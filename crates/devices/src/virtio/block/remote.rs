//! A disk whose requests are copied, and answered by somebody else in any order.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use virtio_bindings::virtio_ids::VIRTIO_ID_BLOCK;
use vm_memory::bitmap::BitmapSlice;

use super::layout::{
    CONFIG_BYTES, FEATURE_FLUSH, Geometry, MAX_COPIED_BYTES, MAX_DISCARD_SECTORS,
    MAX_DISCARD_SEGMENTS, MAX_OPEN_BYTES, MAX_ZEROES_SECTORS, MAX_ZEROES_SEGMENTS, QUEUE_SIZE,
};
use super::request::{Kind, Request, Status, copy_in, copy_out, length, segments};
use super::serve::{Generation, get_id};
use super::{NAME, REQUESTS};
use crate::remote::{DiskAnswer, DiskAsked, RemoteDisk};
use crate::virtio::{Chain, Rings, VirtioDevice, Waker};
use crate::written::DmaMemory;

/// The virtio device of a disk that somebody else has.
#[derive(Debug)]
pub struct RemoteBlock {
    disk: Arc<RemoteDisk>,
    geometry: Geometry,
    config: [u8; CONFIG_BYTES],
    generation: Generation,
    /// What the driver has taken.
    features: u64,
    /// What was asked and is not answered, by its number.
    open: HashMap<u64, Open>,
    open_bytes: usize,
}

#[derive(Debug)]
struct Open {
    chain: Chain,
    bytes: usize,
    /// The driver knows no flush: it follows the write.
    then_flush: bool,
}

/// What becomes of a request when it is taken.
enum Taken {
    Asked { id: u64, bytes: usize },
    Answered(Status),
}

impl RemoteBlock {
    /// A device at which nothing was asked yet.
    pub fn new(disk: Arc<RemoteDisk>, geometry: Geometry, generation: Generation) -> Self {
        Self {
            config: geometry.copied_config(),
            disk,
            geometry,
            generation,
            features: 0,
            open: HashMap::new(),
            open_bytes: 0,
        }
    }

    fn take(&self, request: &Request<'_, impl BitmapSlice>) -> Taken {
        let is_fixed = self.geometry.read_only;
        match request.kind {
            Kind::Read => self.ask(request, length(&request.writable), |bytes| {
                DiskAsked::Read(bytes as u32)
            }),
            Kind::GetId => {
                get_id(&self.geometry, request);
                Taken::Answered(Status::Ok)
            }
            Kind::Unknown => Taken::Answered(Status::Unsupported),
            Kind::Flush if is_fixed => Taken::Answered(Status::Ok),
            Kind::Flush => Taken::Asked {
                id: self.disk.ask(0, DiskAsked::Flush),
                bytes: 0,
            },
            Kind::Write | Kind::Discard | Kind::WriteZeroes if is_fixed => {
                Taken::Answered(Status::IoError)
            }
            Kind::Write => self.ask(request, length(&request.readable), |bytes| {
                self.generation.fetch_add(1, Ordering::SeqCst);
                let mut copied = vec![0; bytes];
                copy_out(&request.readable, &mut copied);
                DiskAsked::Write(copied)
            }),
            // What is discarded may be anything, so it may be what it was.
            Kind::Discard => Taken::Answered(self.check_discard(request)),
            Kind::WriteZeroes => self.ask_zeroes(request),
        }
    }

    fn check_discard(&self, request: &Request<'_, impl BitmapSlice>) -> Status {
        let sectors = self.geometry.sectors;
        let found = segments(request, MAX_DISCARD_SEGMENTS, MAX_DISCARD_SECTORS, sectors);
        found.map_or_else(|status| status, |_| Status::Ok)
    }

    /// Zeros are written as anything else is.
    fn ask_zeroes(&self, request: &Request<'_, impl BitmapSlice>) -> Taken {
        let sectors = self.geometry.sectors;
        let found = segments(request, MAX_ZEROES_SEGMENTS, MAX_ZEROES_SECTORS, sectors);
        match found.as_deref() {
            Ok([segment]) if segment.length > 0 => {
                self.generation.fetch_add(1, Ordering::SeqCst);
                let bytes = segment.length as usize;
                let zeros = DiskAsked::Write(vec![0; bytes]);
                Taken::Asked {
                    id: self.disk.ask(segment.offset, zeros),
                    bytes,
                }
            }
            Ok(_) => Taken::Answered(Status::Ok),
            Err(status) => Taken::Answered(*status),
        }
    }

    fn ask(
        &self,
        request: &Request<'_, impl BitmapSlice>,
        bytes: usize,
        asked: impl FnOnce(usize) -> DiskAsked,
    ) -> Taken {
        match request.place(self.geometry.sectors, bytes) {
            Some(offset) if bytes <= MAX_COPIED_BYTES => Taken::Asked {
                id: self.disk.ask(offset, asked(bytes)),
                bytes,
            },
            _ => Taken::Answered(Status::IoError),
        }
    }

    /// Completes what was answered; whether a flush is asked in its turn.
    fn complete(&mut self, rings: &mut Rings<'_>, memory: &DmaMemory, answer: DiskAnswer) -> bool {
        let Some(open) = self.open.remove(&answer.id) else {
            return false;
        };
        self.open_bytes -= open.bytes;
        if open.then_flush && answer.bytes.is_some() {
            let id = self.disk.ask(0, DiskAsked::Flush);
            let chain = open.chain;
            let flush = Open {
                chain,
                bytes: 0,
                then_flush: false,
            };
            self.open.insert(id, flush);
            return true;
        }
        let written = Request::of(&open.chain, memory).map_or(0, |request| match answer.bytes {
            Some(bytes) => {
                copy_in(&request.writable, &bytes);
                request.finish(Status::Ok)
            }
            None => request.finish(Status::IoError),
        });
        rings.complete(REQUESTS, open.chain, written);
        false
    }
}

impl VirtioDevice for RemoteBlock {
    fn kind(&self) -> u32 {
        VIRTIO_ID_BLOCK
    }

    fn name(&self) -> &'static str {
        NAME
    }

    fn features(&self) -> u64 {
        self.geometry.features()
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE]
    }

    fn config(&self) -> &[u8] {
        &self.config
    }

    fn attach(&mut self, waker: Waker) {
        self.disk.attach(waker);
    }

    fn activate(&mut self, features: u64) {
        self.features = features;
    }

    fn reset(&mut self) {
        self.disk.forget();
        self.open.clear();
        self.open_bytes = 0;
    }

    fn work(&mut self, rings: &mut Rings<'_>) {
        let memory = rings.memory();
        let mut is_asked = false;
        for answer in self.disk.answers() {
            is_asked |= self.complete(rings, memory, answer);
        }
        while self.open_bytes < MAX_OPEN_BYTES
            && let Some(chain) = rings.next(REQUESTS)
        {
            let Some(request) = Request::of(&chain, memory) else {
                rings.complete(REQUESTS, chain, 0);
                continue;
            };
            match self.take(&request) {
                Taken::Asked { id, bytes } => {
                    let is_write = matches!(request.kind, Kind::Write | Kind::WriteZeroes);
                    let open = Open {
                        chain,
                        bytes,
                        then_flush: is_write && self.features & FEATURE_FLUSH == 0,
                    };
                    self.open.insert(id, open);
                    self.open_bytes += bytes;
                    is_asked = true;
                }
                Taken::Answered(status) => {
                    let written = request.finish(status);
                    rings.complete(REQUESTS, chain, written);
                }
            }
        }
        if is_asked {
            self.disk.announce();
        }
    }
}
