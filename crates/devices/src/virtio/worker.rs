//! The thread that serves a device's requests. It begins when a driver is ready, and ends with the
//! device.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle};

use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

use crate::device::Doorbell;
use crate::virtio::shared::Shared;

/// What other programs call the threads, such as `top -H`.
const THREAD: &str = "vmexit-virtio";

/// The thread, until it is dropped.
#[derive(Debug)]
pub(super) struct Worker {
    shared: Arc<Shared>,
    bell: Arc<dyn Doorbell>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Serves what waits, and then whenever the bell rings.
    ///
    /// # Errors
    /// When the process may have no more threads or descriptors.
    pub fn start(shared: &Arc<Shared>, bell: &Arc<dyn Doorbell>) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let event = EpollEvent::new(EventSet::IN, 0);
        epoll.ctl(ControlOperation::Add, bell.as_raw_fd(), event)?;
        let (theirs, rung) = (Arc::clone(shared), Arc::clone(bell));
        let work = move || serve(&theirs, &*rung, &epoll);
        let thread = Builder::new().name(THREAD.into()).spawn(work)?;
        Ok(Self {
            shared: Arc::clone(shared),
            bell: Arc::clone(bell),
            thread: Some(thread),
        })
    }
}

fn serve(shared: &Shared, bell: &dyn Doorbell, epoll: &Epoll) {
    let mut events = [EpollEvent::default()];
    while !shared.is_over.load(Ordering::SeqCst) {
        bell.take();
        // A device whose code fails is a broken one for its driver.
        if catch_unwind(AssertUnwindSafe(|| shared.work())).is_err() {
            shared.break_down();
        }
        // It fails for a signal only, and then the worker just looks.
        epoll.wait(-1, &mut events).ok();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.bell.ring();
        if let Some(thread) = self.thread.take() {
            // A thread that has panicked is over, too.
            thread.join().ok();
        }
    }
}
