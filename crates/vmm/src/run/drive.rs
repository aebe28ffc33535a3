//! The loop of one vCPU: enter, have the exit answered, settle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use boot::paging::PagingState;

use crate::bus::Access;
use crate::debug::{self, Caught, VirtualMemory};
use crate::error::Result;
use crate::interrupts::Injection;
use crate::kvm::exit::Exit;
use crate::kvm::kick::{Attached, KickCause};
use crate::kvm::vcpu::Entry;
use crate::run::ask::{self, Asker};
use crate::run::clock::RunLimits;
use crate::run::desk::{Desk, told};
use crate::run::handler::LeftOpen;
use crate::run::outcome::{End, ExitRecord};
use crate::run::processor::{Pending, Processor};
use crate::run::stopping::{Stoppers, Stopping, Way};
use crate::run::verdict::Verdict;
use crate::run::{post, text};

/// An application processor sleeps in KVM until it is started, after a refused entry or two. If
/// entries are refused more often, something keeps KVM from waiting, such as an NMI.
const MOST_REFUSALS: u32 = 8;

/// Between looks at a processor that is not started.
const REFUSED: Duration = Duration::from_millis(1);

/// One vCPU's part of a run.
pub(crate) struct Run<'a> {
    pub processor: &'a mut Processor,
    pub desk: Desk<'a>,
    pub limits: RunLimits,
    /// Entries in a row that KVM has refused, the vCPU not being started yet.
    pub refusals: u32,
    /// Only in a run that has stops.
    pub stopping: Option<Box<Stopping<'a>>>,
}

impl<'a> Run<'a> {
    pub fn new(
        processor: &'a mut Processor,
        desk: Desk<'a>,
        limits: RunLimits,
        stoppers: Option<&'a Stoppers<'a>>,
    ) -> Self {
        Self {
            processor,
            desk,
            limits,
            refusals: 0,
            stopping: stoppers.map(|all| Box::new(Stopping::new(all))),
        }
    }

    /// Runs the vCPU until it ends the run, or is kicked. What its last exit asked may still be
    /// KVM's to take over.
    pub fn until_end(&mut self) -> Result<End> {
        let end = self.until_any_end();
        self.processor.leaves();
        let end = self.processor.settle_user().and(end);
        match &self.stopping {
            None => end,
            Some(stopping) => stopping.end(self.processor).and(end),
        }
    }

    fn until_any_end(&mut self) -> Result<End> {
        if self.stopping.is_some() {
            // Stops look at registers, which are final then.
            self.processor.complete()?;
        }
        if let Some(user) = &mut self.processor.user
            && !user.begin(&mut self.processor.vcpu)?
        {
            return Ok(End::Kicked(KickCause::Stop));
        }
        let page = Arc::clone(self.processor.vcpu.page());
        let attached = self.desk.kick.attach(self.processor.index, &page)?;
        // P4: text on its way when a pause came.
        text::catch_up(&mut self.desk)?;
        let mut exits = 0;
        loop {
            // R2 (docs/stop.md): a kick that came before is found here, one that comes later
            // interrupts R3.
            let was_open = self.is_left_open();
            if let Some(cause) = self.desk.kick.requested()
                // P5: what a handler has seen before a pause is settled before the run ends.
                && (!was_open || cause == KickCause::Pause)
            {
                return Ok(End::Kicked(cause));
            }
            let pending = std::mem::replace(&mut self.processor.pending, Pending::Nothing);
            let (exit, from) = match pending {
                // The stop was removed during a pause, and there is no other.
                Pending::Open(Exit::Debug { .. }, _) if self.stopping.is_none() => {
                    self.desk.handler.forget();
                    continue;
                }
                Pending::Open(exit, from) => {
                    self.processor.show_owed()?;
                    (exit, from)
                }
                _ => match self.enter(&attached)? {
                    Some(exit) => (exit, 0),
                    None => continue,
                },
            };
            let (access, verdict) = self.judge(&exit, from);
            let verdict = verdict.unwrap_or_else(|error| Verdict::Failed(Some(from), error));
            if was_open && !matches!(verdict, Verdict::Kicked(Some(_))) {
                // Something else may have answered: a route that was attached meanwhile.
                self.desk.handler.forget();
            }
            let done = self.stopping.is_some().then(|| exit.clone());
            if let Some(end) = self.settle(exit, access, verdict)? {
                return Ok(end);
            }
            if let Some(exit) = done {
                self.finish_step(&exit, &attached)?;
            }
            exits += u64::from(!matches!(self.processor.pending, Pending::Open(..)));
            if self.limits.exits.is_some_and(|most| exits >= most) {
                return Ok(End::Kicked(KickCause::Stop));
            }
        }
    }

