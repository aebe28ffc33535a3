//! Calls of a vCPU that looks for them: what JavaScript's thread does meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use vmm::user_mailbox::{ASKED, DONE, PATIENCE};
use vmm::{End, GuestMemory, Host, KickCause, KickHandle, Outcome, Result, UserStop};

use super::handles::closed;
use super::spinning::{SpinLimits, Spinning};
use super::{Ended, Lifecycle, State, busy};

/// Looks at the mailbox between two at the clock and the thread.
const LOOKS: u32 = 256;
/// How long JavaScript's thread only looks, how long it offers its core after that, and how long it
/// sleeps between two looks then.
const EAGER: Duration = Duration::from_micros(50);
const POLITE: Duration = Duration::from_millis(1);
const NAP: Duration = Duration::from_micros(50);
/// How often JavaScript is asked whether it is still there.
const TICK: Duration = Duration::from_millis(20);
/// Since when a call is under way, and when JavaScript was asked last.
struct Clock {
    start: Instant,
    ticked: Instant,
}

/// How a wait has ended.
enum Seen {
    Done,
    Left,
    TimedOut,
}

impl Lifecycle {
    /// Makes a call: `None` when the function is back. `bytes` are those of the mailbox, the stack
    /// pointer included; `alive` says whether JavaScript is still there.
    pub fn spin(
        &self,
        bytes: &[u8],
        limits: &SpinLimits,
        alive: impl Fn() -> bool,
    ) -> Result<Option<Ended>> {
        let memory = self.handles.memory()?;
        let number = self.spins.get().wrapping_add(1);
        self.spins.set(number);
        match &*self.state.borrow() {
            State::Spinning(spinning) => {
                spinning.calls(number);
            }
            State::Idle(_) => {}
            _ => return Err(busy()),
        }
        memory.write(0, bytes)?;
        memory.store(ASKED, number)?;
        if !self.is_spinning() {
            memory.store(DONE, number.wrapping_sub(1))?;
            self.begin_spin(true, limits.patience)?;
        } else if looks(&memory, number)? {
            self.called();
            return Ok(None);
        }
        self.await_call(&memory, number, limits, &alive)
    }

    /// The same, once it takes long.
    fn await_call(
        &self,
        memory: &GuestMemory,
        number: u32,
        limits: &SpinLimits,
        alive: &impl Fn() -> bool,
    ) -> Result<Option<Ended>> {
        let start = Instant::now();
        let mut clock = Clock {
            start,
            ticked: start,
        };
        loop {
            let seen = self.await_spin(memory, number, &mut clock, limits, alive)?;
            if matches!(seen, Seen::Done) {
                self.called();
                return Ok(None);
            }
            let mut ended = self.end_spin()?;
            if matches!(seen, Seen::TimedOut) {
                // It may have given up right before it was stopped.
                if self.pause_of(&ended)?.is_some() {
                    ended.0.end = End::Kicked(KickCause::Timeout);
                }
                return Ok(Some(ended));
            }
            let is_done = memory.load(DONE)? == number;
            match self.pause_of(&ended)? {
                Some(_) if is_done => return Ok(None),
                // It did not see the call any more.
                Some(Pause::Parked) => {
                    memory.store(DONE, number.wrapping_sub(1))?;
                    self.begin_spin(true, limits.patience)?;
                }
                // The watcher did not.
                Some(Pause::Watched) => self.begin_spin(false, limits.patience)?,
                None => return Ok(Some(ended)),
            }
        }
    }

    /// Whether the last call is done, as the guest says.
    pub fn is_spin_done(&self) -> Result<bool> {
        Ok(self.handles.memory()?.load(DONE)? == self.spins.get())
    }

    fn is_spinning(&self) -> bool {
        matches!(&*self.state.borrow(), State::Spinning(_))
    }

    /// The call is done, and the vCPU looks for the next one.
    fn called(&self) {
        if let State::Spinning(spinning) = &*self.state.borrow() {
            spinning.called();
        }
    }

    fn begin_spin(&self, is_fresh: bool, patience: Duration) -> Result<()> {
        let kick = KickHandle::new();
        let mut machine = self.start(|| State::Here(kick.clone()))?;
        let bytes = ticks(patience).to_le_bytes();
        let written = machine.memory().write(PATIENCE, &bytes);
        let begun = if is_fresh {
            written.and_then(|()| machine.user_spin())
        } else {
            written
        };
        let started = match begun {
            Ok(()) => Spinning::start(machine, kick, patience),
            Err(error) => Err((Some(machine), error)),
        };
        match started {
            Ok(spinning) => {
                self.state.replace(State::Spinning(Box::new(spinning)));
                Ok(())
            }
            Err((machine, error)) => {
                let idle = machine.map_or(State::Closed, State::Idle);
                self.state.replace(idle);
                Err(error)
            }
        }
    }

    /// Waits until the call is done, the thread has left the machine, or time is up: then it is
    /// stopped.
    fn await_spin(
        &self,
        memory: &GuestMemory,
        number: u32,
        clock: &mut Clock,
        limits: &SpinLimits,
        alive: &impl Fn() -> bool,
    ) -> Result<Seen> {
        let (end, kick) = match &*self.state.borrow() {
            State::Spinning(spinning) => (Arc::clone(&spinning.end), spinning.kick.clone()),
            _ => return Err(closed()),
        };
        let begin = Instant::now();
        loop {
            if looks(memory, number)? {
                return Ok(Seen::Done);
            }
            // The clock first: a guest may end its run again and again.
            let now = Instant::now();
            if limits.timeout.is_some_and(|most| now - clock.start >= most) {
                kick.kick(KickCause::Timeout);
                return Ok(Seen::TimedOut);
            }
            if now - clock.ticked >= TICK {
                clock.ticked = now;
                if !alive() {
                    kick.kick(KickCause::Stop);
                    return Ok(Seen::TimedOut);
                }
            }
            if end.is_over() {
                return Ok(Seen::Left);
            }
            match now - begin {
                waited if waited < EAGER => {}
                waited if waited < POLITE => std::thread::yield_now(),
                _ => std::thread::park_timeout(NAP),
            }
        }
    }

    fn pause_of(&self, (outcome, _): &Ended) -> Result<Option<Pause>> {
        let Outcome { end, .. } = outcome;
        match end {
            End::Kicked(KickCause::Stop) => Ok(Some(Pause::Watched)),
            End::Exit(_) => self.with_idle(|machine| {
                let is_parked = matches!(machine.user_stop(), Some(UserStop::Parked));
                Ok(is_parked.then_some(Pause::Parked))
            }),
            _ => Ok(None),
        }
    }
}

/// Looks at the mailbox for a while.
fn looks(memory: &GuestMemory, number: u32) -> Result<bool> {
    for _ in 0..LOOKS {
        if memory.load(DONE)? == number {
            return Ok(true);
        }
        std::hint::spin_loop();
    }
    Ok(false)
}

/// Why a vCPU looks for calls no longer.
enum Pause {
    Parked,
    Watched,
}

/// As many of the time-stamp counter's. Where its pace is not known, the watcher's time counts.
fn ticks(time: Duration) -> u64 {
    let khz = Host::get().map_or(0, Host::tsc_khz);
    match khz {
        0 => u64::MAX,
        khz => (time.as_secs_f64() * 1000.0 * f64::from(khz)) as u64,
    }
}
