//! One question at a time from a vCPU's thread to JavaScript's, and its answer back.
//!
//! ```text
//!            ask          take             answer
//!   Empty ─────────► Asked ─────► Taken ───────────────► Answered ──► Empty
//!     ▲                │            │ promise ─► Promised ──┘
//!     └── kick ────────┘            └── kick (close only) ── kick ──► Empty
//! ```
//! A kick takes back what JavaScript has not seen. What a handler is busy with is waited for, since it ends
//! by itself; a promise may never settle, so a kick ends that wait, and a close ends every wait.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

use vmm::{Answer, ExitHandler, KickCause, KickHandle, Question};

use crate::ask::Letter;
use crate::bell::Bell;

#[derive(Debug)]
enum Post {
    Empty,
    Asked(Letter),
    Taken,
    Promised,
    Answered(Answer),
}

/// Shared by the thread of a run and JavaScript's.
#[derive(Debug)]
pub struct Mailbox {
    post: Mutex<(u32, Post)>,
    kick: KickHandle,
    asker: OnceLock<Thread>,
}

impl Mailbox {
    pub fn new(kick: KickHandle) -> Self {
        Self {
            post: Mutex::new((0, Post::Empty)),
            kick,
            asker: OnceLock::new(),
        }
    }

    /// JavaScript's side: the question that waits, with its ticket.
    pub fn take(&self) -> Option<(u32, Letter)> {
        let mut post = self.post();
        let (ticket, state) = &mut *post;
        match std::mem::replace(state, Post::Taken) {
            Post::Asked(letter) => Some((*ticket, letter)),
            other => {
                *state = other;
                None
            }
        }
    }

    /// JavaScript's side: the answer will come later.
    pub fn promise(&self, ticket: u32) {
        let mut post = self.post();
        if post.0 == ticket && matches!(post.1, Post::Taken) {
            post.1 = Post::Promised;
        }
        drop(post);
        // A kick that came while the handler was busy was not acted on; let the asker look again.
        self.wake();
    }

    /// JavaScript's side: the answer; one that comes too late is dropped.
    pub fn answer(&self, ticket: u32, answer: Answer) {
        let mut post = self.post();
        if post.0 == ticket && matches!(post.1, Post::Taken | Post::Promised) {
            post.1 = Post::Answered(answer);
        }
        drop(post);
        self.wake();
    }

    fn wake(&self) {
        if let Some(asker) = self.asker.get() {
            asker.unpark();
        }
    }

    /// What the asker gets, if its wait is over.
    fn collect(&self) -> Option<Answer> {
        let kicked = self.kick.requested();
        let mut post = self.post();
        let answer = match (&mut post.1, kicked) {
            (Post::Answered(answer), _) => std::mem::replace(answer, Answer::Done),
            (Post::Asked(_), Some(_)) => Answer::Withdrawn,
            (Post::Promised, Some(_)) | (Post::Taken, Some(KickCause::Close)) => {
                Answer::Interrupted
            }
            _ => return None,
        };
        post.1 = Post::Empty;
        Some(answer)
    }

    fn post(&self) -> MutexGuard<'_, (u32, Post)> {
        self.post.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The handler of `run`: asks from the vCPU's own thread.
pub struct AcrossThreads {
    pub mailbox: Arc<Mailbox>,
    pub bell: Arc<Bell>,
}

impl ExitHandler for AcrossThreads {
    fn answer(&mut self, question: Question<'_>) -> Answer {
        if matches!(question, Question::Tick) {
            return Answer::Done;
        }
        self.mailbox.asker.get_or_init(std::thread::current);
        let mut post = self.mailbox.post();
        post.0 = post.0.wrapping_add(1);
        post.1 = Post::Asked(Letter::new(&question, post.0));
        drop(post);
        self.bell.ring();
        loop {
            match self.mailbox.collect() {
                Some(answer) => return answer,
                None => std::thread::park(),
            }
        }
    }
}
