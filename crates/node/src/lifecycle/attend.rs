//! Serving, from JavaScript's thread, a machine that runs on threads of its own.

use std::rc::Rc;

use vmm::limits::MAX_VCPUS;
use vmm::{Error, PostedWrite, RouteId};

use crate::asking::letter::{Answer, Heard, Payload};
use crate::asking::mailbox::Mailbox;
use crate::convert::outcome::{Told, tell};
use crate::ffi::{Returned, Words};
use crate::lifecycle::running::Callbacks;
use crate::pump::environment::{Attended, Environment};
use crate::pump::shared;
use crate::pump::turn::{Served, Turn};

use super::{Lifecycle, State, at_end, pause};

impl Lifecycle {
    /// Answers the question of one vCPU, once what was posted before it is handed over.
    fn attend_vcpu(&self, mailbox: &Mailbox, callbacks: &Callbacks, turn: &Turn) -> Served {
        let Some(words) = shared::words() else {
            return Served::Nothing;
        };
        if mailbox.take_posted() {
            self.posted().set_due();
        }
        let mut served = self.hand_over(words, callbacks, turn);
        let may_be_taken = || mailbox.is_asked(|marks| self.posted().reached(marks));
        if may_be_taken() == Some(false) {
            self.posted().set_due();
            served = served.max(self.hand_over(words, callbacks, turn));
        }
        // After a slow batch the question comes in the next turn of the event loop.
        if may_be_taken() != Some(true) || (served != Served::Nothing && turn.is_over()) {
            return served;
        }
        let Some((ticket, letter)) = mailbox.take() else {
            return served;
        };
        served.max(
            match letter.ask(words, |payload| callbacks.ask.call(payload)) {
                Heard::Answer(answer) => {
                    mailbox.answer(ticket, answer);
                    Served::Something
                }
                Heard::Promised => {
                    mailbox.promise();
                    Served::Promise
                }
            },
        )
    }

    /// Lets JavaScript take the requests that wait at devices which it answers.
    fn serve(&self, callbacks: &Callbacks) -> Served {
        let remotes = self.handles.remotes();
        let Some(due) = remotes.and_then(|remotes| remotes.take_due()) else {
            return Served::Nothing;
        };
        match callbacks.serve.call(Some(due)) {
            Some(Returned::Number(1..)) => Served::Promise,
            _ => Served::Something,
        }
    }

    /// Hands posted writes over to consumers that are not at work.
    fn hand_over(&self, words: Words, callbacks: &Callbacks, turn: &Turn) -> Served {
        let call = || callbacks.ask.call(None::<Payload>);
        // A consumer that throws has its error kept by TypeScript; the run is told to end.
        self.posted()
            .hand_over(words, call, || turn.is_over(), || self.stop())
    }
}

impl Lifecycle {
    /// Takes posted writes out of a route's ring.
    pub fn drain(&self, route: RouteId) -> Vec<PostedWrite> {
        let events = self.posted().drain(route);
        self.with_running(|running| running.mailboxes.iter().for_each(|mailbox| mailbox.wake()));
        events
    }

    /// The answer to a promised question.
    pub fn answer(&self, ticket: u32, answer: Answer) {
        self.with_running(|running| {
            let vcpu = (ticket % MAX_VCPUS) as usize;
            if let Some(mailbox) = running.mailboxes.get(vcpu) {
                mailbox.answer(ticket, answer);
            }
        });
    }

    /// Whether a thread had left the machine, at the end of the run or for a pause.
    fn settle(&self) -> bool {
        let mut state = self.state.borrow_mut();
        let State::There(running) = &mut *state else {
            return false;
        };
        let Some((machine, outcome)) = running.take_finished() else {
            return false;
        };
        let callbacks = Rc::clone(&running.callbacks);
        // The machine is idle before the end of the run is reported.
        let before = std::mem::replace(&mut *state, State::Closed);
        if let (true, State::There(running)) = (pause::is_pause(&outcome), before) {
            drop(state);
            self.has_paused(machine, running);
            return true;
        }
        *state = State::Idle(machine);
        drop(state);
        self.silence();
        Environment::remove(self);
        let ended = self.judge(outcome).map(|outcome| {
            let registers = self.with_idle(|machine| Ok(at_end(machine, &outcome)));
            (outcome, registers.ok().flatten())
        });
        if let Some(words) = shared::words() {
            callbacks.settle.call(Some(tell(words, ended)));
        }
        true
    }
}

impl Attended for Lifecycle {
    fn waits(&self) -> bool {
        match &*self.state.borrow() {
            State::There(running) => {
                self.posted().is_due()
                    || self.handles.remotes().is_some_and(|all| all.is_due())
                    || running.mailboxes.iter().any(|mailbox| mailbox.waits())
                    || running.is_finished()
            }
            _ => false,
        }
    }

    fn enter(&self) {
        let callbacks = match &*self.state.borrow() {
            State::There(running) => Rc::clone(&running.callbacks),
            _ => return,
        };
        callbacks.enter.call(None::<u32>);
    }

    /// Answers the question that waits, takes posted writes, settles the run that is over.
    fn attend(&self, turn: &Turn) -> Served {
        let (mailboxes, callbacks) = match &*self.state.borrow() {
            State::There(running) => (Rc::clone(&running.mailboxes), Rc::clone(&running.callbacks)),
            _ => return Served::Nothing,
        };
        let served = turn.each(&self.next, &mailboxes, |mailbox| {
            self.attend_vcpu(mailbox, &callbacks, turn)
        });
        let served = served.max(self.serve(&callbacks));
        // The awaiting code needs a turn of JavaScript's, too.
        if self.settle() {
            Served::Promise
        } else {
            served
        }
    }

    fn gathers(&self) -> bool {
        self.posted().gathers()
    }

    fn look(&self) {
        self.posted().look();
    }

    fn shut_down(&self) {
        self.close();
    }

    fn fail(&self, error: Error) -> Served {
        let callbacks = self.with_running(|running| Rc::clone(&running.callbacks));
        self.close();
        if let Some(callbacks) = callbacks {
            callbacks.settle.call(Some(Told::C(error.into())));
        }
        Served::Promise
    }
}
