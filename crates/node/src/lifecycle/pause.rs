//! Pausing a run, and ending it from outside. For a pause the run's thread gives the machine back,
//! and nothing is settled until another one has it again. The steps P1 to P6 are in `docs/stop.md`.

use std::rc::Rc;

use vmm::{End, Error, KickCause, Machine, Outcome, Result};

use crate::convert::outcome::Told;
use crate::lifecycle::running::Running;
use crate::pump::environment::Environment;

use super::handles::closed;
use super::{Lifecycle, State, busy};

impl Lifecycle {
    /// Makes every vCPU of a run on threads of its own leave the guest; the end of that is reported
    /// as a run's end is. Without a run there is nothing to wait for.
    pub fn pause(&self) -> Result<()> {
        match &*self.state.borrow() {
            // P1
            State::There(running) => running.kick.kick(KickCause::Pause),
            State::Idle(_) | State::Paused(..) => {}
            State::Here(_) | State::Spinning(_) => return Err(busy()),
            State::Closed => return Err(closed()),
        }
        Ok(())
    }

    /// Continues a paused run; without one it does nothing. If no thread can start, it stays
    /// paused.
    pub fn resume(&self) -> Result<()> {
        if let State::Paused(_, running) = &*self.state.borrow() {
            // P4
            running.kick.resume();
        }
        self.go_on()
    }

    /// Ends the run in progress, if there is one.
    pub fn stop(&self) {
        self.end_run(KickCause::Stop);
    }

    /// Ends the run in progress, if there is one, for this cause.
    pub fn end_run(&self, cause: KickCause) {
        match &*self.state.borrow() {
            State::Here(kick) => return kick.kick(cause),
            State::There(running) => return running.kick.kick(cause),
            State::Spinning(spinning) => return spinning.kick.kick(cause),
            State::Paused(_, running) => running.kick.kick(cause),
            State::Idle(_) | State::Closed => return,
        }
        // P5: the vCPUs settle what was seen before the pause.
        if let Err(error) = self.go_on() {
            self.give_up(error);
        }
    }

    /// Gives a paused machine to a thread.
    fn go_on(&self) -> Result<()> {
        let mut state = self.state.borrow_mut();
        match std::mem::replace(&mut *state, State::Closed) {
            State::Paused(machine, mut running) => {
                let posted = self.posted();
                posted.set_due();
                match running.proceed(machine, &posted) {
                    Ok(()) => *state = State::There(running),
                    Err((machine, error)) => {
                        running.kick.kick(KickCause::Pause);
                        *state = machine
                            .map_or(State::Closed, |machine| State::Paused(machine, running));
                        return Err(error);
                    }
                }
            }
            other => *state = other,
        }
        Ok(())
    }

    /// P3: a thread has left the machine for a pause.
    pub(super) fn has_paused(&self, machine: Box<Machine>, running: Box<Running>) {
        let is_over = running.kick.requested() != Some(KickCause::Pause);
        let callbacks = Rc::clone(&running.callbacks);
        self.state.replace(State::Paused(machine, running));
        if !is_over {
            callbacks.settle.call(None::<Told>);
        } else if let Err(error) = self.go_on() {
            // P5: the vCPUs have yet to learn of what has ended the run meanwhile.
            self.give_up(error);
        }
    }

    /// Ends a paused run that cannot be continued, not even to its end.
    fn give_up(&self, error: Error) {
        let state = self.state.replace(State::Closed);
        let State::Paused(machine, running) = state else {
            self.state.replace(state);
            return;
        };
        self.state.replace(State::Idle(machine));
        self.silence();
        Environment::remove(self);
        running.callbacks.settle.call(Some(Told::C(error.into())));
    }

    /// What a paused run has asked counts as not asked: the vCPUs ask again, and the answers to the
    /// old questions have no effect. To be called when their state is replaced.
    pub fn forget_questions(&self) {
        if let State::Paused(_, running) = &*self.state.borrow() {
            running.forget_questions();
        }
    }

    /// Calls with the run on threads of its own that has not ended.
    pub(super) fn with_running<T>(&self, call: impl FnOnce(&Running) -> T) -> Option<T> {
        match &*self.state.borrow() {
            State::There(running) | State::Paused(_, running) => Some(call(running)),
            _ => None,
        }
    }
}

/// Whether a thread has left the machine for a pause.
pub(super) fn is_pause(outcome: &Result<Outcome>) -> bool {
    let end = outcome.as_ref().map(|outcome| &outcome.end);
    matches!(end, Ok(End::Kicked(KickCause::Pause)))
}
