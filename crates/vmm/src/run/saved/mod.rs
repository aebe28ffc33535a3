//! A vCPU between two runs as a value: what KVM has of it, and what we keep beside.
//!
//! KVM keeps an access from its exit to its completion where no ioctl shows it. So an access that
//! is half done is saved in one of two ways. A *write* is completed in KVM, which by then has
//! everything of it but the permission to go on; it is then ours alone, and still asked. A *read*
//! is saved as if its instruction had not begun: KVM writes nothing back before the value is there.
//! At a restore the instruction runs once more, up to the same exit, and what it reads before that
//! is answered from what was answered then.

mod confined;
mod crew;
pub(super) mod half_done;
pub(super) mod held;

pub(crate) use crew::CrewState;

use std::sync::Arc;
use std::time::Duration;

use kvm_bindings::{KVM_VCPUEVENT_VALID_SHADOW, KVM_X86_SHADOW_INT_MOV_SS};

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorCode, Result};
use crate::interrupts::InjectionState;
use crate::kvm::exit::Exit;
use crate::kvm::kick::KickHandle;
use crate::kvm::vcpu::Entry;
use crate::kvm::vcpu_state::{VcpuState, deaf};
use crate::run::clock::{Alarm, RunLimits};
use crate::run::outcome::End;
use crate::run::processor::{Pending, Processor};
use crate::run::saved::half_done::{HalfDone, OpenRead, Owed};
use crate::run::saved::held::Held;

/// An instruction asks at most so often until it is at its end: for the words of its operands,
/// since a string instruction is at its last round.
const MOST_EXITS: u32 = 64;

/// One instruction takes at most this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The state of one vCPU, for it or for the same vCPU of a machine of the same shape.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct ProcessorState {
    pub(crate) vcpu: VcpuState,
    pub(crate) injections: InjectionState,
    pub(crate) half_done: HalfDone,
    pub(crate) kept: Option<End>,
    pub(crate) nmi_sent: bool,
    /// Whether the last entry has shown that an interrupt can be injected; else the next one is
    /// waited for, in which the guest may get on.
    pub(crate) takes_interrupt: bool,
    /// Tells it from other states.
    #[serde(skip)]
    pub(crate) identity: Arc<()>,
}

impl Processor {
    /// Its state. KVM completes what it can; the vCPU continues as if it had not.
    ///
    /// # Errors
    /// `KvmIoctl`.
    pub fn save(&mut self) -> Result<ProcessorState> {
        self.complete()?;
        self.take_over_writes()?;
        let half_done = match &self.pending {
            // What it has come to is found again, where there is such a stop.
            Pending::Open(Exit::Debug { .. }, _) => HalfDone::Nothing,
            Pending::Open(_, from) if !self.owed.is_empty() => {
                HalfDone::Writes(self.owed.iter().cloned().collect(), *from)
            }
            Pending::Open(exit, from) => {
                let (exit, from) = (exit.clone(), *from);
                HalfDone::Read(self.open_read(exit, Some(from))?)
            }
            Pending::Reply(exit) => {
                let exit = exit.clone();
                HalfDone::Read(self.open_read(exit, None)?)
            }
            // None of the others is left after it is completed.
            _ => HalfDone::Nothing,
        };
        let vcpu = self.vcpu.save_state(self.irqchip)?;
        let identity = Arc::new(());
        self.held = Some(Held {
            identity: Arc::clone(&identity),
            system_writes: self.vcpu.page().memory().system_writes(),
            is_confined: None,
        });
        Ok(ProcessorState {
            identity,
            vcpu,
            injections: self.injections.save(),
            half_done,
            kept: (self.kept.clone()).filter(|end| !matches!(end, End::Stop(_))),
            nmi_sent: self.nmi_sent,
            takes_interrupt: self.vcpu.takes_interrupt(),
        })
    }

    /// Drops what waits: questions, answers, and what KVM has of them, for which an instruction may
    /// write to memory. To be called before memory goes back to a state.
    ///
    /// # Errors
    /// `KvmIoctl`.
    pub fn abandon(&mut self) -> Result<()> {
        let is_stop = matches!(self.pending, Pending::Open(Exit::Debug { .. }, _));
        let is_ours = !self.owed.is_empty() || is_stop || self.pending.is_nothing();
        self.stops.forget();
        self.owed.clear();
        self.reads.clear();
        self.kept = None;
        if !std::mem::replace(&mut self.pending, Pending::Nothing).is_nothing() && !is_ours {
            // Of a string instruction this round is the last.
            let mut registers = self.vcpu.registers()?;
            registers.rcx = 1;
            self.vcpu.set_registers(&registers)?;
            for _ in 0..MOST_EXITS {
                if self.vcpu.complete()?.is_none() {
                    return Ok(());
                }
            }
            return Err(Error::internal("an instruction does not come to its end"));
        }
        Ok(())
    }

