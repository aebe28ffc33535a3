//! The run loop of one vCPU: enter, decode, route, answer.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::access::Access;
use crate::bus::BusAccess;
use crate::device::Reaction;
use crate::error::{Error, ErrorCode, Result};
use crate::events::Event;
use crate::exit::Exit;
use crate::gate::{Gate, Turn};
use crate::handler::{Answer, ExitHandler, Question};
use crate::kick::{Attached, KickHandle};
use crate::machine::{Machine, Wiring};
use crate::outcome::{End, ExitRecord, Outcome};
use crate::processor::{Pending, Processor};
use crate::timekeeper::{Alarm, RunLimits};
use crate::vcpu::Entry;

/// An application processor sleeps in KVM until it is started, with a look or two; one that is refused more often has something
/// that keeps KVM from waiting, such as an NMI.
const MOST_REFUSALS: u32 = 8;

/// Between looks at a processor that is not started.
const REFUSED: Duration = Duration::from_millis(1);

/// What an answer means for the loop.
pub(crate) enum Next {
    /// Enter again.
    Enter,
    /// The run is over.
    End(End),
    /// A kick came while something was asked; the exit waits for the next run.
    Kicked,
}

impl Machine {
    /// Runs the vCPU of a machine that has one, on this thread, until something ends the run.
    ///
    /// A further run goes on where this one ended.
    ///
    /// # Errors
    /// `UnansweredRead` while the guest waits for [`reply`](Self::reply), `Handler` when the handler fails,
    /// `KvmIoctl` when `KVM_RUN` does, `InvalidOption` when there are several vCPUs, `Internal` ever after a run that
    /// panicked.
    pub fn run(
        &mut self,
        kick: &KickHandle,
        limits: RunLimits,
        handler: &mut dyn ExitHandler,
    ) -> Result<Outcome> {
        if !self.others.is_empty() {
            return Err(Error::new(
                ErrorCode::InvalidOption,
                format!(
                    "runSync has one thread, and this machine has {} vCPUs; use run()",
                    self.vcpus()
                ),
            ));
        }
        let start = self.start()?;
        let bus = self.bus.get_mut().unwrap_or_else(PoisonError::into_inner);
        let alarm = Alarm::set(limits, kick)?;
        self.broken = true;
        let run = Run {
            processor: &mut self.boot,
            bus: BusAccess::Alone(bus),
            wiring: &self.wiring,
            kick,
            handler,
            time_kvm_run: limits.time_kvm_run,
            refusals: 0,
        };
        let end = run.drive();
        drop(alarm);
        self.finish(&start, end.map(|end| (self.boot.index, end)))
    }
}

/// One vCPU's part of a run.
pub(crate) struct Run<'a> {
    pub processor: &'a mut Processor,
    pub bus: BusAccess<'a>,
    pub wiring: &'a Wiring,
    pub kick: &'a KickHandle,
    pub handler: &'a mut dyn ExitHandler,
    pub time_kvm_run: bool,
    /// Entries in a row that KVM has refused, the vCPU not being started yet.
    pub refusals: u32,
}

