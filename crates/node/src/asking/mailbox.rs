//! One question at a time from a vCPU's thread to JavaScript's, and its answer back.
//!
//! ```text
//!            ask          take             answer
//!   Empty ─────────► Asked ─────► Taken ───────────────► Answered ──► Empty
//!     ▲                │            │ promise ─► Promised ──┘
//!     └── kick ────────┘            └── kick (close only) ── kick ──► Empty
//! ```
//! A kick withdraws a question that JavaScript has not seen. If a handler is executing, it is
//! waited for, since it ends by itself. A promise may never settle, so a kick ends that wait; a
//! close ends every wait.
//!
//! A pause ends every wait, too, but it leaves a question that JavaScript has seen where it is. The
//! asker notes which one, and when it asks the same again it gets the answer to the first.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::Instant;

use vmm::limits::{MAX_QUEUED_EVENTS, MAX_VCPUS};
use vmm::{
    At, Exit, ExitHandler, Feed, Hit, KickCause, KickHandle, LeftOpen, PostedRing, ReadAnswer,
    Reply, RouteId, StopAnswer, Unanswered, WriteAnswer,
};

use crate::asking::letter::{self, Answer, Letter, NativeQuestion};
use crate::asking::posted::{self, Marks};
use crate::pump::bell::Bell;
use crate::pump::patience::Patience;

/// Stages of a question, as in the picture.
const EMPTY: u8 = 0;
const ASKED: u8 = 1;
const TAKEN: u8 = 2;
const PROMISED: u8 = 3;
const ANSWERED: u8 = 4;

/// Nothing is left of what was asked before a pause.
const NOTHING: u64 = u64::MAX;

/// Which question it is: its kind, and the route that it is about.
const fn identity(kind: NativeQuestion, route: u32) -> u64 {
    ((kind as u64) << 32) | route as u64
}

/// Shared by the thread of a run and JavaScript's.
#[derive(Debug)]
pub struct Mailbox {
    stage: AtomicU8,
    /// The ticket of this question; its remainder by `MAX_VCPUS` is the index of the vCPU.
    ticket: AtomicU32,
    /// With what was posted before it.
    letter: Mutex<Option<(Letter, Marks)>>,
    answer: Mutex<Option<Answer>>,
    /// Posted writes wait in a ring.
    posted: AtomicBool,
    kick: KickHandle,
    /// The `identity` of the question that was seen before a pause, or `NOTHING`.
    left: AtomicU64,
    /// The thread that has the vCPU, or had it before a pause.
    asker: Mutex<Option<Thread>>,
}

impl Mailbox {
    /// The mailbox of one vCPU.
    pub fn new(kick: KickHandle, vcpu: u32) -> Self {
        Self {
            stage: AtomicU8::new(EMPTY),
            ticket: AtomicU32::new(vcpu),
            letter: Mutex::default(),
            answer: Mutex::default(),
            posted: AtomicBool::new(false),
            kick,
            left: AtomicU64::new(NOTHING),
            asker: Mutex::default(),
        }
    }

    /// JavaScript's side: whether there is something to take.
    pub fn waits(&self) -> bool {
        self.stage.load(Ordering::SeqCst) == ASKED || self.posted.load(Ordering::SeqCst)
    }

    /// JavaScript's side: whether a question waits, and what comes before it was handed over, as
    /// `reached` judges.
    pub fn is_asked(&self, reached: impl FnOnce(&Marks) -> bool) -> Option<bool> {
        // After a kick the asker takes its question back.
        if self.stage.load(Ordering::SeqCst) != ASKED || self.kick.requested().is_some() {
            return None;
        }
        let letter = lock(&self.letter);
        Some(letter.as_ref().is_none_or(|(_, marks)| reached(marks)))
    }

    /// JavaScript's side: the question that waits, with its ticket.
    pub fn take(&self) -> Option<(u32, Letter)> {
        if !self.moves(ASKED, TAKEN) {
            return None;
        }
        let (letter, _) = lock(&self.letter).take()?;
        Some((self.ticket.load(Ordering::SeqCst), letter))
    }

    /// JavaScript's side: whether posted writes were announced since the last call.
    pub fn take_posted(&self) -> bool {
        self.posted.load(Ordering::Relaxed) && self.posted.swap(false, Ordering::SeqCst)
    }

    /// JavaScript's side: the answer will come later.
    pub fn promise(&self) {
        self.moves(TAKEN, PROMISED);
        // A kick that came while the handler was busy was not acted on; let the asker look again.
        self.wake();
    }

