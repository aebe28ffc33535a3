//! The native class that `Trace` wraps.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use napi::bindgen_prelude::{AsyncTask, Uint8Array};
use napi::{Either, Env, Task};
use napi_derive::napi;
use vmm::{Counters, Result, Trace, TraceCopy};

use crate::caught::caught;
use crate::convert::failure::{Failure, either};
use crate::lifecycle::Lifecycle;
use crate::machine::NativeMachine;

/// The exits of a machine, one by one. It goes on to be readable after the machine is closed.
#[napi]
pub struct NativeTrace {
    trace: RefCell<Option<Arc<Trace>>>,
    counters: Arc<Counters>,
    life: Weak<Lifecycle>,
}

/// What a trace has at one moment.
#[napi(object)]
pub struct NativeTraceCopy {
    /// Its records in the order of time, as docs/debugging.md describes them.
    pub bytes: Uint8Array,
    /// Exits that newer ones have overwritten.
    pub dropped: f64,
}

impl From<TraceCopy> for NativeTraceCopy {
    fn from(copy: TraceCopy) -> Self {
        Self {
            bytes: copy.bytes.into(),
            dropped: copy.dropped as f64,
        }
    }
}

/// Copies a trace, while the event loop goes on.
pub struct Read(Option<Arc<Trace>>);

impl Task for Read {
    type Output = Result<Option<TraceCopy>>;
    type JsValue = Either<Option<NativeTraceCopy>, Failure>;

    fn compute(&mut self) -> napi::Result<Self::Output> {
        Ok(caught(|| Ok(self.0.as_deref().map(Trace::copy))))
    }

    fn resolve(&mut self, _env: Env, copy: Self::Output) -> napi::Result<Self::JsValue> {
        Ok(either(copy.map(|copy| copy.map(NativeTraceCopy::from))))
    }
}

#[napi]
impl NativeMachine {
    /// Writes every exit from now on into a trace with room for so many of each vCPU, also while
    /// the machine runs. `ERR_VM_BUSY` while it has another, `ERR_INVALID_OPTION`, `ERR_LIMIT`.
    #[napi(ts_return_type = "NativeTrace | Failure")]
    pub fn trace(
        &self,
        vcpus: u32,
        capacity: u32,
        registers: bool,
    ) -> Either<NativeTrace, Failure> {
        either(self.life.guarded(|life| {
            // A closed machine has none.
            life.handles.memory()?;
            let trace = Arc::new(Trace::new(vcpus, capacity as usize, registers)?);
            life.counters.trace.fill(&trace)?;
            Ok(NativeTrace {
                trace: RefCell::new(Some(trace)),
                counters: Arc::clone(&life.counters),
                life: Rc::downgrade(&self.life),
            })
        }))
    }
}

#[napi]
impl NativeTrace {
    /// What it has now, until `close`; also while the machine runs.
    #[napi]
    pub fn read(&self) -> Option<NativeTraceCopy> {
        let copy = self.trace.borrow().as_ref()?.copy();
        Some(copy.into())
    }

    /// The same on a thread of Node.js's: a large one takes a while.
    #[napi(ts_return_type = "Promise<NativeTraceCopy | null | Failure>")]
    pub fn read_later(&self) -> AsyncTask<Read> {
        AsyncTask::new(Read(self.trace.borrow().clone()))
    }

    /// How many exits it has, 0 after `close`.
    #[napi]
    pub fn length(&self) -> f64 {
        self.of(Trace::length) as f64
    }

    /// Exits that newer ones have overwritten, 0 after `close`.
    #[napi]
    pub fn dropped(&self) -> f64 {
        self.of(Trace::dropped) as f64
    }

    /// Ends it, and drops its records.
    #[napi]
    pub fn close(&self) {
        let Some(trace) = self.trace.take() else {
            return;
        };
        self.counters.trace.empty(&trace);
        if let Some(life) = self.life.upgrade() {
            // vCPUs that run let go of it when they enter the guest.
            let _ = life.guarded(|life| {
                life.with_idle(|machine| {
                    for index in 0..machine.vcpus() {
                        if let Some(vcpu) = machine.vcpu(index) {
                            vcpu.look_at_trace();
                        }
                    }
                    Ok(())
                })
            });
        }
    }

    fn of(&self, what: impl FnOnce(&Trace) -> u64) -> u64 {
        self.trace.borrow().as_deref().map_or(0, what)
    }
}

impl Drop for NativeTrace {
    fn drop(&mut self) {
        // A trace that is collected records nothing for anybody. Its machine may be at work.
        if let Some(trace) = self.trace.take() {
            self.counters.trace.empty(&trace);
        }
    }
}
