//! One queue: what the driver has written into its registers, the ring, and the chains that are out
//! of it and not back.

use std::collections::VecDeque;
use std::num::Wrapping;
use std::sync::atomic::Ordering;

use virtio_bindings::bindings::virtio_ring::VRING_AVAIL_F_NO_INTERRUPT;
use virtio_queue::{Queue, QueueOwnedT, QueueState, QueueT};
use vm_memory::{Bytes, GuestAddress};

use crate::state::saved;
use crate::virtio::chain::{Chain, Malformed, walk};
use crate::written::DmaMemory;

saved! {
    /// A queue, wherever it is.
    RingState {
        size: u32,
        table: u64,
        avail: u64,
        used: u64,
        /// Whether the driver has made it ready.
        ready: bool,
        next_avail: u16,
        next_used: u16,
        /// Heads that were taken and not completed, oldest first.
        in_flight: Vec<u16>,
    }
}

/// The registers of a queue (§4.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RingRegisters {
    pub size: u32,
    pub table: u64,
    pub avail: u64,
    pub used: u64,
}

/// One queue.
#[derive(Debug)]
pub(super) struct Ring {
    pub registers: RingRegisters,
    max_size: u16,
    /// While it is ready.
    queue: Option<Queue>,
    /// Heads that were taken and not completed, oldest first.
    in_flight: Vec<u16>,
    /// Heads that a snapshot had in flight, to be taken before those of the ring.
    again: VecDeque<u16>,
    /// Chains of another epoch are nobody's.
    epoch: Wrapping<u32>,
    /// Whether something was completed that the driver may want to know.
    is_used: bool,
}

impl Ring {
    pub fn new(max_size: u16) -> Self {
        Self {
            registers: RingRegisters {
                size: max_size.into(),
                ..RingRegisters::default()
            },
            max_size,
            queue: None,
            in_flight: Vec::new(),
            again: VecDeque::new(),
            epoch: Wrapping(0),
            is_used: false,
        }
    }

    pub const fn max_size(&self) -> u16 {
        self.max_size
    }

    pub const fn is_ready(&self) -> bool {
        self.queue.is_some()
    }

    /// As after a reset of the device.
    pub fn reset(&mut self) {
        self.stop();
        self.registers = Self::new(self.max_size).registers;
    }

    /// No chain of before is completed any more.
    pub fn stop(&mut self) {
        self.queue = None;
        self.in_flight.clear();
        self.again.clear();
        self.epoch += 1;
        self.is_used = false;
    }

    /// The driver makes it ready; refused where a register has no sense or a part no memory.
    pub fn start(&mut self, memory: &DmaMemory, event_idx: bool) -> Result<(), Malformed> {
        if self.is_ready() {
            return Ok(());
        }
        let queue = self.queue_at(0, 0, event_idx)?;
        if !queue.is_valid(memory) {
            return Err(Malformed);
        }
        self.queue = Some(queue);
        Ok(())
    }

    /// The features are settled; rings may have been made ready before.
    pub fn set_event_idx(&mut self, event_idx: bool) {
        if let Some(queue) = &mut self.queue {
            queue.set_event_idx(event_idx);
        }
    }

    fn queue_at(&self, avail: u16, used: u16, event_idx: bool) -> Result<Queue, Malformed> {
        let registers = &self.registers;
        let state = QueueState {
            max_size: self.max_size,
            next_avail: avail,
            next_used: used,
            event_idx_enabled: event_idx,
            size: u16::try_from(registers.size).map_err(|_| Malformed)?,
            ready: true,
            desc_table: registers.table,
            avail_ring: registers.avail,
            used_ring: registers.used,
        };
        Queue::try_from(state).map_err(|_| Malformed)
    }

