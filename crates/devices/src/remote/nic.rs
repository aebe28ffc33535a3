//! The frames of a network card, on their way to and from somebody else.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::bell::HostBell;
use crate::virtio::Waker;

/// The most frames that wait in either direction.
pub const NIC_FRAMES: usize = 256;

/// A frame's least and most bytes: both addresses and a type, and 1500 bytes with a VLAN tag (IEEE
/// 802.3 without the check sequence).
pub const FRAME_BYTES: std::ops::RangeInclusive<usize> = 14..=1518;

/// What became of a frame for the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It waits for the guest.
    Taken,
    /// It is no frame, or the guest has no driver, and it counts as dropped.
    Dropped,
    /// Too many wait. The bell rings when there is room.
    Full,
}

/// What a card has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NicCounts {
    /// Frames that the guest has sent.
    pub sent: u64,
    /// Frames that the guest has received.
    pub received: u64,
    /// Frames of both directions that were too short or too long, or came without a link or a
    /// driver.
    pub dropped: u64,
}

/// A network card as its host's end sees it.
#[derive(Debug)]
pub struct RemoteNic {
    mac: [u8; 6],
    state: Mutex<State>,
    bell: Arc<HostBell>,
    waker: OnceLock<Waker>,
}

#[derive(Debug, Default)]
struct State {
    /// From the guest.
    sent: VecDeque<Vec<u8>>,
    /// For the guest.
    arriving: VecDeque<Vec<u8>>,
    /// There is somebody at the other end.
    has_link: bool,
    /// The guest's driver is there.
    has_driver: bool,
    /// A frame found no room: for the guest, and from it.
    host_waits: bool,
    guest_waits: bool,
    /// There is room again for a frame that found none, and the host has yet to hear of it.
    has_room: bool,
    counts: NicCounts,
}

impl RemoteNic {
    /// A card with this address and without a link, which rings `bell` when something waits for the
    /// host.
    pub fn new(mac: [u8; 6], bell: Arc<HostBell>) -> Self {
        Self {
            mac,
            state: Mutex::default(),
            bell,
            waker: OnceLock::new(),
        }
    }

    /// Its address.
    pub const fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Whether frames wait for the host, or it has waited for room that there is.
    pub fn waits(&self) -> bool {
        let state = self.lock();
        state.has_room || !state.sent.is_empty()
    }

    /// For the host: all frames that wait, oldest first.
    pub fn take(&self) -> Vec<Vec<u8>> {
        let mut state = self.lock();
        let frames = Vec::from(std::mem::take(&mut state.sent));
        if std::mem::take(&mut state.guest_waits) {
            self.wake();
        }
        frames
    }

    /// For the host: a frame for the guest.
    pub fn push(&self, frame: &[u8]) -> Pushed {
        let mut state = self.lock();
        state.has_room = false;
        if !state.has_driver || !FRAME_BYTES.contains(&frame.len()) {
            state.counts.dropped += 1;
            return Pushed::Dropped;
        }
        if state.arriving.len() >= NIC_FRAMES {
            state.host_waits = true;
            return Pushed::Full;
        }
        // What is left there waits for the guest, which rings for it.
        if state.arriving.is_empty() {
            self.wake();
        }
        state.arriving.push_back(frame.to_vec());
        Pushed::Taken
    }

    /// For the host: somebody is there at the other end, or nobody is, and what the guest sends is
    /// dropped.
    pub fn link(&self, has_link: bool) {
        let mut state = self.lock();
        state.has_link = has_link;
        if !has_link {
            state.drop_sent();
        }
        self.wake();
    }

    /// What was counted so far.
    pub fn counts(&self) -> NicCounts {
        self.lock().counts
    }

    /// For the device: whether there is a link.
    pub fn has_link(&self) -> bool {
        self.lock().has_link
    }

    /// For the device: whether it may send. If not, it is woken when it may.
    pub fn may_send(&self) -> bool {
        let mut state = self.lock();
        state.guest_waits = state.sent.len() >= NIC_FRAMES;
        !state.guest_waits
    }

    /// For the device: a frame from the guest, of which the host hears with the next
    /// [`announce`](Self::announce).
    pub fn send(&self, frame: Vec<u8>) {
        let mut state = self.lock();
        let is_taken = state.has_link && FRAME_BYTES.contains(&frame.len());
        if is_taken && state.sent.len() < NIC_FRAMES {
            state.counts.sent += 1;
            state.sent.push_back(frame);
        } else {
            state.counts.dropped += 1;
        }
    }

