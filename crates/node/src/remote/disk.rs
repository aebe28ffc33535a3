//! Disks, as methods of the native class.

use std::sync::Arc;

use napi::bindgen_prelude::{Float64Array, Uint8Array};
use napi_derive::napi;
use vmm::{DiskAsked, Remote, RemoteDisk};

use crate::machine::NativeMachine;

/// What a request asks of a disk.
#[napi]
pub enum NativeDiskAsked {
    Read = 0,
    Write = 1,
    Flush = 2,
}

/// Numbers for each request in `NativeDiskRequests.words`.
const REQUEST_WORDS: usize = 4;

/// Requests of one disk, oldest first.
#[napi(object, object_from_js = false)]
pub struct NativeDiskRequests {
    /// Four for each: its id, a `NativeDiskAsked`, the offset of its first byte, its length.
    pub words: Float64Array,
    /// What is to be written, of each write.
    pub writes: Vec<Uint8Array>,
}

#[napi]
impl NativeMachine {
    /// Takes all requests that wait at a disk, by its place among the devices that JavaScript
    /// answers; `null` when there are none. Each is to be answered once.
    #[napi]
    pub fn take_disk_requests(&self, remote: u32) -> Option<NativeDiskRequests> {
        let requests = self.disk(remote)?.take();
        if requests.is_empty() {
            return None;
        }
        let mut words = Vec::with_capacity(requests.len() * REQUEST_WORDS);
        let mut writes = Vec::new();
        for request in requests {
            let (asked, length) = match request.asked {
                DiskAsked::Read(length) => (NativeDiskAsked::Read, length as usize),
                DiskAsked::Write(bytes) => {
                    let length = bytes.len();
                    writes.push(Uint8Array::from(bytes));
                    (NativeDiskAsked::Write, length)
                }
                DiskAsked::Flush => (NativeDiskAsked::Flush, 0),
            };
            let (id, offset) = (request.id as f64, request.offset as f64);
            words.extend([id, f64::from(asked as i32), offset, length as f64]);
        }
        Some(NativeDiskRequests {
            words: words.into(),
            writes,
        })
    }

    /// Answers a request of a disk: a read with its bytes, the others with none. Without an array
    /// it is an I/O error in the guest, as is another number of bytes than was asked for. It has no
    /// effect if the request is withdrawn.
    #[napi]
    pub fn answer_disk_request(&self, remote: u32, id: f64, bytes: Option<Uint8Array>) {
        if let Some(disk) = self.disk(remote) {
            disk.answer(id as u64, bytes.map(|bytes| bytes.to_vec()));
        }
    }
}

impl NativeMachine {
    fn disk(&self, remote: u32) -> Option<Arc<RemoteDisk>> {
        let found = self.quietly(|life| life.handles.remotes()?.get(remote).cloned());
        match found? {
            Remote::Disk(disk) => Some(disk),
            _ => None,
        }
    }
}
