//! The vCPUs of a machine, and a run of all of them, each on its thread: what ends it for one ends
//! it for all.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use crate::bus::{Bus, BusAccess, BusState};
use crate::counters::Counters;
use crate::error::{Error, ErrorCode, Result};
use crate::kvm::exit::Exit;
use crate::kvm::kick::{KickCause, KickHandle};
use crate::kvm::memory::GuestMemory;
use crate::limits::BOOT_VCPU;
use crate::run::clock::{Alarm, RunLimits};
use crate::run::desk::Desk;
use crate::run::drive::Run;
use crate::run::handler::{ExitHandler, LeftOpen};
use crate::run::outcome::{End, Outcome};
use crate::run::processor::{Pending, Processor};
use crate::run::saved::CrewState;
use crate::run::shift::{Scene, Shift};
use crate::run::stopping::Stoppers;
use crate::run::{post, whereabouts, yardstick};

/// All vCPUs.
#[derive(Debug)]
pub(crate) struct Crew {
    boot: Processor,
    others: Vec<Processor>,
    /// The vCPU whose exit ended the last run, and which `reply` answers.
    ended_by: u32,
    /// Exits that runs have reported, modulo 2^64; a further one may be found when an access is
    /// completed after its run.
    reported: u64,
    /// A run is in progress, or was left by a panic, after which the guest's pending question is
    /// lost.
    broken: bool,
}

impl Crew {
    pub fn new(mut boot: Processor, mut others: Vec<Processor>) -> Self {
        boot.is_alone = others.is_empty();
        for other in &mut others {
            other.sampler = Arc::clone(&boot.sampler);
        }
        Self {
            boot,
            others,
            ended_by: BOOT_VCPU,
            reported: 0,
            broken: false,
        }
    }

    pub const fn count(&self) -> u32 {
        1 + self.others.len() as u32
    }

    /// The only one, after the others.
    pub fn into_boot(self) -> Processor {
        self.boot
    }

    pub const fn boot_mut(&mut self) -> &mut Processor {
        &mut self.boot
    }

    pub fn get_mut(&mut self, index: u32) -> Option<&mut Processor> {
        match index {
            BOOT_VCPU => Some(&mut self.boot),
            _ => self.others.get_mut(index as usize - 1),
        }
    }

    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut Processor> {
        std::iter::once(&mut self.boot).chain(&mut self.others)
    }

    /// The one whose exit ended the last run.
    pub fn last_ended(&mut self) -> &mut Processor {
        let index = self.ended_by;
        match self.others.get_mut((index as usize).wrapping_sub(1)) {
            Some(processor) => processor,
            None => &mut self.boot,
        }
    }

    /// Maps the kernel's ring of coalesced writes for every vCPU; a further time it does nothing.
    pub fn map_coalesced(&mut self) -> Result<()> {
        self.all_mut()
            .try_for_each(|processor| processor.vcpu.map_coalesced())
    }

    /// Takes what is in the kernel's ring to the routes.
    pub fn gather(&mut self, bus: &mut Bus) -> Result<()> {
        post::last_coalesced(&mut self.boot.vcpu, bus)
    }

    /// The state of all vCPUs.
    pub fn save(&mut self, counters: &Counters) -> Result<CrewState> {
        self.check_whole()?;
        let others = self.others.iter_mut().map(Processor::save);
        Ok(CrewState {
            boot: self.boot.save()?,
            others: others.collect::<Result<_>>()?,
            ended_by: self.ended_by,
            unreported: counters.total_exits().wrapping_sub(self.reported),
        })
    }

    /// Drops what waits, before memory and vCPUs are put back.
    pub fn abandon(&mut self) -> Result<()> {
        self.check_whole()?;
        self.all_mut().try_for_each(Processor::abandon)
    }

    /// Puts the state of as many vCPUs back.
    pub fn restore(&mut self, state: &CrewState, counters: &Counters) -> Result<()> {
        self.boot.restore(&state.boot)?;
        for (processor, state) in self.others.iter_mut().zip(&state.others) {
            processor.restore(state)?;
        }
        self.ended_by = state.ended_by;
        self.reported = counters.total_exits().wrapping_sub(state.unreported);
        Ok(())
    }

