//! Deadlines and ticks of all runs, kept by one thread that exists from the first timed run on.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::debug::{HitKind, Sampler};
use crate::error::{Error, Result};
use crate::kvm::kick::{KickCause, KickHandle};

/// How long a run may take, how often it asks a tick, and whether its time inside KVM is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunLimits {
    /// The run ends with [`KickCause::Timeout`] after this time.
    pub timeout: Option<Duration>,
    /// The handler is asked [`ExitHandler::tick`](crate::ExitHandler::tick) about this often.
    pub tick: Option<Duration>,
    /// The time inside `KVM_RUN` is added to [`Counters::kvm_run_ns`](crate::Counters::kvm_run_ns),
    /// at the price of two clock readings per entry.
    pub time_kvm_run: bool,
    /// The run ends with [`KickCause::Stop`] when so many exits of each vCPU are answered.
    pub exits: Option<u64>,
    /// The run ends after so many instructions, at the price of a step each.
    pub steps: Option<Steps>,
}

/// Instructions that a run may execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Of all vCPUs together.
    pub count: u64,
    /// The vCPU that alone executes them; the others stand still.
    pub vcpu: Option<u32>,
    /// As what the run ends.
    pub ends: HitKind,
    /// The handler is asked after each of them.
    pub asks: bool,
}

/// Keeps a run's times until it is dropped.
#[derive(Debug)]
pub(crate) struct Alarm(Vec<u64>);

impl Alarm {
    /// Starts the clock of a run.
    pub fn set(limits: RunLimits, handle: &KickHandle) -> Result<Self> {
        let mut alarm = Self(Vec::new());
        let now = Instant::now();
        for (delay, period) in [(limits.timeout, None), (limits.tick, limits.tick)] {
            if let Some(due) = delay.and_then(|delay| now.checked_add(delay)) {
                let call = match period {
                    None => Call::Kick(handle.clone(), KickCause::Timeout),
                    Some(_) => Call::Nudge(handle.clone()),
                };
                alarm.0.push(timekeeper()?.add(Entry { due, period, call }));
            }
        }
        Ok(alarm)
    }

    /// Calls [`Sampler::tick`] once in each period.
    pub fn sample(period: Duration, sampler: &Arc<Sampler>) -> Result<Self> {
        let entry = Entry {
            due: Instant::now() + period,
            period: Some(period),
            call: Call::Sample(Arc::clone(sampler)),
        };
        Ok(Self(vec![timekeeper()?.add(entry)]))
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(keeper) = TIMEKEEPER.get() {
            let mut queue = keeper.queue();
            for id in self.0.drain(..) {
                queue.remove(id);
            }
        }
    }
}

/// How long the thread stays awake for the next run when there is none.
const GRACE: Duration = Duration::from_millis(100);

#[derive(Debug)]
struct Entry {
    due: Instant,
    period: Option<Duration>,
    call: Call,
}

/// What is done when the time has come.
#[derive(Clone, Debug)]
enum Call {
    Kick(KickHandle, KickCause),
    Nudge(KickHandle),
    Sample(Arc<Sampler>),
}

impl Call {
    fn make(&self) {
        match self {
            Self::Kick(handle, cause) => handle.kick(*cause),
            Self::Nudge(handle) => handle.nudge(),
            Self::Sample(sampler) => sampler.tick(),
        }
    }
}

#[derive(Debug, Default)]
struct Queue {
    next_id: u64,
    entries: HashMap<u64, Entry>,
    order: BTreeSet<(Instant, u64)>,
    /// When the thread looks next; not before it is told so, if there is no such time.
    wakes_at: Option<Instant>,
}

impl Queue {
    fn insert(&mut self, id: u64, entry: Entry) {
        self.order.insert((entry.due, id));
        self.entries.insert(id, entry);
    }

    fn remove(&mut self, id: u64) {
        if let Some(entry) = self.entries.remove(&id) {
            self.order.remove(&(entry.due, id));
        }
    }

    /// What is due by `now`. What comes again is put off by its period.
    fn take_due(&mut self, now: Instant) -> Vec<Call> {
        let mut due = Vec::new();
        while let Some(&(at, id)) = self.order.first().filter(|(at, _)| *at <= now) {
            self.order.remove(&(at, id));
            let Some(entry) = self.entries.remove(&id) else {
                continue;
            };
            due.push(entry.call.clone());
            if let Some(period) = entry.period {
                // One that was not late keeps to its times.
                let next = at + period;
                let due = if next > now { next } else { now + period };
                self.insert(id, Entry { due, ..entry });
            }
        }
        due
    }
}

#[derive(Debug, Default)]
struct Timekeeper {
    queue: Mutex<Queue>,
    changed: Condvar,
}

static TIMEKEEPER: OnceLock<Timekeeper> = OnceLock::new();

/// The timekeeper of this process. Its thread starts at the first call; if it cannot, the next call
/// tries again.
fn timekeeper() -> Result<&'static Timekeeper> {
    static STARTING: Mutex<()> = Mutex::new(());
    if let Some(keeper) = TIMEKEEPER.get() {
        return Ok(keeper);
    }
    let _one = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(keeper) = TIMEKEEPER.get() {
        return Ok(keeper);
    }
    std::thread::Builder::new()
        .name("vmexit-timer".into())
        .spawn(keep_time)
        .map_err(|error| Error::thread(&error))?;
    Ok(TIMEKEEPER.get_or_init(Timekeeper::default))
}

impl Timekeeper {
    fn add(&self, entry: Entry) -> u64 {
        let mut queue = self.queue();
        let id = queue.next_id;
        queue.next_id += 1;
        // Short runs one after the other do not wake the thread each time.
        let late = queue.wakes_at.is_none_or(|at| entry.due < at);
        queue.insert(id, entry);
        drop(queue);
        if late {
            self.changed.notify_one();
        }
        id
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep_time() {
    let keeper = TIMEKEEPER.wait();
    let mut queue = keeper.queue();
    let mut idle = true;
    loop {
        let now = Instant::now();
        let due = queue.take_due(now);
        if !due.is_empty() {
            // A kick takes the run's own lock; ours must not be held meanwhile.
            drop(queue);
            due.iter().for_each(Call::make);
            queue = keeper.queue();
            continue;
        }
        // An empty queue is looked at once more a little later, before the thread sleeps for good.
        let next = queue.order.first().map(|(at, _)| *at);
        queue.wakes_at = next.or_else(|| (!idle).then(|| now + GRACE));
        idle = next.is_none();
        queue = match queue.wakes_at {
            None => keeper
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner),
            Some(at) => {
                let wait = at.saturating_duration_since(now);
                keeper
                    .changed
                    .wait_timeout(queue, wait)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
    }
}