    /// An instruction that is stepped and has exited for something else is completed, and told of.
    fn finish_step(&mut self, exit: &Exit, attached: &Attached<'_>) -> Result<()> {
        let (Some(stopping), false) = (
            &self.stopping,
            matches!(self.processor.pending, Pending::Open(..)),
        ) else {
            return Ok(());
        };
        if let Some(stepped) = stopping.complete(exit, self.processor)? {
            self.processor.pending = Pending::Open(stepped, 0);
        }
        attached.has_completed();
        Ok(())
    }

    /// Whether a handler has seen the open access before a pause.
    fn is_left_open(&self) -> bool {
        matches!(self.processor.pending, Pending::Open(..))
            && self.desk.handler.left_open() == LeftOpen::Answer
    }

    /// Passes KVM the next queued interrupt, right before an entry; only after that entry does KVM
    /// report whether it takes another. If the guest does not take interrupts yet, the loop asks
    /// again when it does.
    fn inject(&mut self) -> Result<()> {
        let (vcpu, waiting) = (&mut self.processor.vcpu, &self.processor.injections);
        while let Some(injection) = waiting.first() {
            match injection {
                Injection::Nmi => {
                    vcpu.nmi()?;
                    self.processor.nmi_sent = true;
                }
                Injection::Vector(vector) if vcpu.takes_interrupt() => vcpu.interrupt(vector)?,
                Injection::Vector(_) => break,
            }
            waiting.remove(injection);
            if matches!(injection, Injection::Vector(_)) {
                // KVM holds one; a second would replace it.
                break;
            }
        }
        vcpu.want_interrupt_window(waiting.waits());
        Ok(())
    }

    /// Whether the vCPU takes none before its next instruction, of which it was told.
    fn holds_interrupts(&mut self) -> Result<bool> {
        match &self.stopping {
            Some(stopping) => stopping.holds_interrupts(self.processor),
            None => Ok(false),
        }
    }

    /// R3: the guest runs.
    fn enter(&mut self, attached: &Attached<'_>) -> Result<Option<Exit>> {
        if self.processor.injections.waits() && !self.holds_interrupts()? {
            self.inject()?;
        }
        if let Some(stopping) = &mut self.stopping {
            match stopping.prepare(self.processor)? {
                Way::Enter => {}
                Way::At(exit) => return Ok(Some(exit)),
                Way::Kicked => return Ok(None),
            }
        }
        if let Some(user) = &mut self.processor.user {
            user.prepare(&mut self.processor.vcpu)?;
        }
        self.processor.enters();
        let begin = self.limits.time_kvm_run.then(Instant::now);
        attached.enter();
        let entry = self.processor.vcpu.enter();
        attached.leave();
        if let Some(stopping) = &self.stopping {
            stopping.leave();
        }
        if let Some(begin) = begin {
            let ns = begin.elapsed().as_nanos() as u64;
            self.desk.counters.kvm_run_ns.add(ns);
        }
        let entry = entry?;
        if !matches!(entry, Entry::NotStarted) {
            self.refusals = 0;
        }
        match entry {
            Entry::Exit(exit) => {
                self.processor.count(&exit);
                match &self.stopping {
                    Some(stopping) => stopping.canonical(exit, self.processor).map(Some),
                    None => Ok(Some(exit)),
                }
            }
            // The loop looks at what waits to be injected.
            Entry::InterruptWindow => Ok(None),
            Entry::Interrupted => {
                self.desk.counters.kicks.add(1);
                self.look_around(attached)
            }
            Entry::NotStarted => {
                self.refusals += 1;
                if self.refusals > MOST_REFUSALS {
                    // A kick, a nudge and a poke unpark it.
                    std::thread::park_timeout(REFUSED);
                }
                self.look_around(attached)
            }
        }
    }

    /// R4: what interrupted the entry is handled.
    fn look_around(&mut self, attached: &Attached<'_>) -> Result<Option<Exit>> {
        let is_nudge = attached.acknowledge();
        let processor = &mut *self.processor;
        let (vcpu, has_apic) = (&mut processor.vcpu, processor.irqchip);
        processor.sampler.look(processor.index, vcpu, has_apic);
        if is_nudge {
            self.tick()?;
        }
        Ok(None)
    }

    /// The work of a nudge: waiting text is delivered, and the handler is asked a tick.
    fn tick(&mut self) -> Result<()> {
        text::flush_all(&mut self.desk)?;
        if self.desk.bus.bus().coalesces {
            post::drain_coalesced(&mut self.desk, &mut self.processor.vcpu)?;
        }
        post::announce(&mut self.desk)?;
        told(self.desk.handler.tick())
    }

