//! What a system call is given, and what it comes to.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::errno::Errno;
use crate::limits::PAGE;
use crate::memory::Memory;
use crate::space::Space;

/// A system call as its registers say: RAX, then RDI, RSI, RDX, R10, R8, R9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Whatever the program has put into RAX.
    pub number: u64,
    /// Its arguments.
    pub arguments: [u64; 6],
}

/// What a system call comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// RAX, with which the program continues: a value, or a negated errno.
    Value(u64),
    /// The program is over.
    Exit {
        /// 0 to 255.
        code: i32,
    },
    /// It is over, by this signal.
    Killed {
        /// 1 to 64.
        signal: u32,
    },
    /// `rt_sigreturn`: the caller has the registers, for
    /// [`leave_handler`](crate::Kernel::leave_handler).
    Return,
    /// The host shall answer; nothing has been changed, but for what a call blocks while it waits.
    Ask,
}

impl From<Errno> for Answer {
    fn from(errno: Errno) -> Self {
        Self::Value(i64::from(-errno.0).cast_unsigned())
    }
}

impl From<Result<u64, Errno>> for Answer {
    fn from(result: Result<u64, Errno>) -> Self {
        result.map_or_else(Self::from, Self::Value)
    }
}

impl From<Result<Self, Errno>> for Answer {
    fn from(result: Result<Self, Errno>) -> Self {
        result.unwrap_or_else(Self::from)
    }
}

/// The registers of a thread that system calls look at and set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Thread {
    /// The base of FS, where C libraries have their thread's data.
    pub fs_base: u64,
    /// The base of GS.
    pub gs_base: u64,
    /// The stack pointer of the call, which none of them sets.
    pub rsp: u64,
}

/// Which time is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Since 1970-01-01 00:00 UTC.
    Realtime,
    /// Since some moment, never set back.
    Monotonic,
    /// What the program has used of a processor.
    Processor,
}

/// What only the host knows.
pub trait HostFacts {
    /// Seconds and nanoseconds.
    fn now(&mut self, clock: Clock) -> (i64, u32);
    /// Fills `bytes` with what a program cannot guess.
    fn random(&mut self, bytes: &mut [u8]);
    /// Whether time is the program's own, and passes with [`pass`](Self::pass).
    fn is_fixed(&self) -> bool {
        false
    }
    /// So much of it passes.
    fn pass(&mut self, _time: Duration) {}
}

/// What a system call may look at and change besides the kernel's own state.
pub struct World<'a> {
    /// The program's addresses.
    pub space: &'a mut Space,
    /// The memory that they lead to.
    pub memory: &'a dyn Memory,
    /// The thread that calls.
    pub thread: &'a mut Thread,
    /// Time and chance.
    pub host: &'a mut dyn HostFacts,
}

impl World<'_> {
    /// Reads what the program may read.
    pub(crate) fn read(&mut self, address: u64, bytes: &mut [u8]) -> Result<(), Errno> {
        self.space.read(self.memory, address, bytes)
    }

    /// Writes where the program may write, all or nothing.
    pub(crate) fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.space.write(self.memory, address, bytes)
    }

    /// As [`write`](Self::write); a null pointer says that it is not wanted.
    pub(crate) fn write_optional(&mut self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        if address == 0 {
            return Ok(());
        }
        self.write(address, bytes)
    }

    /// `N` words in a row.
    pub(crate) fn words<const N: usize>(&mut self, address: u64) -> Result<[u64; N], Errno> {
        let mut words = [0; N];
        for (word, at) in words.iter_mut().zip(0..) {
            let mut bytes = [0; 8];
            let address = address.checked_add(8 * at).ok_or(Errno::EFAULT)?;
            self.read(address, &mut bytes)?;
            *word = u64::from_le_bytes(bytes);
        }
        Ok(words)
    }

    /// What stands before a NUL, of at most so many bytes.
    pub(crate) fn string(&mut self, address: u64, most: usize) -> Result<Vec<u8>, Errno> {
        let mut text = Vec::new();
        let mut at = address;
        while text.len() <= most {
            // A page beyond the string need not be there.
            let mut piece = [0; 64];
            let left = usize::try_from(PAGE - at % PAGE).unwrap_or(1);
            let piece = &mut piece[..left.min(64)];
            self.read(at, piece)?;
            if let Some(end) = piece.iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&piece[..end]);
                break;
            }
            text.extend_from_slice(piece);
            at = at.checked_add(piece.len() as u64).ok_or(Errno::EFAULT)?;
        }
        if text.len() > most {
            return Err(Errno::ENAMETOOLONG);
        }
        Ok(text)
    }
}

/// The low half of an argument: what the kernel takes of an `int`.
pub(crate) const fn int(argument: u64) -> i32 {
    low(argument).cast_signed()
}

/// The low half of an argument: what the kernel takes of an `unsigned int`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the kernel looks at no more of it"
)]
pub(crate) const fn low(argument: u64) -> u32 {
    argument as u32
}