    fn check_whole(&self) -> Result<()> {
        if self.broken {
            return Err(Error::internal("an earlier run of this machine panicked"));
        }
        Ok(())
    }

    /// The state of a bus, with what the kernel has gathered for it.
    pub fn save_bus(&mut self, bus: &mut Bus) -> Result<BusState> {
        self.gather(bus)?;
        Ok(bus.save())
    }

    /// Puts the state of a bus back; what the kernel has gathered since is gone.
    pub fn restore_bus(&mut self, bus: &mut Bus, state: &BusState) -> Result<()> {
        self.gather(bus)?;
        bus.restore(state)
    }

    /// Runs the only vCPU, or the one that alone shall run, on this thread.
    pub fn run_alone(
        &mut self,
        scene: Scene<'_>,
        kick: &KickHandle,
        limits: RunLimits,
        handler: &mut dyn ExitHandler,
    ) -> Result<Outcome> {
        let alone = scene.alone(&limits);
        if alone.is_none() && !self.others.is_empty() {
            return Err(Error::new(
                ErrorCode::InvalidOption,
                format!(
                    "runSync has one thread, and this machine has {} vCPUs; use run()",
                    self.count()
                ),
            ));
        }
        let begin = self.start()?;
        let index = alone.unwrap_or(BOOT_VCPU);
        let Some(processor) = self.get_mut(index) else {
            return Err(no_vcpu(index));
        };
        if let Some(end) = processor.kept.take() {
            return self.finish(scene, begin, 0, Ok((index, end)));
        }
        let stoppers = Stoppers::new(scene.stops.list(), limits.steps, scene.memory, kick, 1)?;
        let watched = (Alarm::set(limits, kick)?, self.boot.sampler.attend(kick));
        scene.bus.run(true);
        let desk = Desk {
            bus: BusAccess::Alone(&mut *scene.bus),
            handler,
            kick,
            vcpu: index,
            counters: scene.counters,
        };
        self.broken = true;
        let Some(processor) = self.get_mut(index) else {
            return Err(no_vcpu(index));
        };
        let end = Run::new(processor, desk, limits, stoppers.as_ref()).until_end();
        let completed = processor.complete_at_end();
        let end = end.and_then(|end| completed.map(|()| end));
        drop(watched);
        let stepped = stoppers.map_or(0, |stoppers| stoppers.stepped());
        self.finish(scene, begin, stepped, end.map(|end| (index, end)))
    }