    /// What an exit comes to, and the access that it is, if a route claims it.
    fn judge(&mut self, exit: &Exit, from: usize) -> (Option<Access>, Result<Verdict>) {
        let bus = self.desk.bus.bus();
        let (coalesces, counts) = (bus.coalesces, bus.counts);
        // What the kernel has gathered is older than this exit, unless it was seen before a pause.
        if coalesces && self.desk.handler.left_open() != LeftOpen::Answer {
            match post::drain_coalesced(&mut self.desk, &mut self.processor.vcpu) {
                Ok(true) => {}
                Ok(false) => return (None, Ok(Verdict::Kicked(Some(from)))),
                Err(error) => return (None, Err(error)),
            }
        }
        // So is what it has counted.
        if counts
            && self.desk.handler.takes_at_once()
            && let Err(error) = post::announce(&mut self.desk)
        {
            return (None, Err(error));
        }
        if let (Exit::Debug { .. }, Some(stopping)) = (exit, &self.stopping) {
            let verdict = stopping.judge(exit, from, self.processor, &mut self.desk);
            return (None, verdict);
        }
        if let Some(caught) = self.caught(exit) {
            let verdict = caught.and_then(|caught| self.processor.refused(caught));
            return (None, verdict);
        }
        if self.processor.user.is_some() {
            return (None, self.processor.judge_user(exit));
        }
        if exit.is_access() {
            let asker = Asker {
                index: self.processor.index,
                vcpu: &mut self.processor.vcpu,
                desk: &mut self.desk,
            };
            return ask::answer(asker, exit, from);
        }
        // What waits ends a halt, if the guest takes it.
        if matches!(exit, Exit::Hlt) {
            match self.processor.wakes() {
                Ok(false) => {}
                woken => return (None, woken.map(|_| Verdict::Nothing)),
            }
        }
        let record = ExitRecord {
            exit: exit.clone(),
            data: Vec::new(),
        };
        (None, Ok(Verdict::Over(End::Exit(record))))
    }

    /// The fault that an exit tells of, if a stub of the trap table has made it.
    fn caught(&mut self, exit: &Exit) -> Option<Result<Box<Caught>>> {
        if !self.processor.faults || !debug::is_told(exit) {
            return None;
        }
        let vcpu = &mut self.processor.vcpu;
        let registers = vcpu.registers();
        let special = vcpu.special_registers();
        let (registers, special) = match (registers, special) {
            (Ok(registers), Ok(special)) => (registers, special),
            (Err(error), _) | (_, Err(error)) => return Some(Err(error)),
        };
        let paging = PagingState::new(&special, vcpu.paging);
        let memory = VirtualMemory::new(paging, vcpu.page().memory());
        let mut caught = debug::caught_in(&registers, &special, &memory)?;
        self.processor.stops.take_trap_flag(&mut caught.registers);
        Some(Ok(Box::new(caught)))
    }

    /// Writes down what became of an exit: what is pending, and what is counted. Nothing else does.
    fn settle(
        &mut self,
        exit: Exit,
        access: Option<Access>,
        verdict: Verdict,
    ) -> Result<Option<End>> {
        let flushes = matches!(verdict, Verdict::Flush);
        let (rest, next) = match verdict {
            Verdict::Done | Verdict::Flush | Verdict::Nothing => (None, Ok(None)),
            Verdict::End(end) | Verdict::Over(end) => (None, Ok(Some(end))),
            Verdict::Fault(caught) => {
                let fault = caught.fault;
                self.processor.reads.clear();
                self.processor.pending = Pending::Caught(caught);
                return Ok(Some(End::Fault(fault)));
            }
            Verdict::Mended(caught) => {
                self.processor.pending = Pending::Caught(caught);
                self.processor.complete()?;
                return Ok(None);
            }
            Verdict::AwaitsReply(end) => {
                self.processor.pending = Pending::Reply(exit);
                return Ok(Some(end));
            }
            Verdict::Kicked(rest) => (rest, Ok(None)),
            Verdict::Failed(rest, error) => (rest, Err(error)),
        };
        if let Some(from) = rest {
            self.processor.pending = Pending::Open(exit, from);
            return next;
        }
        if let Some(stopping) = &self.stopping {
            stopping.settled(&exit, self.processor);
        }
        let route = access.map(|access| access.route);
        self.processor.pending = self.processor.done(&exit, route)?;
        if let Some(access) = access {
            self.desk.bus.bus().count(&access);
            if flushes {
                text::flush(&mut self.desk, &access)?;
            }
        }
        next
    }
}
