//! The run loop: enter, decode, route, answer.

use std::time::Instant;

use crate::access::Access;
use crate::devices::{Device, Reaction, fill_items, item};
use crate::error::{Error, ErrorCode, Result};
use crate::exit::Exit;
use crate::handler::{Answer, ExitHandler, Question};
use crate::kick::{Attached, KickHandle};
use crate::machine::{Machine, Pending};
use crate::outcome::{End, ExitRecord, Outcome};
use crate::output::Output;
use crate::timekeeper::{Alarm, RunLimits};
use crate::vcpu::Entry;

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
    /// Runs the vCPU on this thread until something ends the run.
    ///
    /// A further run goes on where this one ended.
    ///
    /// # Errors
    /// `UnansweredRead` while the guest waits for [`reply`](Self::reply), `Handler` when the handler fails,
    /// `KvmIoctl` when `KVM_RUN` does.
    pub fn run(
        &mut self,
        kick: &KickHandle,
        limits: RunLimits,
        handler: &mut dyn ExitHandler,
    ) -> Result<Outcome> {
        if let Pending::Reply(exit) = &self.pending {
            let what = exit.name();
            return Err(Error::new(
                ErrorCode::UnansweredRead,
                format!(
                    "the guest waits for the value of an unclaimed {what}; call reply(value) before run"
                ),
            ));
        }
        let begin = Instant::now();
        let exits_before = self.counters.total_exits();
        let attached = kick.attach(self.vcpu.page())?;
        let alarm = Alarm::set(limits, kick)?;
        let mut run = Run {
            machine: self,
            kick,
            attached,
            handler,
            time_kvm_run: limits.time_kvm_run,
            output: Output::default(),
        };
        let end = run.until_end();
        let gathered = run.last_coalesced();
        let output = std::mem::take(&mut run.output);
        drop(run);
        drop(alarm);
        let completed = self.complete();
        let end = end?;
        gathered.and(completed)?;
        Ok(Outcome {
            end,
            output,
            undelivered: self.take_undelivered(),
            exits: self.counters.total_exits() - exits_before,
            duration: begin.elapsed(),
        })
    }

    fn take_undelivered(&mut self) -> Vec<(usize, Vec<u8>)> {
        let consoles =
            self.devices
                .iter_mut()
                .enumerate()
                .filter_map(|(route, device)| match device {
                    Device::Console(console) => Some((route, console)),
                    _ => None,
                });
        consoles
            .filter_map(|(route, console)| {
                let bytes = console.waiting()?.to_vec();
                console.clear();
                Some((route, bytes))
            })
            .collect()
    }
}

pub(crate) struct Run<'a> {
    pub(crate) machine: &'a mut Machine,
    pub(crate) kick: &'a KickHandle,
    attached: Attached<'a>,
    pub(crate) handler: &'a mut dyn ExitHandler,
    time_kvm_run: bool,
    output: Output,
}

