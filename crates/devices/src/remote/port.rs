//! The bytes of a console port, on their way to and from somebody else.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::bell::HostBell;
use crate::virtio::Waker;

/// The most bytes that wait for the guest, and from which number on the guest waits.
pub const PORT_BYTES: usize = 64 << 10;

/// A port as its host's end sees it.
#[derive(Debug)]
pub struct RemotePort {
    name: String,
    state: Mutex<State>,
    bell: Arc<HostBell>,
    waker: OnceLock<Waker>,
}

#[derive(Debug)]
struct State {
    /// From the guest.
    sent: Vec<u8>,
    /// For the guest.
    arriving: VecDeque<u8>,
    /// There is somebody at the host's end.
    is_open: bool,
    /// Nobody has read there yet, and nothing shall wait for a reader.
    is_unheard: bool,
    /// Bytes found no room: for the guest, and from it.
    host_waits: bool,
    guest_waits: bool,
    /// There is room again for bytes that found none, and the host has yet to hear of it.
    has_room: bool,
}

impl RemotePort {
    /// A port without a byte; `name` is empty for a console. It rings `bell` when something
    /// waits for the host.
    pub fn new(name: String, bell: Arc<HostBell>) -> Self {
        let state = Mutex::new(State {
            sent: Vec::new(),
            arriving: VecDeque::new(),
            is_open: true,
            is_unheard: name.is_empty(),
            host_waits: false,
            guest_waits: false,
            has_room: false,
        });
        Self {
            name,
            state,
            bell,
            waker: OnceLock::new(),
        }
    }

    /// What the guest finds it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether bytes wait for the host, or it has waited for room that there is.
    pub fn waits(&self) -> bool {
        let state = self.lock();
        state.has_room || !state.sent.is_empty()
    }

    /// For the host: all bytes that wait. From now on the guest waits for a reader of the console,
    /// too, which until then keeps only what came last.
    pub fn take(&self) -> Vec<u8> {
        let mut state = self.lock();
        state.is_unheard = false;
        let bytes = std::mem::take(&mut state.sent);
        if std::mem::take(&mut state.guest_waits) {
            self.wake();
        }
        bytes
    }

    /// For the host: bytes for the guest, as many as there is room for, and how many. The bell
    /// rings when there is room again.
    pub fn push(&self, bytes: &[u8]) -> usize {
        let mut state = self.lock();
        let room = PORT_BYTES.saturating_sub(state.arriving.len());
        let taken = bytes.len().min(room);
        state.host_waits = taken < bytes.len();
        state.has_room = false;
        if state.arriving.is_empty() {
            self.wake();
        }
        state.arriving.extend(&bytes[..taken]);
        taken
    }

    /// For the host: somebody is there, or nobody will be: what the guest sends then goes nowhere.
    pub fn open(&self, is_open: bool) {
        let mut state = self.lock();
        state.is_open = is_open;
        if !is_open {
            state.sent.clear();
        }
        self.wake();
    }

    /// For the device: whether somebody is there.
    pub fn is_open(&self) -> bool {
        self.lock().is_open
    }

    /// For the device: whether it may send. If not, it is woken when it may.
    pub fn may_send(&self) -> bool {
        let mut state = self.lock();
        state.guest_waits = state.sent.len() >= PORT_BYTES && !state.is_unheard;
        !state.guest_waits
    }

    /// For the device: bytes from the guest, of which the host hears with the next
    /// [`announce`](Self::announce).
    pub fn send(&self, bytes: &[u8]) {
        let mut state = self.lock();
        if !state.is_open {
            return;
        }
        state.sent.extend_from_slice(bytes);
        if state.is_unheard && state.sent.len() > PORT_BYTES {
            let surplus = state.sent.len() - PORT_BYTES;
            state.sent.drain(..surplus);
        }
    }

    /// For the device: tells the host of bytes that wait, and of room that it has waited for.
    pub fn announce(&self) {
        let mut state = self.lock();
        if state.host_waits && state.arriving.len() <= PORT_BYTES / 2 {
            state.host_waits = false;
            state.has_room = true;
        }
        drop(state);
        if self.waits() {
            self.bell.ring();
        }
    }

    /// For the device: how many bytes wait for the guest.
    pub fn arrived(&self) -> usize {
        self.lock().arriving.len()
    }

    /// For the device: up to so many bytes for the guest.
    pub fn arrive(&self, most: usize) -> Vec<u8> {
        let mut state = self.lock();
        let count = most.min(state.arriving.len());
        state.arriving.drain(..count).collect()
    }

    /// What waits: from the guest, and for it.
    pub fn save(&self) -> (Vec<u8>, Vec<u8>) {
        let state = self.lock();
        (state.sent.clone(), state.arriving.iter().copied().collect())
    }

    /// Has this to hand over, and nothing else; what was saved there.
    pub fn restore(&self, sent: Vec<u8>, arriving: Vec<u8>) {
        let mut state = self.lock();
        state.sent = sent;
        state.arriving = arriving.into();
        drop(state);
        self.announce();
    }

    /// For the device: what wakes it from now on.
    pub fn attach(&self, waker: Waker) {
        // A device is attached once.
        self.waker.set(waker).ok();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virtio::testing::waker;

    fn port(name: &str) -> RemotePort {
        RemotePort::new(name.into(), Arc::default())
    }

    #[test]
    fn both_ways_are_bounded_and_go_on_when_there_is_room() {
        let port = port("agent");
        let (waker, woken) = waker();
        port.attach(waker);
        assert_eq!(port.push(&vec![1; 2 * PORT_BYTES]), PORT_BYTES);
        assert_eq!(port.push(&[1]), 0);
        assert_eq!(port.arrive(PORT_BYTES / 2 - 1).len(), PORT_BYTES / 2 - 1);
        port.announce();
        assert!(!port.bell.is_due());
        port.arrive(1);
        port.announce();
        assert!(port.bell.take_due());
        while port.may_send() {
            port.send(&[2; 1_000]);
        }
        assert!(port.save().0.len() < PORT_BYTES + 1_000);
        woken.take();
        port.take();
        assert!(woken.take() > 0 && port.may_send());
    }

    #[test]
    fn a_console_that_nobody_reads_keeps_what_came_last() {
        let console = port("");
        for byte in 0..200_u8 {
            assert!(console.may_send());
            console.send(&[byte; 1_000]);
        }
        let kept = console.take();
        assert_eq!((kept.len(), kept.last()), (PORT_BYTES, Some(&199)));
        while console.may_send() {
            console.send(&[1; 1_000]);
        }
    }

    #[test]
    fn what_is_sent_to_nobody_goes_nowhere() {
        let port = port("agent");
        port.send(b"lost");
        port.open(false);
        port.send(b"lost");
        assert!(!port.waits() && port.may_send());
        port.open(true);
        port.send(b"heard");
        assert_eq!(port.take(), b"heard");
    }

    #[test]
    fn a_restored_port_has_its_bytes() {
        let (one, two) = (port("agent"), port("agent"));
        one.send(b"out");
        one.push(b"in");
        let (sent, arriving) = one.save();
        two.push(b"other");
        two.restore(sent, arriving);
        assert!(two.bell.is_due());
        assert_eq!((two.take(), two.arrive(10)), (b"out".into(), b"in".into()));
    }
}
