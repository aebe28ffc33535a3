//! A run of all vCPUs, a thread each: what ends it for one ends it for all.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::Instant;

use crate::bus::{Bus, BusAccess};
use crate::error::{Error, ErrorCode, Result};
use crate::kvm::kick::{KickCause, KickHandle};
use crate::limits::BOOT_VCPU;
use crate::machine::{Machine, Wiring};
use crate::run::Run;
use crate::run::clock::{Alarm, RunLimits};
use crate::run::handler::ExitHandler;
use crate::run::outcome::{End, Outcome};
use crate::run::post;
use crate::run::processor::{Pending, Processor};
use crate::run::whereabouts;

/// How things stood when a run began.
pub(crate) struct Start {
    begin: Instant,
    exits: u64,
}

impl Machine {
    /// Runs every vCPU until one of them ends the run, the first on this thread and each other on one of its own.
    /// There is one handler for each vCPU.
    ///
    /// # Errors
    /// As [`run`](Self::run), save that there may be one vCPU; `InvalidOption` when there is not a handler for each.
    pub fn run_together<H: ExitHandler + Send>(
        &mut self,
        kick: &KickHandle,
        limits: RunLimits,
        handlers: &mut [H],
    ) -> Result<Outcome> {
        let (count, vcpus) = (handlers.len(), self.vcpus());
        let Some((first, rest)) = handlers
            .split_first_mut()
            .filter(|_| count == vcpus as usize)
        else {
            return Err(Error::new(
                ErrorCode::InvalidOption,
                format!("{vcpus} vCPUs need as many handlers, got {count}"),
            ));
        };
        if rest.is_empty() {
            return self.run(kick, limits, first);
        }
        let start = self.start()?;
        if let Some(end) = self.take_kept() {
            return self.finish(&start, Ok(end));
        }
        let alarm = Alarm::set(limits, kick)?;
        self.broken = true;
        let verdict = Mutex::new(None);
        let crew = Crew {
            kick,
            limits,
            verdict: &verdict,
            bus: &self.bus,
            wiring: &self.wiring,
        };
        std::thread::scope(|scope| {
            for (processor, handler) in self.others.iter_mut().zip(rest) {
                let index = processor.index;
                let name = format!("vmexit-vcpu{index}");
                let crew = &crew;
                let work = move || crew.run(processor, handler);
                if let Err(error) = Builder::new().name(name).spawn_scoped(scope, work) {
                    crew.judge(index, Err(Error::thread(&error)));
                    kick.kick(KickCause::Peer);
                }
            }
            crew.run(&mut self.boot, first);
        });
        drop(alarm);
        let end = verdict.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.finish(&start, end.unwrap_or_else(|| Err(nobody())))
    }

    /// Refuses to run on while the guest waits for a value, or where what it waited for is lost.
    pub(crate) fn start(&mut self) -> Result<Start> {
        if self.broken {
            return Err(Error::internal("an earlier run of this machine panicked"));
        }
        if let Pending::Reply(exit) = &self.last_ended().pending {
            let what = exit.name();
            return Err(Error::new(
                ErrorCode::UnansweredRead,
                format!(
                    "the guest waits for the value of an unclaimed {what}; call reply(value) before run"
                ),
            ));
        }
        Ok(Start {
            begin: Instant::now(),
            exits: self.wiring.counters.total_exits(),
        })
    }

    /// Puts together what a run came to. Text of a run that failed is the next one's.
    pub(crate) fn finish(&mut self, start: &Start, end: Result<(u32, End)>) -> Result<Outcome> {
        let outcome = self.sum_up(start, end);
        self.broken = matches!(&outcome, Err(error) if error.code == ErrorCode::Internal);
        outcome
    }

    fn sum_up(&mut self, start: &Start, end: Result<(u32, End)>) -> Result<Outcome> {
        let bus = self.bus.get_mut().unwrap_or_else(PoisonError::into_inner);
        let gathered = post::last_coalesced(&mut self.boot.vcpu, bus, &self.wiring);
        let (index, end) = end?;
        gathered?;
        let vcpu = match end {
            End::Kicked(_) => None,
            _ => {
                self.ended_by = index;
                Some(index)
            }
        };
        let mut outcome = Outcome {
            end,
            vcpu,
            whereabouts: None,
            output: std::mem::take(&mut bus.output),
            undelivered: bus.take_undelivered(),
            exits: self.wiring.counters.total_exits() - start.exits,
            duration: start.begin.elapsed(),
        };
        if whereabouts::is_asked(&outcome.end) {
            let (memory, vcpu) = (Arc::clone(self.memory()), vcpu.unwrap_or(BOOT_VCPU));
            let processor = self.vcpu(vcpu);
            outcome.whereabouts =
                processor.and_then(|processor| whereabouts::of(processor, &memory, &outcome.end));
        }
        Ok(outcome)
    }

    /// How a vCPU would have ended the last run, had another not been first.
    fn take_kept(&mut self) -> Option<(u32, End)> {
        let mut all = std::iter::once(&mut self.boot).chain(&mut self.others);
        all.find_map(|processor| Some((processor.index, processor.kept.take()?)))
    }
}

/// What the threads of one run share.
struct Crew<'a> {
    kick: &'a KickHandle,
    limits: RunLimits,
    /// The first end that is one, or the first error.
    verdict: &'a Mutex<Option<Result<(u32, End)>>>,
    bus: &'a Mutex<Bus>,
    wiring: &'a Wiring,
}

impl Crew<'_> {
    fn run(&self, processor: &mut Processor, handler: &mut dyn ExitHandler) {
        // In a panic, too: the others would wait for ever.
        let _ends_all = EndsAll(self.kick);
        let index = processor.index;
        let mut run = Run {
            processor: &mut *processor,
            bus: BusAccess::Among(self.bus),
            wiring: self.wiring,
            kick: self.kick,
            handler,
            time_kvm_run: self.limits.time_kvm_run,
            refusals: 0,
        };
        // Judged before KVM takes an answer over: what comes too late may have to be answered otherwise.
        let end = run.until_end();
        if let Some(late) = self.judge(index, end) {
            processor.keep(late);
        }
        if let Err(error) = processor.complete() {
            self.judge(index, Err(error));
        }
    }

    /// Takes part in saying how the run ended; an end of the guest's that comes too late is given back.
    fn judge(&self, index: u32, end: Result<End>) -> Option<End> {
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
            (Ok(end), None) => {
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

fn nobody() -> Error {
    Error::internal("a run ended without a reason")
}