    /// JavaScript's side: the answer; one that comes too late is dropped.
    pub fn answer(&self, ticket: u32, answer: Answer) {
        let stage = self.stage.load(Ordering::SeqCst);
        if self.ticket.load(Ordering::SeqCst) != ticket || !matches!(stage, TAKEN | PROMISED) {
            return;
        }
        *lock(&self.answer) = Some(answer);
        self.moves(stage, ANSWERED);
        self.wake();
    }

    /// JavaScript's side: what a look at the vCPU finds while it waits for the answer to a
    /// question; none if it does not, or did not all the time.
    pub fn while_asked<T>(&self, ticket: u32, look: impl FnOnce() -> Option<T>) -> Option<T> {
        let is_asked = || {
            let stage = self.stage.load(Ordering::SeqCst);
            matches!(stage, TAKEN | PROMISED) && self.ticket.load(Ordering::SeqCst) == ticket
        };
        if !is_asked() {
            return None;
        }
        let found = look();
        fence(Ordering::SeqCst);
        found.filter(|_| is_asked())
    }

    /// JavaScript's side: makes the vCPU's thread look again.
    pub fn wake(&self) {
        if let Some(asker) = &*lock(&self.asker) {
            asker.unpark();
        }
    }

    /// The question is not asked any more: its answer comes too late, whenever it comes.
    pub fn forget(&self) {
        self.left.store(NOTHING, Ordering::SeqCst);
        self.stage.store(EMPTY, Ordering::SeqCst);
    }

    /// Posted writes wait.
    pub fn announce(&self) {
        self.posted.store(true, Ordering::SeqCst);
    }

    fn post(&self, letter: impl FnOnce(u32) -> Letter, marks: Marks) {
        let ticket = self.ticket.load(Ordering::SeqCst);
        let ticket = ticket.wrapping_add(MAX_VCPUS);
        self.ticket.store(ticket, Ordering::SeqCst);
        *lock(&self.letter) = Some((letter(ticket), marks));
        self.stage.store(ASKED, Ordering::SeqCst);
    }

    /// What the asker gets, if its wait is over.
    fn collect(&self) -> Option<Reply<Answer>> {
        let stage = self.stage.load(Ordering::SeqCst);
        let answer = match (stage, self.kick.requested()) {
            (ANSWERED, _) => lock(&self.answer).take().ok_or(Unanswered::Failed),
            (ASKED, Some(_)) => Err(Unanswered::Withdrawn),
            // P2 (docs/stop.md): it stays in its stage, and the answer finds it there.
            (TAKEN | PROMISED, Some(KickCause::Pause)) => return Some(Err(Unanswered::Paused)),
            (PROMISED, Some(_)) | (TAKEN, Some(KickCause::Close)) => Err(Unanswered::Interrupted),
            _ => return None,
        };
        // JavaScript may have moved on meanwhile; then there is something else to collect.
        self.moves(stage, EMPTY).then_some(answer)
    }

    fn moves(&self, from: u8, to: u8) -> bool {
        self.stage
            .compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }
}

fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The handler of `run`: asks from the vCPU's own thread.
pub struct AcrossThreads {
    mailbox: Arc<Mailbox>,
    bell: Arc<Bell>,
    /// What is posted before a question comes before it.
    feeds: Arc<[Feed]>,
    patience: Patience,
    /// The mailbox knows this thread.
    is_known: bool,
}

impl AcrossThreads {
    pub fn new(mailbox: Arc<Mailbox>, bell: Arc<Bell>, feeds: Arc<[Feed]>) -> Self {
        Self {
            mailbox,
            bell,
            feeds,
            patience: Patience::default(),
            is_known: false,
        }
    }

    /// The run is over, or pauses.
    pub fn ring(&self) {
        self.bell.ring();
    }

    /// Polls for a while, then parks, until there is a result. JavaScript's thread or a kick wakes
    /// it.
    fn wait<T>(&mut self, mut look: impl FnMut(&Mailbox) -> Option<T>) -> T {
        if !std::mem::replace(&mut self.is_known, true) {
            *lock(&self.mailbox.asker) = Some(std::thread::current());
        }
        let begin = Instant::now();
        while self.patience.lasts(begin.elapsed()) {
            if let Some(found) = look(&self.mailbox) {
                return found;
            }
            std::thread::yield_now();
        }
        loop {
            if let Some(found) = look(&self.mailbox) {
                self.patience.learn(begin.elapsed());
                return found;
            }
            // The thread that was awake when the question was posted may have left for a turn.
            self.bell.ring();
            std::thread::park();
        }
    }

