//! The native class that `Snapshot` wraps.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use napi::bindgen_prelude::{AsyncTask, BigInt, Uint8Array};
use napi::{Either, Env, Task};
use napi_derive::napi;
use vmm::{Error, ErrorCode, LoadOptions, Machine, Others, Replay, ReplayLimits, Result, Snapshot};

use crate::caught::caught;
use crate::convert::block;
use crate::convert::config::{NativeDescription, NativeDisk, NativeRoute};
use crate::convert::failure::{Failure, either};
use crate::lifecycle::Lifecycle;
use crate::lifecycle::reaper;
use crate::machine::NativeMachine;
use crate::pump::shared;

/// The state of a machine as a value. No method throws; a failing one returns a `Failure`. After
/// `close` every method returns `ERR_SNAPSHOT`.
#[napi]
pub struct NativeSnapshot {
    snapshot: RefCell<Option<Arc<Snapshot>>>,
    /// What a file has had beside it.
    note: Vec<u8>,
}

/// A page that is not the same in two snapshots.
#[napi(object)]
pub struct NativeDifference {
    /// Its number; the next look begins after it.
    pub page: f64,
    /// Its guest physical address.
    pub gpa: f64,
    /// Its 4096 bytes in the first.
    pub before: Uint8Array,
    /// Its 4096 bytes in the second.
    pub after: Uint8Array,
}

/// What a replay has come to.
#[napi(object)]
pub struct NativeReplay {
    /// Whether it came to a shutdown; then the words have registers.
    pub is_found: bool,
    /// The exception that could not be delivered, if KVM names one.
    pub vector: Option<u32>,
    /// Its error code, if it has one.
    pub error_code: Option<u32>,
    /// The reason for its end: that of a run, or `instructions` if they were too many.
    pub ended: String,
    /// The linear address of a page fault, if it is known.
    pub address: Option<BigInt>,
    /// Exits at full speed before the first step.
    pub exits: f64,
    /// Instructions that were stepped through.
    pub steps: f64,
    /// Accesses that JavaScript had answered, and that an empty bus has answered here.
    pub answered: f64,
}

impl From<&Replay> for NativeReplay {
    fn from(replay: &Replay) -> Self {
        let exception = replay.last.and_then(|last| last.exception);
        Self {
            is_found: replay.last.is_some(),
            vector: exception.map(|exception| u32::from(exception.vector)),
            error_code: exception.and_then(|exception| exception.error_code),
            address: replay.last.and_then(|last| last.address).map(BigInt::from),
            ended: replay.ended.to_owned(),
            exits: replay.exits as f64,
            steps: replay.steps as f64,
            answered: replay.answered as f64,
        }
    }
}

#[napi]
impl NativeSnapshot {
    /// The state of an idle or paused machine. `ERR_VM_BUSY`, `ERR_VM_CLOSED`, `ERR_LIMIT`,
    /// `ERR_KVM_CAPABILITY`, `ERR_KVM_IOCTL`, `ERR_SNAPSHOT` for what cannot be saved; the machine
    /// goes on as before.
    #[napi(ts_return_type = "NativeSnapshot | Failure")]
    pub fn take(machine: &NativeMachine) -> Either<NativeSnapshot, Failure> {
        let taken = machine.with_idle(Machine::snapshot);
        match taken {
            Ok(snapshot) => Either::A(Self::of(snapshot, Vec::new())),
            Err(error) => Either::B(error.into()),
        }
    }

    /// Puts an idle or paused machine back. `ERR_SNAPSHOT` for one of another shape, which is not
    /// changed; `ERR_VM_BUSY`, `ERR_VM_CLOSED`, `ERR_KVM_IOCTL`.
    #[napi]
    pub fn restore(&self, machine: &NativeMachine) -> Option<Failure> {
        let restored = self
            .open()
            .and_then(|snapshot| machine.with_idle(|machine| machine.restore(&snapshot)));
        if restored.is_ok() {
            machine.life.forget_questions();
        }
        restored.err().map(Failure::from)
    }

    /// A further machine that goes on from here, with `routes` in the place of those with the same
    /// claims, and `disks` by their places, fewer or `null` for those that stay. Its routes have
    /// the ids 0, 1, … in the order of the first machine's. `ERR_SNAPSHOT`,
    /// and the failures of `NativeMachine.create`.
    #[napi(ts_return_type = "NativeMachine | Failure")]
    pub fn machine(
        &self,
        routes: Vec<NativeRoute>,
        #[napi(ts_arg_type = "Array<NativeDisk | null>")] disks: Vec<Option<NativeDisk>>,
    ) -> Either<NativeMachine, Failure> {
        let disks = disks.iter().map(Option::as_ref);
        let others = Others {
            routes: routes.iter().map(NativeRoute::parse).collect(),
            disks: disks.map(|disk| disk.map(NativeDisk::parse)).collect(),
        };
        let made = self.open().and_then(|snapshot| {
            caught(|| reaper::make(|| Machine::from_snapshot(&snapshot, others.clone())))
        });
        match made {
            Ok(machine) => Either::A(NativeMachine::of(Lifecycle::new(machine))),
            Err(error) => Either::B(error.into()),
        }
    }

