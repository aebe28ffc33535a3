//! Where the vCPUs of a machine are, looked at again and again while it runs.
//!
//! A clock calls [`tick`](Sampler::tick), which notes for each vCPU what it is doing and makes it
//! leave the guest, or not enter it. The vCPU's own thread then takes registers and stack, which no
//! other thread may. A vCPU that waits for an answer does that after it, for the whole wait.

mod stack;
mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use boot::paging::PagingState;

use crate::debug::VirtualMemory;
use crate::error::{Error, ErrorCode, Result};
use crate::kvm::kick::KickHandle;
use crate::kvm::vcpu::Vcpu;
use crate::limits::MAX_VCPUS;
pub use stack::CodeSpace;
use table::Table;
pub use table::{Activity, Sample, Samples, Stack};

/// What a machine is sampled by, whether it runs or not; at most once at a time.
#[derive(Debug, Default)]
pub struct Sampler(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Of the run in progress.
    run: Option<KickHandle>,
    session: Option<Session>,
}

#[derive(Debug)]
struct Session {
    begin: Instant,
    period_ns: u64,
    /// By vCPU.
    due: Vec<Due>,
    table: Table,
}

/// What a vCPU's thread has yet to do.
#[derive(Clone, Copy, Debug, Default)]
struct Due {
    /// When it was found in the guest.
    guest: Option<u64>,
    /// When it was found outside for the first time since, and how often.
    waiting: Option<(u64, u64)>,
    /// It is looking where it was.
    looks: bool,
}

impl Due {
    const fn is_none(&self) -> bool {
        self.guest.is_none() && self.waiting.is_none()
    }
}

/// A run is known to the sampler until this is dropped.
#[derive(Debug)]
pub(crate) struct Attended(Arc<Sampler>);

impl Drop for Attended {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.run = None;
        if let Some(session) = &mut state.session {
            session.give_up();
        }
    }
}

impl Sampler {
    /// A run begins.
    pub(crate) fn attend(self: &Arc<Self>, run: &KickHandle) -> Attended {
        self.state().run = Some(run.clone());
        Attended(Arc::clone(self))
    }

    /// Begins to keep what is found.
    pub(crate) fn begin(&self, period: Duration) -> Result<()> {
        let mut state = self.state();
        if state.session.is_some() {
            let what = "the machine is being profiled; wait for the end of that";
            return Err(Error::new(ErrorCode::VmBusy, what));
        }
        state.session = Some(Session {
            begin: Instant::now(),
            period_ns: period.as_nanos() as u64,
            due: vec![Due::default(); MAX_VCPUS as usize],
            table: Table::default(),
        });
        Ok(())
    }

    /// What was found since; none after that.
    pub(crate) fn end(&self) -> Option<Samples> {
        let mut session = self.state().session.take()?;
        session.give_up();
        Some(session.table.into_samples(session.begin.elapsed()))
    }

    /// How many samples there are.
    pub(crate) fn taken(&self) -> u64 {
        let state = self.state();
        let session = state.session.as_ref();
        session.map_or(0, |session| session.table.taken())
    }

    /// The next sample of every vCPU is due.
    pub(crate) fn tick(&self) {
        let mut state = self.state();
        let State { run, session } = &mut *state;
        if let (Some(run), Some(session)) = (run, session) {
            let now = session.begin.elapsed().as_nanos() as u64;
            run.poke_each(|vcpu, in_guest| session.note(vcpu, in_guest, now));
        }
    }

    /// Right after an interrupted entry, by the vCPU's own thread: what is due is done.
    pub(crate) fn look(&self, index: u32, vcpu: &mut Vcpu, has_apic: bool) {
        let due = match &mut self.state().session {
            Some(session) => session.take_due(index),
            None => return,
        };
        if due.is_none() {
            return;
        }
        let halted = due.guest.is_some() && has_apic && !vcpu.is_runnable();
        let (space, frames) = place_of(vcpu).unwrap_or_default();
        if let Some(session) = &mut self.state().session {
            session.add(index, due, halted, (space, frames));
            session.looked(index);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The code that a vCPU runs, and the calls that led there.
fn place_of(vcpu: &mut Vcpu) -> Option<(CodeSpace, Vec<u64>)> {
    let registers = vcpu.registers().ok()?;
    let special = vcpu.special_registers().ok()?;
    let space = CodeSpace::of(&registers, &special);
    let paging = PagingState::new(&special, vcpu.paging);
    let memory = VirtualMemory::new(paging, vcpu.page().memory());
    let read = |linear, bytes: &mut [u8]| memory.read(linear, bytes).is_ok();
    let frames = stack::frames(&registers, &special, space.bits, read);
    Some((space, frames))
}

impl Session {
    fn note(&mut self, vcpu: u32, in_guest: bool, now: u64) {
        let Some(due) = self.due.get_mut(vcpu as usize) else {
            return;
        };
        match (in_guest, &mut due.waiting) {
            // The guest would be at work.
            (false, _) if due.looks => self.table.missed(),
            (false, Some((_, count))) => *count += 1,
            (false, none) => *none = Some((now, 1)),
            (true, _) if due.guest.is_some() => self.table.missed(),
            (true, _) => due.guest = Some(now),
        }
    }

    /// What is due is this thread's to do.
    fn take_due(&mut self, vcpu: u32) -> Due {
        let Some(due) = self.due.get_mut(vcpu as usize) else {
            return Due::default();
        };
        let looks = !due.is_none();
        std::mem::replace(
            due,
            Due {
                looks,
                ..Due::default()
            },
        )
    }

    fn add(&mut self, vcpu: u32, due: Due, halted: bool, (space, frames): (CodeSpace, Vec<u64>)) {
        let stack = |activity| Stack {
            vcpu,
            activity,
            space,
            frames: frames.clone(),
        };
        if let Some((at, count)) = due.waiting {
            self.table
                .add(stack(Activity::Waiting), at, count, self.period_ns);
        }
        if let Some(at) = due.guest {
            let activity = if halted {
                Activity::Halted
            } else {
                Activity::Guest
            };
            self.table.add(stack(activity), at, 1, self.period_ns);
        }
    }

    fn looked(&mut self, vcpu: u32) {
        if let Some(due) = self.due.get_mut(vcpu as usize) {
            due.looks = false;
        }
    }

    /// The vCPUs have left, or nothing waits for them any more: how long they waited is known, and
    /// where is not.
    fn give_up(&mut self) {
        for vcpu in 0..self.due.len() as u32 {
            let due = Due {
                guest: None,
                ..self.take_due(vcpu)
            };
            self.add(vcpu, due, false, Default::default());
            self.looked(vcpu);
        }
    }
}
