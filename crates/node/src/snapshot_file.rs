//! Snapshots in files: written and read on a thread of Node.js's, while the event loop goes on.

use std::path::Path;
use std::sync::Arc;

use napi::{Either, Env, Task};
use vmm::{LoadOptions, Result, Snapshot};

use crate::caught::caught;
use crate::convert::failure::Failure;
use crate::snapshot::NativeSnapshot;

/// Writes a snapshot.
pub struct Save {
    snapshot: Result<Arc<Snapshot>>,
    path: String,
    note: Vec<u8>,
}

impl Save {
    pub const fn new(snapshot: Result<Arc<Snapshot>>, path: String, note: Vec<u8>) -> Self {
        Self {
            snapshot,
            path,
            note,
        }
    }
}

impl Task for Save {
    type Output = Result<()>;
    type JsValue = Option<Failure>;

    fn compute(&mut self) -> napi::Result<Self::Output> {
        Ok(caught(|| {
            let snapshot = self.snapshot.clone()?;
            snapshot.save(Path::new(&self.path), &self.note)
        }))
    }

    fn resolve(&mut self, _env: Env, saved: Self::Output) -> napi::Result<Self::JsValue> {
        Ok(saved.err().map(Failure::from))
    }
}

/// Reads one.
pub struct Load {
    path: String,
    options: LoadOptions,
}

impl Load {
    pub const fn new(path: String, options: LoadOptions) -> Self {
        Self { path, options }
    }
}

impl Task for Load {
    type Output = Result<(Snapshot, Vec<u8>)>;
    type JsValue = Either<NativeSnapshot, Failure>;

    fn compute(&mut self) -> napi::Result<Self::Output> {
        Ok(caught(|| {
            Snapshot::load(Path::new(&self.path), self.options)
        }))
    }

    fn resolve(&mut self, _env: Env, loaded: Self::Output) -> napi::Result<Self::JsValue> {
        Ok(match loaded {
            Ok((snapshot, note)) => Either::A(NativeSnapshot::of(snapshot, note)),
            Err(error) => Either::B(error.into()),
        })
    }
}
