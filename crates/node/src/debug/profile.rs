//! Where the vCPUs of a machine are found, for JavaScript.

use std::cell::Cell;

use napi::Either;
use napi::bindgen_prelude::{BigUint64Array, Float64Array, Uint32Array};
use napi_derive::napi;
use vmm::{Error, ErrorCode, Samples, Sampling};

use crate::convert::failure::{Failure, either};
use crate::machine::NativeMachine;

/// Words of `NativeSamples.stacks` for each stack.
const STACK_WORDS: usize = 5;

/// Samples a machine until its end, or until it is collected.
#[napi]
pub struct NativeSampling {
    sampling: Cell<Option<Sampling>>,
}

/// What a machine was found doing.
#[napi(object)]
pub struct NativeSamples {
    /// Five words for each stack: its vCPU; 0 in the guest, 1 halted, 2 waiting, 3 unlisted; the
    /// bits of its code; its CPL; how many frames it has.
    pub stacks: Uint32Array,
    /// How often each was found.
    pub counts: Float64Array,
    /// CR3 of each, 0 without paging.
    pub spaces: BigUint64Array,
    /// Linear addresses, the frames of one stack after those of another, the innermost first.
    pub frames: BigUint64Array,
    /// The stack of each sample that was kept.
    pub samples: Uint32Array,
    /// When each was taken, in nanoseconds since the beginning.
    pub times: Float64Array,
    /// How often a vCPU had not answered when the next sample was due.
    pub missed: f64,
    /// From the first moment to the last.
    pub duration_ms: f64,
}

#[napi]
impl NativeMachine {
    /// Begins to sample every vCPU `hz` times a second, whether the machine runs or not.
    /// `ERR_INVALID_OPTION` for a rate that is none, `ERR_VM_BUSY` while it is sampled already,
    /// `ERR_LIMIT` when no thread can start.
    #[napi(ts_return_type = "NativeSampling | Failure")]
    pub fn sample(&self, hz: f64) -> Either<NativeSampling, Failure> {
        either(self.life.guarded(|life| {
            life.handles.memory()?;
            let sampling = Cell::new(Some(Sampling::begin(&life.sampler, hz)?));
            Ok(NativeSampling { sampling })
        }))
    }
}

#[napi]
impl NativeSampling {
    /// Ends, with what was found; once.
    #[napi]
    pub fn end(&self) -> Either<NativeSamples, Failure> {
        let over = || Error::new(ErrorCode::InvalidOption, "the sampling has ended");
        let samples = self.sampling.take().map(Sampling::end).ok_or_else(over);
        either(samples.map(NativeSamples::from))
    }
}

impl From<Samples> for NativeSamples {
    fn from(samples: Samples) -> Self {
        let mut words = Vec::with_capacity(samples.stacks.len() * STACK_WORDS);
        let (mut counts, mut spaces, mut frames) = (Vec::new(), Vec::new(), Vec::new());
        for (stack, count) in &samples.stacks {
            words.extend([
                stack.vcpu,
                stack.activity as u32,
                u32::from(stack.space.bits),
                u32::from(stack.space.cpl),
                stack.frames.len() as u32,
            ]);
            counts.push(*count as f64);
            spaces.push(stack.space.cr3);
            frames.extend(&stack.frames);
        }
        let kept = samples.samples.iter();
        let (indices, times): (Vec<u32>, Vec<f64>) =
            kept.map(|it| (it.stack, it.at_ns as f64)).unzip();
        Self {
            stacks: words.into(),
            counts: counts.into(),
            spaces: spaces.into(),
            frames: frames.into(),
            samples: indices.into(),
            times: times.into(),
            missed: samples.missed as f64,
            duration_ms: samples.duration.as_secs_f64() * 1000.0,
        }
    }
}