    fn announce(&self) {
        self.mailbox.announce();
        self.bell.ring();
    }
}

impl AcrossThreads {
    /// Asks JavaScript, and waits.
    fn ask(
        &mut self,
        kind: NativeQuestion,
        route: u32,
        letter: impl FnOnce(u32) -> Letter,
    ) -> Reply<Answer> {
        // P5: what was asked before a pause is not posted again.
        let (question, left) = (identity(kind, route), self.left());
        if left == NOTHING {
            self.post(letter);
        } else if left != question {
            match self.mailbox.kick.requested() {
                // What was asked before the pause comes first.
                Some(KickCause::Pause) => return Err(Unanswered::Withdrawn),
                Some(_) => {
                    self.mailbox.forget();
                    return Err(Unanswered::Withdrawn);
                }
                // Its route is gone.
                None => {
                    self.mailbox.forget();
                    self.post(letter);
                }
            }
        }
        self.await_answer(question)
    }

    fn post(&self, letter: impl FnOnce(u32) -> Letter) {
        self.mailbox.post(letter, posted::marks(&self.feeds));
        self.bell.ring();
    }

    /// Waits; after a pause for the answer to what was asked before it.
    fn await_answer(&mut self, question: u64) -> Reply<Answer> {
        let reply = self.wait(Mailbox::collect);
        let is_left = matches!(reply, Err(Unanswered::Paused));
        let left = if is_left { question } else { NOTHING };
        self.mailbox.left.store(left, Ordering::SeqCst);
        reply
    }

    fn left(&self) -> u64 {
        self.mailbox.left.load(Ordering::Relaxed)
    }
}

impl ExitHandler for AcrossThreads {
    fn read(&mut self, at: At) -> Reply<Option<u64>> {
        self.ask(NativeQuestion::Read, at.route.get(), |ticket| {
            Letter::read(at, ticket)
        })?
        .value()
    }

    fn write(&mut self, at: At, value: u64) -> Reply<()> {
        self.ask(NativeQuestion::Write, at.route.get(), |ticket| {
            Letter::write(at, value, ticket)
        })?
        .done()
    }

    fn console(&mut self, route: RouteId, bytes: &[u8]) -> Reply<()> {
        self.ask(NativeQuestion::Console, route.get(), |ticket| {
            Letter::console(route, bytes, ticket)
        })?
        .done()
    }

    fn unclaimed_read(&mut self, exit: &Exit, data: &[u8]) -> Reply<ReadAnswer> {
        self.ask(NativeQuestion::Unclaimed, 0, |ticket| {
            Letter::unclaimed(exit, data, ticket)
        })?
        .unclaimed_read()
    }

    fn unclaimed_write(&mut self, exit: &Exit, data: &[u8]) -> Reply<WriteAnswer> {
        self.ask(NativeQuestion::Unclaimed, 0, |ticket| {
            Letter::unclaimed(exit, data, ticket)
        })?
        .unclaimed_write()
    }

    fn stopped(&mut self, vcpu: u32, hit: &Hit) -> Reply<StopAnswer> {
        let stop = hit.id.unwrap_or(letter::NO_STOP);
        self.ask(NativeQuestion::Stop, stop, |ticket| {
            Letter::stop(vcpu, hit, ticket)
        })?
        .stop()
    }

    fn posted(&mut self) -> Reply<()> {
        self.announce();
        Ok(())
    }

    fn full(&mut self, ring: &PostedRing) -> Reply<()> {
        self.announce();
        self.wait(|mailbox| {
            let kicked = mailbox.kick.requested().is_some();
            (kicked || ring.len() < MAX_QUEUED_EVENTS).then_some(Ok(()))
        })
    }

    fn left_open(&self) -> LeftOpen {
        match self.left() {
            NOTHING => LeftOpen::Nothing,
            left if left >> 32 == NativeQuestion::Console as u64 => LeftOpen::Text,
            _ => LeftOpen::Answer,
        }
    }

    fn text_taken(&mut self) -> Reply<()> {
        let left = self.left();
        self.await_answer(left)?.done()
    }

    fn forget(&mut self) {
        self.mailbox.forget();
    }
}
