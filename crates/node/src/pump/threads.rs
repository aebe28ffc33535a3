//! Threads that are kept between runs: to start one takes longer than a short run.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// So many wait for work at most; one more would rarely be needed.
const MOST_WAITING: usize = 8;

/// How long one waits for work.
const PATIENCE: Duration = Duration::from_secs(2);

thread_local! {
    static WAITING: Arc<Waiting> = Arc::default();
}

/// A piece of work.
pub type Work = Box<dyn FnOnce() + Send>;

/// What a thread shall do.
#[derive(Default)]
enum Order {
    #[default]
    Wait,
    Work(Work),
    End,
}

/// A thread that does one piece of work after the other.
pub struct Worker {
    order: Arc<Mutex<Order>>,
    thread: JoinHandle<()>,
}

/// Those of one JavaScript environment that wait for work; `None` once it has ended.
struct Waiting(Mutex<Option<Vec<Worker>>>);

impl Default for Waiting {
    fn default() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }
}

impl Waiting {
    fn workers(&self) -> MutexGuard<'_, Option<Vec<Worker>>> {
        lock(&self.0)
    }

    /// Takes a thread out of the list, whose patience is at its end; `false` if it is not there,
    /// since there is work for it.
    fn let_go(&self, order: &Arc<Mutex<Order>>) -> bool {
        let mut workers = self.workers();
        let Some(workers) = workers.as_mut() else {
            return false;
        };
        let before = workers.len();
        workers.retain(|worker| !Arc::ptr_eq(&worker.order, order));
        workers.len() < before
    }
}

impl Worker {
    /// Has a thread of this environment do the work: one that waits, or a new one.
    pub fn start(work: Work) -> io::Result<Self> {
        let waiting = WAITING.with(Arc::clone);
        let kept = waiting.workers().as_mut().and_then(Vec::pop);
        if let Some(worker) = kept {
            worker.tell(Order::Work(work));
            return Ok(worker);
        }
        let order = Arc::new(Mutex::new(Order::Work(work)));
        let serving = Arc::clone(&order);
        let name = vmm::IDLE_THREAD.to_string_lossy().into_owned();
        let thread = Builder::new()
            .name(name)
            .spawn(move || serve(&serving, &waiting))?;
        Ok(Self { order, thread })
    }

    /// Its work is done, or nearly: it may wait for more.
    pub fn keep(self) {
        WAITING.with(|waiting| {
            let mut workers = waiting.workers();
            match workers.as_mut() {
                Some(workers) if workers.len() < MOST_WAITING => workers.push(self),
                _ => {
                    drop(workers);
                    self.end();
                }
            }
        });
    }

    /// Ends it, after its work. A panic of it has been reported.
    pub fn end(self) {
        self.tell(Order::End);
        let _ = self.thread.join();
    }

    fn tell(&self, order: Order) {
        *lock(&self.order) = order;
        self.thread.thread().unpark();
    }
}

/// The environment ends: no thread waits any longer, nor will.
pub fn end_all() {
    let workers = WAITING.with(|waiting| waiting.workers().take());
    workers.into_iter().flatten().for_each(Worker::end);
}

fn serve(order: &Arc<Mutex<Order>>, waiting: &Waiting) {
    let mut idle_since = Instant::now();
    loop {
        let next = std::mem::take(&mut *lock(order));
        match next {
            Order::Work(work) => {
                work();
                idle_since = Instant::now();
            }
            Order::End => return,
            Order::Wait => match PATIENCE.checked_sub(idle_since.elapsed()) {
                Some(left) => std::thread::park_timeout(left),
                None if waiting.let_go(order) => return,
                // It has work, or is still with a run that is about to end.
                None => idle_since = Instant::now(),
            },
        }
    }
}

fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
// A panic is the report, and once what is tested.
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread::ThreadId;

    /// Has a thread do something; which one it was.
    fn work() -> Option<(Worker, ThreadId)> {
        let (done, is_done) = mpsc::channel();
        let tell = move || done.send(std::thread::current().id()).unwrap();
        let worker = Worker::start(Box::new(tell)).ok()?;
        Some((worker, is_done.recv().ok()?))
    }

    fn waiting() -> Option<usize> {
        WAITING.with(|waiting| waiting.workers().as_ref().map(Vec::len))
    }

    #[test]
    fn a_thread_that_is_kept_does_the_next_work() {
        let mut since = Instant::now();
        let (mut worker, mut first) = work().unwrap();
        let (another, second) = work().unwrap();
        assert_ne!(first, second);
        another.end();
        for _ in 0..100 {
            worker.keep();
            let now = Instant::now();
            let (next, third) = work().unwrap();
            // A busy host may bring its patience to an end.
            assert!(third == first || since.elapsed() >= PATIENCE);
            (worker, first, since) = (next, third, now);
        }
        worker.end();
    }

    #[test]
    fn few_are_kept_and_none_for_long() {
        let begin = Instant::now();
        let workers: Vec<_> = (0..2 * MOST_WAITING).map(|_| work().unwrap().0).collect();
        workers.into_iter().for_each(Worker::keep);
        let kept = waiting();
        assert!(kept <= Some(MOST_WAITING));
        assert!(kept == Some(MOST_WAITING) || begin.elapsed() >= PATIENCE);
        std::thread::sleep(PATIENCE / 2);
        work().unwrap().0.keep();
        let begin = Instant::now();
        while waiting() != Some(0) {
            assert!(begin.elapsed() < 200 * PATIENCE);
            std::thread::sleep(PATIENCE / 10);
        }
    }

    #[test]
    fn none_is_kept_once_the_environment_has_ended() {
        let (kept, busy) = (work().unwrap().0, work().unwrap().0);
        kept.keep();
        end_all();
        assert_eq!(waiting(), None);
        busy.keep();
        work().unwrap().0.keep();
        assert_eq!(waiting(), None);
    }

    #[test]
    fn a_thread_that_panicked_can_be_ended() {
        let worker = Worker::start(Box::new(|| panic!("on purpose"))).unwrap();
        worker.end();
        assert_eq!(waiting(), Some(0));
    }
}