    /// Goes back to a state. Memory and interrupt controllers are in theirs already, and
    /// [`abandon`](Self::abandon) came before them.
    ///
    /// # Errors
    /// `KvmIoctl`; `Snapshot` for a state that no vCPU of such a machine has been in.
    pub fn restore(&mut self, state: &ProcessorState) -> Result<()> {
        self.abandon()?;
        let system_writes = self.vcpu.page().memory().system_writes();
        let held = self.held.take().filter(|held| {
            Arc::ptr_eq(&held.identity, &state.identity) && held.system_writes == system_writes
        });
        let is_confined =
            held.map(|held| held.is_confined.unwrap_or_else(|| self.is_confined(state)));
        self.vcpu
            .restore_state(&state.vcpu, is_confined == Some(true))?;
        if !self.injections.restore(&state.injections) {
            return Err(unfit("more interrupts wait in it than may wait for a vCPU"));
        }
        self.kept.clone_from(&state.kept);
        self.nmi_sent = state.nmi_sent;
        match &state.half_done {
            HalfDone::Nothing => {}
            HalfDone::Writes(owed, from) => {
                self.owed.extend(owed.iter().cloned());
                if let Some(first) = owed.first() {
                    self.pending = Pending::Open(first.exit.clone(), *from);
                }
            }
            HalfDone::Read(read) => self.ask_again(read, &state.vcpu)?,
        }
        self.vcpu.set_takes_interrupt(state.takes_interrupt);
        self.held = Some(Held {
            identity: Arc::clone(&state.identity),
            system_writes,
            is_confined,
        });
        Ok(())
    }

    /// Whether the guest of a state, in whose memory it is, cannot leave ring 3. Then only the host
    /// changes its MSRs, XCR0 and debug registers, and a further restore may leave them.
    pub fn is_confined(&self, state: &ProcessorState) -> bool {
        let memory = self.vcpu.page().memory();
        let read = |gpa, bytes: &mut [u8]| memory.read(gpa, bytes).is_ok();
        self.is_alone && !self.irqchip && confined::is_confined(&state.vcpu, read)
    }

    /// Has KVM complete a write that is yet to be asked, and all that its instruction writes
    /// afterwards.
    fn take_over_writes(&mut self) -> Result<()> {
        let Pending::Open(exit, _) = &self.pending else {
            return Ok(());
        };
        if exit.is_read() || !self.owed.is_empty() {
            return Ok(());
        }
        let mut next = Some(exit.clone());
        while let Some(exit) = next {
            if exit.is_read() {
                return Err(Error::internal("an instruction reads after it has written"));
            }
            let data = self.vcpu.access_data(&exit)?.to_vec();
            self.owed.push_back(Owed { exit, data });
            next = self.vcpu.complete()?;
        }
        Ok(())
    }

    fn open_read(&mut self, exit: Exit, from: Option<usize>) -> Result<OpenRead> {
        let before = match exit {
            Exit::MmioRead(_) => self.reads.all(),
            _ => Vec::new(),
        };
        Ok(OpenRead {
            data: self.vcpu.access_data(&exit)?.to_vec(),
            exit,
            from,
            before,
        })
    }

    /// Runs the instruction of a read until it asks for that read.
    fn ask_again(&mut self, read: &OpenRead, state: &VcpuState) -> Result<()> {
        // What interrupts the vCPU comes after the read, as it did. The shadow alone would do, but
        // an emulated SVM forgets it.
        let mut events = state.events;
        events.interrupt.shadow = KVM_X86_SHADOW_INT_MOV_SS as u8;
        events.flags |= KVM_VCPUEVENT_VALID_SHADOW;
        events.nmi.pending = 0;
        if let Some(lapic) = &state.lapic {
            self.vcpu.set_lapic(&deaf(lapic))?;
        }
        self.vcpu.set_events(&events)?;
        self.vcpu.want_interrupt_window(false);
        let mut answers = None;
        loop {
            let exit = self.next_exit()?;
            if exit == read.exit && answers.is_none_or(<[_]>::is_empty) {
                break;
            }
            let Exit::MmioRead(access) = exit else {
                return Err(unfit("its vCPU does not read what it was reading"));
            };
            match answers.or_else(|| read.answers_from(access)) {
                Some([(expected, data), rest @ ..]) if *expected == access => {
                    let to = self.vcpu.access_data(&exit)?;
                    to.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
                    answers = Some(rest);
                }
                _ => return Err(unfit("its vCPU does not read what it was reading")),
            }
        }
        if let Some(lapic) = &state.lapic {
            self.vcpu.set_lapic(lapic)?;
        }
        // The shadow ends with the instruction; its own is that of before.
        self.vcpu.set_events(&state.events)?;
        self.vcpu
            .access_data(&read.exit)?
            .copy_from_slice(&read.data);
        for (access, data) in &read.before {
            self.reads.note(*access, data);
        }
        let exit = read.exit.clone();
        self.pending = match read.from {
            Some(from) => Pending::Open(exit, from),
            None => Pending::Reply(exit),
        };
        Ok(())
    }

    /// Enters until an exit comes, which is not counted.
    fn next_exit(&mut self) -> Result<Exit> {
        let kick = KickHandle::new();
        let limits = RunLimits {
            timeout: Some(PATIENCE),
            ..RunLimits::default()
        };
        let _alarm = Alarm::set(limits, &kick)?;
        let page = Arc::clone(self.vcpu.page());
        let attached = kick.attach(self.index, &page)?;
        while kick.requested().is_none() {
            attached.enter();
            let entry = self.vcpu.enter();
            attached.leave();
            match entry? {
                Entry::Exit(exit) => return Ok(exit),
                Entry::Interrupted => {
                    attached.acknowledge();
                }
                Entry::InterruptWindow | Entry::NotStarted => {}
            }
        }
        Err(unfit("its vCPU does not read what it was reading"))
    }
}

fn unfit(why: &str) -> Error {
    Error::new(
        ErrorCode::Snapshot,
        format!("the state does not fit: {why}"),
    )
}