    /// For the device: tells the host of frames that wait, and of room that it has waited for.
    pub fn announce(&self) {
        let mut state = self.lock();
        if state.host_waits && state.arriving.len() <= NIC_FRAMES / 2 {
            state.host_waits = false;
            state.has_room = true;
        }
        drop(state);
        if self.waits() {
            self.bell.ring();
        }
    }

    /// For the device: whether a frame waits for the guest.
    pub fn has_arrived(&self) -> bool {
        !self.lock().arriving.is_empty()
    }

    /// For the device: the next frame for the guest.
    pub fn arrive(&self) -> Option<Vec<u8>> {
        self.lock().arriving.pop_front()
    }

    /// For the device: whether the frame that has arrived last reached the guest.
    pub fn arrived(&self, is_received: bool) {
        let counts = &mut self.lock().counts;
        if is_received {
            counts.received += 1;
        } else {
            counts.dropped += 1;
        }
    }

    /// For the device: the guest's driver has come or gone. What waits for the guest is dropped.
    pub fn drive(&self, has_driver: bool) {
        let mut state = self.lock();
        state.has_driver = has_driver;
        state.counts.dropped += state.arriving.len() as u64;
        state.arriving.clear();
        drop(state);
        self.announce();
    }

    /// For the device: it goes on elsewhere, and no frame waits.
    pub fn forget(&self) {
        let mut state = self.lock();
        state.drop_sent();
        state.counts.dropped += state.arriving.len() as u64;
        state.arriving.clear();
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

impl State {
    fn drop_sent(&mut self) {
        self.counts.dropped += self.sent.len() as u64;
        self.sent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Doorbell;
    use crate::virtio::testing::waker;

    /// A card with a link and a driver, and what wakes the device.
    fn nic() -> (RemoteNic, Arc<dyn Doorbell>) {
        let nic = RemoteNic::new([2, 0, 0, 0, 0, 1], Arc::default());
        let (waker, woken) = waker();
        nic.link(true);
        nic.drive(true);
        nic.attach(waker);
        (nic, woken)
    }

    #[test]
    fn a_flood_in_either_direction_is_bounded_and_goes_on_when_there_is_room() {
        let (nic, woken) = nic();
        let pushed = (0..1_000).map(|_| nic.push(&[1; 60]));
        let taken = pushed.filter(|pushed| *pushed == Pushed::Taken).count();
        assert_eq!(taken, NIC_FRAMES);
        assert!(woken.take() > 0);
        // The bell rings once half of them are gone.
        for _ in 0..NIC_FRAMES / 2 {
            nic.announce();
            assert!(!nic.bell.is_due());
            assert_eq!(nic.arrive().unwrap(), [1; 60]);
        }
        nic.announce();
        assert!(nic.bell.take_due());
        for _ in 0..1_000 {
            if nic.may_send() {
                nic.send(vec![2; 60]);
            }
        }
        assert!(woken.take() == 0);
        assert_eq!(nic.take().len(), NIC_FRAMES);
        assert!(woken.take() > 0 && nic.may_send());
        assert_eq!(nic.counts().dropped, 0);
    }

    #[test]
    fn what_is_no_frame_is_dropped_and_counted() {
        let (nic, _) = nic();
        for length in [0, 13, 1519, 70_000] {
            assert_eq!(nic.push(&vec![0; length]), Pushed::Dropped);
            nic.send(vec![0; length]);
        }
        for length in [14, 1518] {
            assert_eq!(nic.push(&vec![0; length]), Pushed::Taken);
            nic.send(vec![0; length]);
        }
        assert_eq!((nic.counts().dropped, nic.take().len()), (8, 2));
    }

    #[test]
    fn without_a_link_or_a_driver_frames_are_dropped() {
        let (nic, woken) = nic();
        nic.send(vec![0; 60]);
        nic.link(false);
        nic.send(vec![0; 60]);
        assert!(!nic.waits() && woken.take() > 0);
        assert_eq!(nic.push(&[0; 60]), Pushed::Taken);
        nic.drive(false);
        assert_eq!(nic.push(&[0; 60]), Pushed::Dropped);
        assert!(!nic.has_arrived());
        assert_eq!(nic.counts().dropped, 4);
    }

    #[test]
    fn a_writer_that_waits_hears_that_the_driver_is_gone() {
        let (nic, _) = nic();
        while nic.push(&[0; 60]) == Pushed::Taken {}
        assert!(!nic.bell.take_due());
        nic.drive(false);
        assert!(nic.bell.take_due());
    }
}