impl Run<'_> {
    /// Runs the vCPU until it ends the run, or is kicked; what its last exit asked is then taken over by KVM.
    pub fn drive(mut self) -> Result<End> {
        let end = self.until_end();
        let completed = self.processor.complete();
        let end = end?;
        completed?;
        Ok(end)
    }

    /// As [`drive`](Self::drive), but for what KVM is to take over.
    pub fn until_end(&mut self) -> Result<End> {
        let page = Arc::clone(self.processor.vcpu.page());
        let attached = self.kick.attach(self.processor.index, &page)?;
        loop {
            // R2 (docs/stop.md): a kick that came before is found here, one that comes later interrupts R3.
            if let Some(cause) = self.kick.requested() {
                return Ok(End::Kicked(cause));
            }
            let pending = std::mem::replace(&mut self.processor.pending, Pending::Nothing);
            let (exit, from) = match pending {
                Pending::Open(exit, from) => (exit, from),
                _ => match self.enter(&attached)? {
                    Some(exit) => (exit, 0),
                    None => continue,
                },
            };
            match self.answer(exit, from)? {
                Next::Enter | Next::Kicked => {}
                Next::End(end) => return Ok(end),
            }
        }
    }

    /// Hands KVM what waits to interrupt the guest, right before an entry, which alone tells whether KVM takes another. What the
    /// guest does not take yet is asked for again when it does.
    fn inject(&mut self) -> Result<()> {
        let (vcpu, events) = (&mut self.processor.vcpu, &self.processor.events);
        while let Some(event) = events.first() {
            match event {
                Event::Nmi => {
                    vcpu.nmi()?;
                    self.processor.nmi_sent = true;
                }
                Event::Vector(vector) if vcpu.takes_interrupt() => vcpu.interrupt(vector)?,
                Event::Vector(_) => break,
            }
            events.remove(event);
            if matches!(event, Event::Vector(_)) {
                // KVM holds one; a second would replace it.
                break;
            }
        }
        vcpu.want_interrupt_window(events.waits());
        Ok(())
    }

    /// R3: the guest runs.
    fn enter(&mut self, attached: &Attached<'_>) -> Result<Option<Exit>> {
        if self.processor.events.waits() {
            self.inject()?;
        }
        let begin = self.time_kvm_run.then(Instant::now);
        attached.enter();
        let entry = self.processor.vcpu.enter();
        attached.leave();
        if let Some(begin) = begin {
            let ns = begin.elapsed().as_nanos() as u64;
            self.wiring.counters.kvm_run_ns.add(ns);
        }
        let entry = entry?;
        if !matches!(entry, Entry::NotStarted) {
            self.refusals = 0;
        }
        match entry {
            Entry::Exit(exit) => {
                self.wiring.counters.count_exit(&exit);
                Ok(Some(exit))
            }
            // The loop looks at what waits to be injected.
            Entry::InterruptWindow => Ok(None),
            Entry::Interrupted => {
                self.wiring.counters.kicks.add(1);
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

    /// R4: what interrupted the entry has been heard.
    fn look_around(&mut self, attached: &Attached<'_>) -> Result<Option<Exit>> {
        if attached.acknowledge() {
            self.tick()?;
        }
        Ok(None)
    }

    fn answer(&mut self, exit: Exit, from: usize) -> Result<Next> {
        // What the kernel has gathered is older than this exit.
        if self.wiring.coalesces {
            let drained = self.drain_coalesced();
            if !matches!(drained, Ok(true)) {
                self.processor.pending = Pending::Open(exit, from);
                return drained.map(|_| Next::Kicked);
            }
        }
        // So is what it has counted.
        if self.wiring.counts && self.handler.takes_at_once() {
            self.announce()
                .inspect_err(|_| self.processor.pending = Pending::Open(exit.clone(), from))?;
        }
        match (&exit, self.wiring.routes.claim(&exit)) {
            (_, Some(access)) => self.answer_route(exit, access, from),
            (Exit::PioOut(_) | Exit::PioIn(_) | Exit::MmioWrite(_) | Exit::MmioRead(_), None) => {
                self.answer_unclaimed(exit)
            }
            // What waits ends the halt, if the guest takes it.
            (Exit::Hlt, None) if self.processor.wakes()? => Ok(Next::Enter),
            _ => Ok(Next::End(End::Exit(ExitRecord {
                exit,
                data: Vec::new(),
            }))),
        }
    }

    fn answer_route(&mut self, exit: Exit, access: Access, from: usize) -> Result<Next> {
        let data = self.processor.vcpu.access_data(&exit)?;
        let reaction = self.bus.with(|bus| {
            let device = bus.devices.get_mut(access.route)?;
            Some(if access.write {
                device.write(&access, data, &mut bus.output)
            } else {
                device.read(&access, data)
            })
        });
        match reaction.unwrap_or(Reaction::Unclaimed) {
            Reaction::Done => self.processor.pending = Pending::Answered,
            Reaction::Stop(code) => {
                let record = ExitRecord {
                    data: data.to_vec(),
                    exit,
                };
                self.processor.pending = Pending::Answered;
                self.count_items(&access);
                return Ok(Next::End(End::ExitPort { code, record }));
            }
            Reaction::Power(request) => {
                let record = ExitRecord {
                    data: data.to_vec(),
                    exit,
                };
                self.processor.pending = Pending::Answered;
                self.count_items(&access);
                return Ok(Next::End(End::Power { request, record }));
            }
            Reaction::Flush => {
                self.processor.pending = Pending::Answered;
                self.count_items(&access);
                self.flush(access.route)?;
                return Ok(Next::Enter);
            }
            Reaction::Ask => {
                self.flush_before(&exit, from)?;
                let wiring = self.wiring;
                let Some(turn) = self.turn(&wiring.gates, access.route) else {
                    self.processor.pending = Pending::Open(exit, from);
                    return Ok(Next::Kicked);
                };
                let next = self.ask_device(exit, &access, from);
                drop(turn);
                return next;
            }
            Reaction::Post => return self.post(exit, &access, from),
            Reaction::Unclaimed => return self.answer_unclaimed(exit),
        }
        self.count_items(&access);
        Ok(Next::Enter)
    }

    /// The right to ask about a route; `None` when a kick came before it.
    fn turn<'g>(&self, gates: &'g [Gate], route: usize) -> Option<Turn<'g>> {
        gates.get(route)?.enter(|| self.kick.requested().is_some())
    }

    pub(crate) fn count_items(&self, access: &Access) {
        self.wiring.count_items(access);
    }

    /// What a nudge is for: text that waits goes out, and the handler may look around.
    fn tick(&mut self) -> Result<()> {
        self.flush_all()?;
        if self.wiring.coalesces {
            self.drain_coalesced()?;
        }
        self.announce()?;
        match self.handler.answer(Question::Tick) {
            Answer::Failed => Err(handler_failed()),
            _ => Ok(()),
        }
    }

    /// Hands over what was posted, and the text that waits, before a question, whose answer may take long; after a failure the
    /// exit waits.
    pub(crate) fn flush_before(&mut self, exit: &Exit, from: usize) -> Result<()> {
        self.announce()
            .and_then(|()| self.flush_all())
            .inspect_err(|_| self.processor.pending = Pending::Open(exit.clone(), from))
    }

    /// Hands over the text that waits, but for that of a route whose text another vCPU is handing over.
    fn flush_all(&mut self) -> Result<()> {
        let wiring = self.wiring;
        for &route in &wiring.consoles {
            let waits = self
                .bus
                .with(|bus| bus.console(route).is_some_and(|console| console.waits()));
            if !waits {
                continue;
            }
            let turn = wiring.gates.get(route).and_then(Gate::try_enter);
            if let Some(turn) = turn {
                self.hand_over(route)?;
                drop(turn);
            }
        }
        Ok(())
    }

    /// Hands over the text of a route, when it is its turn.
    fn flush(&mut self, route: usize) -> Result<()> {
        let wiring = self.wiring;
        match self.turn(&wiring.gates, route) {
            Some(_turn) => self.hand_over(route),
            None => Ok(()),
        }
    }

    fn hand_over(&mut self, route: usize) -> Result<()> {
        self.announce()?;
        let Some(bytes) = self.bus.with(|bus| bus.console(route)?.take()) else {
            return Ok(());
        };
        let answer = self.handler.answer(Question::Console {
            route,
            bytes: &bytes,
        });
        let unseen = answer == Answer::Withdrawn;
        self.bus.with(|bus| {
            if let Some(console) = bus.console(route) {
                console.give_back(bytes, unseen);
            }
        });
        match answer {
            Answer::Failed => Err(handler_failed()),
            _ => Ok(()),
        }
    }
}

pub(crate) fn handler_failed() -> Error {
    Error::new(ErrorCode::Handler, "a handler failed")
}
