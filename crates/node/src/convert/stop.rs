//! Stops that vCPUs have come to, as JavaScript has them.

use napi::bindgen_prelude::{BigInt, Uint8Array};
use napi_derive::napi;
use vmm::{Hit, HitKind, StopMeans, WatchOn, Watched};

/// What a vCPU has come to.
#[napi]
pub enum NativeStopKind {
    /// An instruction that is next.
    Breakpoint = 0,
    /// Memory that the last instruction has accessed.
    Watchpoint = 1,
    /// An instruction that was executed.
    Step = 2,
    /// As many as the run may execute.
    InstructionLimit = 3,
}

impl From<HitKind> for NativeStopKind {
    fn from(kind: HitKind) -> Self {
        match kind {
            HitKind::Breakpoint => Self::Breakpoint,
            HitKind::Watchpoint => Self::Watchpoint,
            HitKind::Step => Self::Step,
            HitKind::InstructionLimit => Self::InstructionLimit,
        }
    }
}

/// Which accesses a watchpoint is for.
#[napi]
pub enum NativeWatchOn {
    /// Stores.
    Write = 0,
    /// Loads.
    Read = 1,
    /// Both.
    Access = 2,
}

impl From<NativeWatchOn> for WatchOn {
    fn from(on: NativeWatchOn) -> Self {
        match on {
            NativeWatchOn::Write => Self::Write,
            NativeWatchOn::Read => Self::Read,
            NativeWatchOn::Access => Self::Access,
        }
    }
}

/// The stop that ended a run; the ending says what it is.
#[napi(object)]
pub struct NativeHit {
    /// The stop's id, if it is not a limit of the run.
    pub stop: Option<u32>,
    /// Linear: of the next instruction; of a watchpoint the watched address.
    pub address: BigInt,
    /// What is watched, before the instruction.
    pub before: Option<Uint8Array>,
    /// And after it.
    pub after: Option<Uint8Array>,
}

impl From<Hit> for NativeHit {
    fn from(hit: Hit) -> Self {
        let bytes = |index: usize| {
            let both = watched(hit.watched.as_ref()?);
            both.into_iter().nth(index).map(Uint8Array::from)
        };
        Self {
            stop: hit.id,
            address: BigInt::from(hit.address),
            before: bytes(0),
            after: bytes(1),
        }
    }
}

/// The bytes that count, before and after.
pub fn watched(watched: &Watched) -> [Vec<u8>; 2] {
    let part = |bytes: &[u8; 8]| {
        let part = bytes.get(..usize::from(watched.bytes));
        part.unwrap_or_default().to_vec()
    };
    [part(&watched.before), part(&watched.after)]
}

/// By what a machine stops where its first vCPU is.
#[napi(object)]
pub struct NativeStopMeans {
    /// Whether single steps come out.
    pub step: bool,
    /// How a breakpoint works; absent if nothing stops the vCPU.
    #[napi(ts_type = "'int3' | 'hlt' | 'trap' | 'hardware' | 'step'")]
    pub breakpoint: Option<String>,
    /// How a watchpoint works; absent likewise.
    #[napi(ts_type = "'step'")]
    pub watch: Option<String>,
    /// How many breakpoints the processor's own registers hold, if they work.
    pub hardware: u32,
}

impl From<StopMeans> for NativeStopMeans {
    fn from(means: StopMeans) -> Self {
        Self {
            step: means.step,
            breakpoint: means.breakpoint.map(str::to_owned),
            watch: means.watch.map(str::to_owned),
            hardware: means.hardware,
        }
    }
}
