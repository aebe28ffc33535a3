//! The records of all vCPUs of a machine, and the place where its threads find them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, ErrorCode, Result};
use crate::kvm::host::clock::Clock;
use crate::limits::{MAX_TRACE_BYTES, MAX_TRACE_RECORDS};
use crate::trace::record::record_words;
use crate::trace::ring::Ring;

/// The exits of one machine from the moment when it was begun.
#[derive(Debug)]
pub struct Trace {
    rings: Vec<Ring>,
    capacity: usize,
    registers: bool,
    clock: Clock,
    began: u64,
}

impl Trace {
    /// Room for so many exits of each vCPU, with their general registers or without.
    ///
    /// # Errors
    /// `InvalidOption` for a capacity of 0, `Limit` for one that is too large.
    pub fn new(vcpus: u32, capacity: usize, registers: bool) -> Result<Self> {
        if capacity == 0 {
            let what = "trace.capacity must be at least 1, got 0";
            return Err(Error::new(ErrorCode::InvalidOption, what));
        }
        let words = record_words(registers);
        let bytes = vcpus as usize * words * size_of::<u64>();
        let most = MAX_TRACE_RECORDS.min(MAX_TRACE_BYTES / bytes.max(1));
        if capacity > most {
            let what = format!(
                "trace.capacity: at most {most} exits of each of {vcpus} vCPUs, got {capacity}"
            );
            return Err(Error::new(ErrorCode::Limit, what));
        }
        let clock = Clock::get();
        Ok(Self {
            rings: (0..vcpus).map(|_| Ring::new(capacity, words)).collect(),
            capacity,
            registers,
            began: clock.ticks(),
            clock,
        })
    }

    /// Exits of each vCPU that it has room for.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether records have general registers.
    pub const fn has_registers(&self) -> bool {
        self.registers
    }

    /// The records of one vCPU.
    pub(super) fn ring(&self, vcpu: u32) -> Option<&Ring> {
        self.rings.get(vcpu as usize)
    }

    /// Of all times.
    pub(super) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Exits that it has, of all vCPUs.
    pub fn length(&self) -> u64 {
        self.rings.iter().map(Ring::length).sum()
    }

    /// Exits that newer ones have overwritten.
    pub fn dropped(&self) -> u64 {
        self.rings.iter().map(Ring::dropped).sum()
    }

    /// All that it has at this moment, in the order of time. Also while the machine runs.
    pub fn copy(&self) -> TraceCopy {
        let now = self.clock.ticks();
        let mut copy = TraceCopy::default();
        let words = record_words(self.registers);
        let mut all = Vec::new();
        for ring in &self.rings {
            copy.dropped += ring.copy(&mut all);
        }
        let mut order: Vec<(u64, usize)> = all
            .chunks_exact(words)
            .enumerate()
            .map(|(index, record)| (record.first().copied().unwrap_or_default(), index))
            .collect();
        order.sort_unstable();
        copy.length = order.len() as u64;
        copy.bytes.reserve(all.len() * size_of::<u64>());
        for (_, index) in order {
            if let Some(record) = all.get(index * words..(index + 1) * words) {
                self.put(record, now, &mut copy.bytes);
            }
        }
        copy
    }

    /// A record with its ticks as nanoseconds since the trace began. Ends are converted, and not
    /// lengths, so what follows one another does so in nanoseconds, too.
    fn put(&self, record: &[u64], now: u64, into: &mut Vec<u8>) {
        let (times, rest) = record.split_at(3.min(record.len()));
        let &[time, guest, host] = times else {
            return;
        };
        let since = |ticks: u64| self.clock.ns(ticks.saturating_sub(self.began));
        // A vCPU that has not gone on yet has waited until now.
        let until = if host == 0 { now } else { time + host };
        let at = since(time);
        let guest = at - since(time - guest).min(at);
        let host = since(until).saturating_sub(at);
        for word in [at, guest, host].iter().chain(rest) {
            into.extend_from_slice(&word.to_le_bytes());
        }
    }
}

/// What a trace had at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceCopy {
    /// Records.
    pub length: u64,
    /// Exits that newer ones have overwritten.
    pub dropped: u64,
    /// The records, as [docs/debugging.md](../../../../docs/debugging.md) describes them.
    pub bytes: Vec<u8>,
}

/// The place of a machine's trace, which any thread may fill and empty at any time.
#[derive(Debug, Default)]
pub struct TraceSlot {
    /// Changes with the trace; odd while there is one.
    turn: AtomicU64,
    trace: Mutex<Option<Arc<Trace>>>,
}

impl TraceSlot {
    /// Has all exits from now on written to a trace.
    ///
    /// # Errors
    /// `VmBusy` while there is another.
    pub fn fill(&self, trace: &Arc<Trace>) -> Result<()> {
        let mut slot = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_some() {
            let what = "the machine has a trace already; close() it first";
            return Err(Error::new(ErrorCode::VmBusy, what));
        }
        *slot = Some(Arc::clone(trace));
        self.turn.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Ends a trace, if it is that of the machine.
    pub fn empty(&self, trace: &Arc<Trace>) {
        let mut slot = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_some_and(|own| Arc::ptr_eq(own, trace)) {
            *slot = None;
            self.turn.fetch_add(1, Ordering::Release);
        }
    }

    pub(super) fn turn(&self) -> u64 {
        self.turn.load(Ordering::Acquire)
    }

    pub(super) fn current(&self) -> Option<Arc<Trace>> {
        let slot = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
        slot.clone()
    }
}