    /// Runs every vCPU until one of them ends the run: the first on this thread, each other on a
    /// thread of its own.
    pub fn run_together<H: ExitHandler + Send>(
        &mut self,
        scene: Scene<'_>,
        kick: &KickHandle,
        limits: RunLimits,
        handlers: &mut [H],
    ) -> Result<Outcome> {
        let (count, vcpus) = (handlers.len(), self.count());
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
            return self.run_alone(scene, kick, limits, first);
        }
        let begin = self.start()?;
        let alone = scene.alone(&limits);
        let is_wanted = |vcpu| alone.is_none_or(|alone| alone == vcpu);
        if let Some(end) = self.take_kept(is_wanted) {
            return self.finish(scene, begin, 0, Ok(end));
        }
        let stoppers = Stoppers::new(scene.stops.list(), limits.steps, scene.memory, kick, vcpus)?;
        let watched = (Alarm::set(limits, kick)?, self.boot.sampler.attend(kick));
        self.broken = true;
        scene.bus.run(true);
        let verdict = Mutex::new(None);
        let shift = Shift {
            kick,
            limits,
            verdict: &verdict,
            bus: &*scene.bus,
            counters: scene.counters,
            stoppers: stoppers.as_ref(),
        };
        std::thread::scope(|scope| {
            for (processor, handler) in self.others.iter_mut().zip(&mut *rest) {
                let index = processor.index;
                if !is_wanted(index) {
                    continue;
                }
                let name = format!("vmexit-vcpu{index}");
                let shift = &shift;
                let work = move || shift.run(processor, handler);
                if let Err(error) = Builder::new().name(name).spawn_scoped(scope, work) {
                    shift.judge(index, Err(Error::thread(&error)));
                    kick.kick(KickCause::Peer);
                }
            }
            if is_wanted(BOOT_VCPU) {
                shift.run(&mut self.boot, first);
            }
        });
        if !shift.is_paused() {
            // P6: one left for a pause, and another has ended the run.
            for (processor, handler) in self.all_mut().zip(handlers) {
                if handler.left_open() != LeftOpen::Nothing {
                    shift.run(processor, handler);
                }
            }
        }
        drop(watched);
        let stepped = stoppers.as_ref().map_or(0, Stoppers::stepped);
        drop(stoppers);
        let end = verdict.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.finish(
            scene,
            begin,
            stepped,
            end.unwrap_or_else(|| Err(no_reason())),
        )
    }

    /// The loop that answers nothing; the time it took.
    pub fn run_bare(&mut self, timeout: Duration) -> Result<Duration> {
        yardstick::run(&mut self.boot, timeout)
    }

    /// Refuses to continue while the guest waits for a value, or if a pending question was lost.
    pub fn check_ready(&mut self) -> Result<()> {
        self.check_whole()?;
        if let Pending::Reply(exit) = &self.last_ended().pending {
            let what = exit.name();
            return Err(Error::new(
                ErrorCode::UnansweredRead,
                format!(
                    "the guest waits for the value of an unclaimed {what}; call reply(value) before run"
                ),
            ));
        }
        Ok(())
    }

    fn start(&mut self) -> Result<Instant> {
        self.check_ready()?;
        Ok(Instant::now())
    }

    /// Assembles the outcome of a run. Text of a failed run is kept for the next.
    fn finish(
        &mut self,
        scene: Scene<'_>,
        begin: Instant,
        instructions: u64,
        end: Result<(u32, End)>,
    ) -> Result<Outcome> {
        scene.bus.run(false);
        let mut outcome = self.sum_up(scene, begin, end);
        if let Ok(outcome) = &mut outcome {
            outcome.instructions = instructions;
        }
        self.broken = matches!(&outcome, Err(error) if error.code == ErrorCode::Internal);
        outcome
    }

    fn sum_up(
        &mut self,
        scene: Scene<'_>,
        begin: Instant,
        end: Result<(u32, End)>,
    ) -> Result<Outcome> {
        let total = scene.counters.total_exits();
        let exits = total.wrapping_sub(std::mem::replace(&mut self.reported, total));
        let gathered = post::last_coalesced(&mut self.boot.vcpu, scene.bus);
        let (index, end) = end?;
        gathered?;
        let vcpu = match end {
            End::Kicked(_) => None,
            _ => {
                self.ended_by = index;
                Some(index)
            }
        };
        let is_paused = matches!(end, End::Kicked(KickCause::Pause));
        let (output, undelivered) = if is_paused {
            // It waits for the rest of the run.
            Default::default()
        } else {
            (scene.bus.take_output(), scene.bus.take_undelivered())
        };
        let mut outcome = Outcome {
            end,
            vcpu,
            whereabouts: None,
            shutdown: None,
            output,
            undelivered,
            exits,
            instructions: 0,
            duration: begin.elapsed(),
        };
        if whereabouts::is_asked(&outcome.end) {
            self.look_at(&mut outcome, vcpu.unwrap_or(BOOT_VCPU), scene.memory);
        }
        Ok(outcome)
    }

    /// Notes where a vCPU is whose end users ask about.
    fn look_at(&mut self, outcome: &mut Outcome, vcpu: u32, memory: &GuestMemory) {
        let Some(processor) = self.get_mut(vcpu) else {
            return;
        };
        outcome.whereabouts = whereabouts::of(processor, memory, &outcome.end);
        if matches!(&outcome.end, End::Exit(record) if record.exit == Exit::Shutdown) {
            let at = outcome.whereabouts.as_ref();
            outcome.shutdown = Some(whereabouts::shutdown(processor, at));
        }
    }

    /// How a vCPU would have ended the last run, had another not been first.
    fn take_kept(&mut self, is_wanted: impl Fn(u32) -> bool) -> Option<(u32, End)> {
        self.all_mut()
            .filter(|processor| is_wanted(processor.index))
            .find_map(|processor| Some((processor.index, processor.kept.take()?)))
    }
}

fn no_vcpu(index: u32) -> Error {
    let what = format!("the machine has no vCPU {index}");
    Error::new(ErrorCode::InvalidOption, what)
}

fn no_reason() -> Error {
    Error::internal("a run ended without a reason")
}