    /// Puts all general registers of vCPU 0 into the shared words, see `NativePlace`.
    #[napi]
    pub fn registers(&self) -> Option<Failure> {
        let put = self.open().and_then(|snapshot| {
            block::put_registers(shared::required_words()?, &snapshot.registers());
            Ok(())
        });
        put.err().map(Failure::from)
    }

    /// The first page after a number, -1 in the beginning, that is not the same in another snapshot
    /// of the same memory; `null` when there is none any more.
    #[napi]
    pub fn difference(
        &self,
        other: &NativeSnapshot,
        after: f64,
    ) -> Either<Option<NativeDifference>, Failure> {
        let compared = self.open().and_then(|one| {
            let two = other.open()?;
            one.check_memory(&two)?;
            Ok(one.next_difference(&two, (after + 1.0) as usize))
        });
        match compared {
            Ok(found) => Either::A(found.map(|(page, found)| NativeDifference {
                page: page as f64,
                gpa: found.gpa as f64,
                before: Uint8Array::from(&found.before[..]),
                after: Uint8Array::from(&found.after[..]),
            })),
            Err(error) => Either::B(error.into()),
        }
    }

    /// Finds the last instruction before the shutdown to which it leads, within bounds of the
    /// core's, and puts the registers before it into the words. The thread waits meanwhile.
    /// `ERR_INVALID_OPTION` for several vCPUs, `ERR_SNAPSHOT`, `ERR_KVM_IOCTL`.
    #[napi(ts_return_type = "NativeReplay | Failure")]
    pub fn replay(&self) -> Either<NativeReplay, Failure> {
        let replayed = self.open().and_then(|snapshot| {
            let replay = caught(|| vmm::replay(&snapshot, ReplayLimits::default()))?;
            if let Some(last) = &replay.last {
                let words = shared::required_words()?;
                block::put_registers(words, &last.registers);
                block::put_special_registers(words, &last.special);
            }
            Ok(NativeReplay::from(&replay))
        });
        either(replayed)
    }

    /// What a machine that is made of it has. `ERR_SNAPSHOT`.
    #[napi]
    pub fn description(&self) -> Either<NativeDescription, Failure> {
        let described = self.open().and_then(|snapshot| snapshot.description());
        match described {
            Ok(config) => Either::A(NativeDescription::of(&config)),
            Err(error) => Either::B(error.into()),
        }
    }

    /// Writes it into a file, with a note of the caller's, on a thread of Node.js's.
    /// `ERR_SNAPSHOT`, `ERR_LIMIT`, `ERR_INVALID_OPTION`; what was there is then as it was.
    #[napi(ts_return_type = "Promise<Failure | null>")]
    pub fn save(&self, path: String, note: Uint8Array) -> AsyncTask<Save> {
        AsyncTask::new(Save::new(self.open(), path, note.to_vec()))
    }

    /// Reads a file that `save` has written, on a thread of Node.js's. With `verify` all pages are
    /// compared with their checksums, with `copy` they are read into memory; else the file is
    /// mapped. `ERR_SNAPSHOT`.
    #[napi(ts_return_type = "Promise<NativeSnapshot | Failure>")]
    pub fn load(path: String, verify: bool, copy: bool) -> AsyncTask<Load> {
        AsyncTask::new(Load::new(path, LoadOptions { verify, copy }))
    }

    /// What `save` was given, of a snapshot that `load` has read; else empty.
    #[napi]
    pub fn note(&self) -> Uint8Array {
        Uint8Array::from(self.note.as_slice())
    }

    /// Ends its use. Machines that were made of it go on, and keep the pages that they share.
    #[napi]
    pub fn close(&self) {
        if self.snapshot.take().is_some() {
            reaper::tidy();
        }
    }
}

impl Drop for NativeSnapshot {
    fn drop(&mut self) {
        self.close();
    }
}

impl NativeSnapshot {
    pub fn of(snapshot: Snapshot, note: Vec<u8>) -> Self {
        Self {
            snapshot: RefCell::new(Some(Arc::new(snapshot))),
            note,
        }
    }

    fn open(&self) -> Result<Arc<Snapshot>> {
        let closed = || Error::new(ErrorCode::Snapshot, "the snapshot is closed");
        self.snapshot
            .borrow()
            .as_ref()
            .map(Arc::clone)
            .ok_or_else(closed)
    }
}

/// Writes a snapshot, while the event loop goes on.
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
            snapshot.write_to(Path::new(&self.path), &self.note)
        }))
    }

    fn resolve(&mut self, _env: Env, saved: Self::Output) -> napi::Result<Self::JsValue> {
        Ok(saved.err().map(Failure::from))
    }
}

/// Reads one, likewise.
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
            Snapshot::read_from(Path::new(&self.path), self.options)
        }))
    }

    fn resolve(&mut self, _env: Env, loaded: Self::Output) -> napi::Result<Self::JsValue> {
        Ok(match loaded {
            Ok((snapshot, note)) => Either::A(NativeSnapshot::of(snapshot, note)),
            Err(error) => Either::B(error.into()),
        })
    }
}
