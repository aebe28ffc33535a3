//! A keyboard, as its controller has it: codes that wait, and what it answers.

use std::collections::VecDeque;

use super::translation::{self, BREAK};
use crate::state::{Field, saved};

/// Codes that wait for a guest at most: those of a text of some 16,000 characters.
pub const KEYBOARD_QUEUE_CODES: usize = 64 * 1024;

const ACK: u8 = 0xfa;
const RESEND: u8 = 0xfe;
const SELF_TEST_PASSED: u8 = 0xaa;
const ECHO: u8 = 0xee;
/// An MF2 keyboard.
const IDENTITY: [u8; 2] = [0xab, 0x83];

/// The longest answer: that to "identify".
const MOST_REPLIES: usize = 3;

/// The sets of codes that it has.
const SETS: std::ops::RangeInclusive<u8> = 1..=2;
const DEFAULT_SET: u8 = 2;

/// A command that waits for its parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// Which lamps are lit.
    Lamps,
    /// Rate and delay of repetition. Nothing repeats here: who types says how often.
    Rate,
    /// A set of codes, or 0 to ask for it.
    Set,
}

impl Field for Awaited {
    fn put(&self, into: &mut Vec<u8>) {
        (*self as u8).put(into);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let all = [Self::Lamps, Self::Rate, Self::Set];
        all.get(usize::from(u8::take(from)?)).copied()
    }
}

saved! {
    /// What a [`Keyboard`] holds.
    KeyboardState {
        /// What it answers, which goes before any code.
        replies: VecDeque<u8>,
        /// What it has sent last, for who did not get it.
        last: u8,
        awaited: Option<Awaited>,
        /// Codes of set 1, oldest first. The first stays until all of it is read.
        codes: VecDeque<u8>,
        /// Of the first code, `BREAK` is read.
        is_half: bool,
        /// Whether it sends codes.
        scans: bool,
        /// The set of codes that it sends to a controller that does not translate.
        set: u8,
    }
}

impl KeyboardState {
    pub fn new() -> Self {
        Self {
            replies: VecDeque::new(),
            last: 0,
            awaited: None,
            codes: VecDeque::new(),
            is_half: false,
            scans: true,
            set: DEFAULT_SET,
        }
    }

    /// Whether it is one that a keyboard can have.
    pub fn is_whole(&self) -> bool {
        self.replies.len() <= MOST_REPLIES
            && self.codes.len() <= KEYBOARD_QUEUE_CODES
            && SETS.contains(&self.set)
            && !(self.is_half && self.codes.is_empty())
    }

    /// Takes as many codes as there is space for, and returns how many.
    pub fn push(&mut self, codes: &[u8]) -> usize {
        let space = KEYBOARD_QUEUE_CODES.saturating_sub(self.codes.len());
        let taken = codes.len().min(space);
        self.codes.extend(&codes[..taken]);
        taken
    }

    /// Codes that were not read.
    pub fn unread(&self) -> usize {
        self.codes.len()
    }

    /// Whether what it sends next is an answer.
    pub fn replies(&self) -> bool {
        !self.replies.is_empty()
    }

    /// What it sends next, as the controller hands it on.
    pub fn next(&self, translates: bool) -> Option<u8> {
        if let Some(reply) = self.replies.front() {
            let reply = *reply;
            return Some(if translates {
                translation::translated(reply)
            } else {
                reply
            });
        }
        let code = *self.codes.front().filter(|_| self.scans)?;
        if translates || self.set == 1 {
            return Some(code);
        }
        let (code, is_released) = translation::set2(code);
        Some(if is_released && !self.is_half {
            BREAK
        } else {
            code
        })
    }

    /// The byte of [`next`](Self::next) was read.
    pub fn sent(&mut self, byte: u8, translates: bool) {
        if let Some(reply) = self.replies.pop_front() {
            self.last = reply;
            return;
        }
        self.last = byte;
        let is_set2 = !translates && self.set != 1;
        let more = is_set2 && byte == BREAK && !self.is_half;
        self.is_half = more;
        if !more {
            self.codes.pop_front();
        }
    }

    /// Takes a byte of the system's. What it has yet to answer to an earlier one is dropped.
    pub fn command(&mut self, byte: u8) {
        let last = self.replies.front().copied().unwrap_or(self.last);
        self.replies.clear();
        // A parameter has no bit 7: this is the next command.
        match self.awaited.take().filter(|_| byte < 0x80) {
            Some(awaited) => self.parameter(awaited, byte),
            None => self.begin(byte, last),
        }
    }

    fn begin(&mut self, command: u8, last: u8) {
        match command {
            0xed => self.await_for(Awaited::Lamps),
            0xee => self.replies.push_back(ECHO),
            0xf0 => self.await_for(Awaited::Set),
            0xf2 => self.replies.extend([ACK, IDENTITY[0], IDENTITY[1]]),
            0xf3 => self.await_for(Awaited::Rate),
            0xf4 => self.set_default(true, None),
            0xf5 => self.set_default(false, Some(DEFAULT_SET)),
            0xf6 => self.set_default(self.scans, Some(DEFAULT_SET)),
            // How keys repeat in set 3.
            0xf7..=0xfa => self.replies.push_back(ACK),
            0xfe => self.replies.push_back(last),
            0xff => {
                self.set_default(true, Some(DEFAULT_SET));
                self.replies.push_back(SELF_TEST_PASSED);
            }
            _ => self.replies.push_back(RESEND),
        }
    }

    fn await_for(&mut self, awaited: Awaited) {
        self.awaited = Some(awaited);
        self.replies.push_back(ACK);
    }

    /// What was typed and not read is not lost.
    fn set_default(&mut self, scans: bool, set: Option<u8>) {
        self.scans = scans;
        self.set = set.unwrap_or(self.set);
        self.is_half = false;
        self.replies.push_back(ACK);
    }

    fn parameter(&mut self, awaited: Awaited, value: u8) {
        match awaited {
            Awaited::Lamps | Awaited::Rate => self.replies.push_back(ACK),
            Awaited::Set if value == 0 => self.replies.extend([ACK, self.set]),
            Awaited::Set if SETS.contains(&value) => {
                self.set = value;
                self.is_half = false;
                self.replies.push_back(ACK);
            }
            Awaited::Set => self.replies.push_back(RESEND),
        }
    }
}