impl Run<'_> {
    fn until_end(&mut self) -> Result<End> {
        loop {
            // R2 (docs/stop.md): a kick that came before is found here, one that comes later interrupts R3.
            if let Some(cause) = self.kick.requested() {
                return Ok(End::Kicked(cause));
            }
            let (exit, from) = match std::mem::replace(&mut self.machine.pending, Pending::Nothing)
            {
                Pending::Open(exit, from) => (exit, from),
                _ => match self.enter()? {
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

    /// R3: the guest runs.
    fn enter(&mut self) -> Result<Option<Exit>> {
        let begin = self.time_kvm_run.then(Instant::now);
        self.attached.enter();
        let entry = self.machine.vcpu.enter();
        self.attached.leave();
        if let Some(begin) = begin {
            let ns = begin.elapsed().as_nanos() as u64;
            self.machine.counters.kvm_run_ns.add(ns);
        }
        match entry? {
            Entry::Exit(exit) => {
                self.machine.counters.count_exit(&exit);
                Ok(Some(exit))
            }
            Entry::Interrupted => {
                self.machine.counters.kicks.add(1);
                if self.attached.acknowledge(self.machine.vcpu.page()) {
                    self.tick()?;
                }
                Ok(None)
            }
        }
    }

    fn answer(&mut self, exit: Exit, from: usize) -> Result<Next> {
        // What the kernel has gathered is older than this exit.
        if self.machine.coalesces {
            let drained = self.drain_coalesced();
            if !matches!(drained, Ok(true)) {
                self.machine.pending = Pending::Open(exit, from);
                return drained.map(|_| Next::Kicked);
            }
        }
        match (&exit, self.machine.routes.claim(&exit)) {
            (_, Some(access)) => self.answer_route(exit, access, from),
            (Exit::PioOut(_) | Exit::PioIn(_) | Exit::MmioWrite(_) | Exit::MmioRead(_), None) => {
                self.answer_unclaimed(exit)
            }
            _ => Ok(Next::End(End::Exit(ExitRecord {
                exit,
                data: Vec::new(),
            }))),
        }
    }

    fn answer_route(&mut self, exit: Exit, access: Access, from: usize) -> Result<Next> {
        let machine = &mut *self.machine;
        let Some(device) = machine.devices.get_mut(access.route) else {
            return self.answer_unclaimed(exit);
        };
        let data = machine.vcpu.access_data(&exit)?;
        let reaction = if access.write {
            device.write(access.item_bytes, data, &mut self.output)
        } else {
            device.read(access.item_bytes, data)
        };
        match reaction {
            Reaction::Done => self.machine.pending = Pending::Answered,
            Reaction::Stop(code) => {
                let record = ExitRecord {
                    data: data.to_vec(),
                    exit,
                };
                self.machine.pending = Pending::Answered;
                self.count_items(&access);
                return Ok(Next::End(End::ExitPort { code, record }));
            }
            Reaction::Flush => {
                self.machine.pending = Pending::Answered;
                self.count_items(&access);
                self.flush(access.route)?;
                return Ok(Next::Enter);
            }
            Reaction::Ask => return self.ask_device(exit, &access, from),
            Reaction::Post => return self.post(exit, &access, from),
            Reaction::Unclaimed => return self.answer_unclaimed(exit),
        }
        self.count_items(&access);
        Ok(Next::Enter)
    }

    /// An access counts once, when it is done, in however many runs it was asked about.
    pub(crate) fn count_items(&self, access: &Access) {
        if let Some(counters) = self.machine.counters.routes.get(access.route) {
            let side = if access.write {
                &counters.writes
            } else {
                &counters.reads
            };
            side.add((access.bytes / access.item_bytes.max(1)) as u64);
        }
    }

    /// Asks the handler's device piece by piece; a kick in between leaves the rest to the next run.
    fn ask_device(&mut self, exit: Exit, access: &Access, from: usize) -> Result<Next> {
        for index in from.. {
            let Some(piece) = access.piece(index) else {
                break;
            };
            if self.kick.requested().is_some() {
                self.machine.pending = Pending::Open(exit, index);
                return Ok(Next::Kicked);
            }
            let data = self.machine.vcpu.access_data(&exit)?;
            let bytes = data
                .get_mut(piece.start..piece.start + usize::from(piece.size))
                .unwrap_or_default();
            let (route, offset, size, vcpu) = (access.route, piece.offset, piece.size, 0);
            let answer = self.handler.answer(if access.write {
                Question::Write {
                    route,
                    offset,
                    size,
                    value: item(bytes, usize::from(size)),
                    vcpu,
                }
            } else {
                Question::Read {
                    route,
                    offset,
                    size,
                    vcpu,
                }
            });
            // A write that the handler has seen is done, whatever came of it; a read is asked again.
            let again = if access.write { index + 1 } else { index };
            match answer {
                Answer::Value(value) => fill_items(bytes, usize::from(size), value),
                Answer::Done if access.write => {}
                Answer::Done => bytes.fill(0xff),
                Answer::Withdrawn => {
                    self.machine.pending = Pending::Open(exit, index);
                    return Ok(Next::Kicked);
                }
                Answer::Interrupted => {
                    self.leave(exit, access, again);
                    return Ok(Next::Kicked);
                }
                Answer::Failed | Answer::End | Answer::Bytes(_) => {
                    self.leave(exit, access, again);
                    return Err(handler_failed());
                }
            }
        }
        self.count_items(access);
        self.machine.pending = Pending::Answered;
        Ok(Next::Enter)
    }

    /// Leaves the pieces from `index` on to the next run; without one the access is done.
    pub(crate) fn leave(&mut self, exit: Exit, access: &Access, index: usize) {
        if access.piece(index).is_some() {
            self.machine.pending = Pending::Open(exit, index);
        } else {
            self.count_items(access);
            self.machine.pending = Pending::Answered;
        }
    }

    fn answer_unclaimed(&mut self, exit: Exit) -> Result<Next> {
        let data = self.machine.vcpu.access_data(&exit)?;
        let read = exit.is_read();
        if read {
            data.fill(0);
        }
        let item_bytes = match exit {
            Exit::PioIn(ref port) => usize::from(port.size),
            _ => data.len(),
        };
        let seen = if read {
            Pending::Open(exit.clone(), 0)
        } else {
            Pending::Answered
        };
        match self
            .handler
            .answer(Question::Unclaimed { exit: &exit, data })
        {
            Answer::Value(value) if read => fill_items(data, item_bytes, value),
            Answer::Bytes(bytes) if read && bytes.len() == data.len() => {
                data.copy_from_slice(&bytes)
            }
            Answer::Done | Answer::Value(_) if !read => {}
            Answer::Done => data.fill(0xff),
            Answer::End => {
                let record = ExitRecord {
                    data: if read { Vec::new() } else { data.to_vec() },
                    exit: exit.clone(),
                };
                self.machine.pending = if read {
                    Pending::Reply(exit)
                } else {
                    Pending::Answered
                };
                return Ok(Next::End(End::Exit(record)));
            }
            Answer::Withdrawn => {
                self.machine.pending = Pending::Open(exit, 0);
                return Ok(Next::Kicked);
            }
            Answer::Interrupted => {
                self.machine.pending = seen;
                return Ok(Next::Kicked);
            }
            Answer::Failed | Answer::Value(_) | Answer::Bytes(_) => {
                self.machine.pending = seen;
                return Err(handler_failed());
            }
        }
        self.machine.pending = Pending::Answered;
        Ok(Next::Enter)
    }

    /// What a nudge is for: text that waits goes out, and the handler may look around.
    fn tick(&mut self) -> Result<()> {
        for route in 0..self.machine.devices.len() {
            self.flush(route)?;
        }
        if self.machine.coalesces {
            self.drain_coalesced()?;
        }
        self.announce()?;
        match self.handler.answer(Question::Tick) {
            Answer::Failed => Err(handler_failed()),
            _ => Ok(()),
        }
    }

    fn flush(&mut self, route: usize) -> Result<()> {
        let Some(Device::Console(console)) = self.machine.devices.get_mut(route) else {
            return Ok(());
        };
        let Some(bytes) = console.waiting() else {
            return Ok(());
        };
        match self.handler.answer(Question::Console { route, bytes }) {
            // The handler has not seen them: they stay for the next batch, or for the outcome.
            Answer::Withdrawn => Ok(()),
            Answer::Failed => {
                console.clear();
                Err(handler_failed())
            }
            _ => {
                console.clear();
                Ok(())
            }
        }
    }
}

pub(crate) fn handler_failed() -> Error {
    Error::new(ErrorCode::Handler, "a handler failed")
}