    /// The next chain. When there is none, the driver rings for the next.
    pub fn take(&mut self, memory: &DmaMemory) -> Result<Option<Chain>, Malformed> {
        let Some(queue) = &mut self.queue else {
            return Ok(None);
        };
        let head = match self.again.pop_front() {
            Some(head) => head,
            None => match next_head(queue, memory)? {
                Some(head) => head,
                None => return Ok(None),
            },
        };
        let size = queue.size();
        if self.in_flight.len() + self.again.len() >= usize::from(size)
            || self.in_flight.contains(&head)
        {
            return Err(Malformed);
        }
        let table = GuestAddress(queue.desc_table());
        let chain = walk(memory, table, size, head, self.epoch)?;
        self.in_flight.push(head);
        Ok(Some(chain))
    }

    /// Gives a chain back to the driver; one of before a reset is dropped.
    pub fn complete(
        &mut self,
        memory: &DmaMemory,
        chain: &Chain,
        written: u32,
    ) -> Result<(), Malformed> {
        let mut flying = self.in_flight.iter();
        let place = flying.position(|head| *head == chain.head);
        let (Some(queue), Some(place)) = (&mut self.queue, place) else {
            return Ok(());
        };
        if chain.epoch != self.epoch {
            return Ok(());
        }
        self.in_flight.remove(place);
        queue
            .add_used(memory, chain.head, written)
            .map_err(|_| Malformed)?;
        self.is_used = true;
        Ok(())
    }

    /// Whether the driver wants to be interrupted for what was completed since the last call.
    pub fn wants_interrupt(&mut self, memory: &DmaMemory) -> Result<bool, Malformed> {
        let Some(queue) = &mut self.queue else {
            return Ok(false);
        };
        if !std::mem::take(&mut self.is_used) {
            return Ok(false);
        }
        let wants = queue.needs_notification(memory).map_err(|_| Malformed)?;
        if queue.event_idx_enabled() || !wants {
            return Ok(wants);
        }
        let flags = memory.load::<u16>(GuestAddress(queue.avail_ring()), Ordering::Relaxed);
        let flags = u16::from_le(flags.map_err(|_| Malformed)?);
        Ok(u32::from(flags) & VRING_AVAIL_F_NO_INTERRUPT == 0)
    }

    pub fn save(&self) -> RingState {
        let RingRegisters {
            size,
            table,
            avail,
            used,
        } = self.registers;
        let queue = self.queue.as_ref();
        let in_flight = self.in_flight.iter().chain(&self.again);
        RingState {
            size,
            table,
            avail,
            used,
            ready: queue.is_some(),
            next_avail: queue.map_or(0, Queue::next_avail),
            next_used: queue.map_or(0, Queue::next_used),
            in_flight: in_flight.copied().collect(),
        }
    }

    /// A queue that goes on as the one that saved this; `None` for what none saves.
    pub fn restored(&self, state: &RingState, event_idx: bool) -> Option<Self> {
        let mut ring = Self::new(self.max_size);
        ring.epoch = self.epoch + Wrapping(1);
        ring.registers = RingRegisters {
            size: state.size,
            table: state.table,
            avail: state.avail,
            used: state.used,
        };
        if !state.ready {
            return state.in_flight.is_empty().then_some(ring);
        }
        let queue = ring.queue_at(state.next_avail, state.next_used, event_idx);
        let queue = queue.ok()?;
        let size = queue.size();
        let mut heads = state.in_flight.iter();
        let fits = state.in_flight.len() <= usize::from(size) && heads.all(|head| *head < size);
        ring.queue = Some(queue);
        ring.again = state.in_flight.iter().copied().collect();
        fits.then_some(ring)
    }
}

/// The head of the next chain in the ring of available ones.
fn next_head(queue: &mut Queue, memory: &DmaMemory) -> Result<Option<u16>, Malformed> {
    for _ in 0..2 {
        let mut available = queue.iter(memory).map_err(|_| Malformed)?;
        if let Some(chain) = available.next() {
            return Ok(Some(chain.head_index()));
        }
        // The driver may have put one in before it saw that it is to ring.
        if !queue.enable_notification(memory).map_err(|_| Malformed)? {
            return Ok(None);
        }
    }
    Err(Malformed)
}
