//! The thread that ends machines. Closing a VM waits for grace periods of the kernel: milliseconds
//! on a busy host, and tens of them with an irqchip. JavaScript's thread has no part in that.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;

use vmm::{Machine, Result};

/// Machines that may wait for their end. Each still has its descriptors, so the number is small; a
/// program that closes faster than the kernel ends machines is slowed down to that.
const MOST_WAITING: usize = 4;

struct Queue {
    waiting: VecDeque<Box<Machine>>,
    /// The thread is there; it stays.
    is_started: bool,
    /// The thread ends one.
    is_busy: bool,
    /// A snapshot has gone.
    is_untidy: bool,
    /// How many it has ended.
    ended: u64,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    waiting: VecDeque::new(),
    is_started: false,
    is_busy: false,
    is_untidy: false,
    ended: 0,
});

/// There is one to end.
static COME: Condvar = Condvar::new();

/// One has ended.
static GONE: Condvar = Condvar::new();

/// What becomes of memory that a buffer keeps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    AsItIs,
    Emptied,
}

/// Ends a machine, soon; at once where there is no thread to do it, or where it has enough to do.
/// What a further machine of its snapshot can use is kept.
pub fn reap(machine: Box<Machine>, kept: Memory) {
    let Some(machine) = machine.retire() else {
        return;
    };
    let memory = (kept == Memory::Emptied).then(|| Arc::clone(machine.memory()));
    let mut queue = started();
    if queue.is_started && queue.waiting.len() < MOST_WAITING {
        queue.waiting.push_back(machine);
        COME.notify_one();
        drop(queue);
    } else {
        drop(queue);
        drop(machine);
        vmm::trim_spares();
    }
    // Nothing of the VM runs any more that could write into it.
    if let Some(memory) = memory {
        memory.give_back();
    }
}

/// Ends, soon, what machines have left for further ones, if no snapshot is there for those.
pub fn tidy() {
    let mut queue = started();
    if queue.is_started {
        queue.is_untidy = true;
        COME.notify_one();
    } else {
        drop(queue);
        vmm::trim_spares();
    }
}

/// The queue, with a thread if one can start.
fn started() -> MutexGuard<'static, Queue> {
    let mut queue = lock();
    if !queue.is_started {
        let thread = Builder::new().name("vmexit-reaper".into()).spawn(work);
        queue.is_started = thread.is_ok();
    }
    queue
}

/// Makes a machine. Where the host refuses it for want of descriptors, memory or disks that
/// machines still had which waited for their end, it is made after that.
pub fn make(make: impl Fn() -> Result<Machine>) -> Result<Machine> {
    let before = lock().ended;
    match make() {
        Err(error) if error.is_want() && after_all() != before => make(),
        made => made,
    }
}

/// Waits until all that were to end have ended; how many that are by then.
fn after_all() -> u64 {
    let mut queue = lock();
    while queue.is_busy || !queue.waiting.is_empty() {
        queue = GONE.wait(queue).unwrap_or_else(PoisonError::into_inner);
    }
    queue.ended
}

fn work() {
    let mut queue = lock();
    loop {
        let machine = queue.waiting.pop_front();
        if machine.is_none() && !queue.is_untidy {
            queue = COME.wait(queue).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        let ended = u64::from(machine.is_some());
        queue.is_busy = true;
        queue.is_untidy = false;
        drop(queue);
        drop(machine);
        vmm::trim_spares();
        queue = lock();
        queue.is_busy = false;
        queue.ended += ended;
        GONE.notify_all();
    }
}

fn lock() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}
