//! What the vCPUs of one run have in common: its end, which the first of them determines.

use std::sync::{Mutex, PoisonError};

use crate::bus::{Bus, BusAccess};
use crate::counters::Counters;
use crate::debug::Stops;
use crate::error::Result;
use crate::kvm::kick::{KickCause, KickHandle};
use crate::kvm::memory::GuestMemory;
use crate::run::clock::RunLimits;
use crate::run::desk::Desk;
use crate::run::drive::Run;
use crate::run::handler::ExitHandler;
use crate::run::outcome::End;
use crate::run::processor::Processor;
use crate::run::stopping::Stoppers;

/// What a run needs of its machine.
pub(crate) struct Scene<'a> {
    pub bus: &'a mut Bus,
    pub counters: &'a Counters,
    pub memory: &'a GuestMemory,
    pub stops: &'a Stops,
}

impl Scene<'_> {
    /// The vCPU that alone shall run, if one shall.
    pub fn alone(&self, limits: &RunLimits) -> Option<u32> {
        let stepped = limits.steps.and_then(|steps| steps.vcpu);
        stepped.or_else(|| self.stops.alone())
    }
}

/// What the threads of one run share.
pub(crate) struct Shift<'a> {
    pub kick: &'a KickHandle,
    pub limits: RunLimits,
    /// The first end of the run, or the first error.
    pub verdict: &'a Mutex<Option<Result<(u32, End)>>>,
    pub bus: &'a Bus,
    pub counters: &'a Counters,
    /// In a run that has stops.
    pub stoppers: Option<&'a Stoppers<'a>>,
}

impl Shift<'_> {
    /// One vCPU's part.
    pub fn run(&self, processor: &mut Processor, handler: &mut dyn ExitHandler) {
        // In a panic, too: the others would wait for ever.
        let ends_all = EndsAll(self.kick);
        let index = processor.index;
        let desk = Desk {
            bus: BusAccess::Among(self.bus),
            handler,
            kick: self.kick,
            vcpu: index,
            counters: self.counters,
        };
        let mut run = Run::new(&mut *processor, desk, self.limits, self.stoppers);
        // Judged before KVM takes an answer over: what comes too late may have to be answered
        // otherwise.
        let end = run.until_end();
        if matches!(end, Ok(End::Kicked(KickCause::Pause))) {
            // The others have got the same kick, and one may end the run yet.
            std::mem::forget(ends_all);
        }
        if let Some(late) = self.judge(index, end) {
            processor.keep(late);
        }
        if let Err(error) = processor.complete_at_end() {
            self.judge(index, Err(error));
        }
    }

    /// Whether the run goes on later.
    pub fn is_paused(&self) -> bool {
        let verdict = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(&*verdict, Some(Ok((_, End::Kicked(KickCause::Pause)))))
    }

    /// Records the first end of the run; an end of the guest's that comes too late is returned.
    pub fn judge(&self, index: u32, end: Result<End>) -> Option<End> {
        let mut verdict = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        match (end, &*verdict) {
            (Ok(End::Kicked(KickCause::Peer)), _) => None,
            (Err(error), None | Some(Ok((_, End::Kicked(_))))) => {
                *verdict = Some(Err(error));
                None
            }
            // What a vCPU makes of its own end.
            (Err(error), Some(Ok((by, _)))) if *by == index => {
                *verdict = Some(Err(error));
                None
            }
            // A pause is no end.
            (Ok(end), None | Some(Ok((_, End::Kicked(KickCause::Pause))))) => {
                *verdict = Some(Ok((index, end)));
                None
            }
            (Ok(End::Kicked(_)) | Err(_), Some(_)) => None,
            (Ok(end), Some(_)) => Some(end),
        }
    }
}

struct EndsAll<'a>(&'a KickHandle);

impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        self.0.kick(KickCause::Peer);
    }
}
