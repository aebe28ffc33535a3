//! A disk that somebody else has: reads, writes and flushes by numbers.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::bell::HostBell;
use crate::virtio::Waker;

/// What a disk is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskAsked {
    /// So many bytes.
    Read(u32),
    /// These bytes are to be stored.
    Write(Vec<u8>),
    /// What was written shall last.
    Flush,
}

/// A request for the host's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskRequest {
    /// Its number, given once.
    pub id: u64,
    /// From which byte of the disk on.
    pub offset: u64,
    /// What is asked.
    pub asked: DiskAsked,
}

/// What the host's end has answered.
#[derive(Debug, PartialEq, Eq)]
pub struct DiskAnswer {
    /// Of which request.
    pub id: u64,
    /// What was read, nothing for the others; `None` is an I/O error.
    pub bytes: Option<Vec<u8>>,
}

/// The requests of one disk. What is open is bounded by the device, which asks no more than it has
/// room for.
#[derive(Debug)]
pub struct RemoteDisk {
    state: Mutex<State>,
    bell: Arc<HostBell>,
    waker: OnceLock<Waker>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Not taken yet.
    waiting: VecDeque<DiskRequest>,
    /// Asked and not answered, with the number of bytes of the answer.
    open: HashMap<u64, usize>,
    answers: Vec<DiskAnswer>,
}

impl RemoteDisk {
    /// A disk at which nothing waits.
    pub fn new(bell: Arc<HostBell>) -> Self {
        Self {
            state: Mutex::default(),
            bell,
            waker: OnceLock::new(),
        }
    }

    /// For the device: what wakes it for answers. It is given once.
    pub fn attach(&self, waker: Waker) {
        self.waker.set(waker).ok();
    }

    /// Whether a request waits for the host.
    pub fn waits(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    /// For the host: all requests that wait, oldest first. Each is to be answered once.
    pub fn take(&self) -> Vec<DiskRequest> {
        Vec::from(std::mem::take(&mut self.lock().waiting))
    }

    /// For the host: answers a request. `None`, and a read of another length than was asked for, is
    /// an I/O error; what is not open any more is dropped.
    pub fn answer(&self, id: u64, bytes: Option<Vec<u8>>) {
        let mut state = self.lock();
        let Some(expected) = state.open.remove(&id) else {
            return;
        };
        let bytes = bytes.filter(|bytes| bytes.len() == expected);
        let is_first = state.answers.is_empty();
        state.answers.push(DiskAnswer { id, bytes });
        drop(state);
        if let (true, Some(waker)) = (is_first, self.waker.get()) {
            waker.wake();
        }
    }

    /// For the device: a request, which the host hears of with the next
    /// [`announce`](Self::announce). Returns its number.
    pub fn ask(&self, offset: u64, asked: DiskAsked) -> u64 {
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        let expected = match asked {
            DiskAsked::Read(length) => length as usize,
            DiskAsked::Write(_) | DiskAsked::Flush => 0,
        };
        state.open.insert(id, expected);
        state.waiting.push_back(DiskRequest { id, offset, asked });
        id
    }

    /// For the device: tells the host that requests wait.
    pub fn announce(&self) {
        self.bell.ring();
    }

    /// For the device: what was answered since the last call.
    pub fn answers(&self) -> Vec<DiskAnswer> {
        std::mem::take(&mut self.lock().answers)
    }

    /// For the device: nothing is open any more.
    pub fn forget(&self) {
        let mut state = self.lock();
        state.waiting.clear();
        state.open.clear();
        state.answers.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> RemoteDisk {
        RemoteDisk::new(Arc::default())
    }

    #[test]
    fn a_request_is_answered_once_and_its_number_never_comes_again() {
        let disk = disk();
        let read = disk.ask(512, DiskAsked::Read(2));
        let write = disk.ask(0, DiskAsked::Write(vec![7]));
        assert!(disk.waits() && !disk.bell.is_due());
        disk.announce();
        assert!(disk.bell.take_due());
        let taken = disk.take();
        assert_eq!((taken.len(), taken[0].offset), (2, 512));
        assert!(!disk.waits());
        disk.answer(write, Some(Vec::new()));
        disk.answer(read, Some(vec![1, 2]));
        disk.answer(read, Some(vec![3, 4]));
        let answers = disk.answers();
        assert_eq!(answers.len(), 2);
        assert_eq!(answers[1].bytes.as_deref(), Some(&[1, 2][..]));
        assert!(disk.answers().is_empty());
        assert_eq!(disk.ask(0, DiskAsked::Flush), 2);
    }

    #[test]
    fn an_answer_of_another_length_is_an_error() {
        let disk = disk();
        for bytes in [None, Some(vec![1; 3]), Some(vec![1; 5]), Some(Vec::new())] {
            let id = disk.ask(0, DiskAsked::Read(4));
            disk.answer(id, bytes);
        }
        assert!(disk.answers().iter().all(|answer| answer.bytes.is_none()));
    }

    #[test]
    fn what_was_forgotten_is_not_answered() {
        let disk = disk();
        let (one, two) = (disk.ask(0, DiskAsked::Flush), disk.ask(0, DiskAsked::Flush));
        disk.answer(one, Some(Vec::new()));
        disk.forget();
        disk.answer(two, Some(Vec::new()));
        assert!(!disk.waits() && disk.answers().is_empty());
    }
}
