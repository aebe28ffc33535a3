//! Watchpoints by stepping: what an instruction says that it accesses, and what memory was before.

use boot::code::MAX_INSTRUCTION_BYTES;
use boot::paging::PagingState;
use boot::state::EFER_LMA;
use kvm_bindings::{kvm_regs, kvm_sregs};

use crate::debug::{Hit, HitKind, Stop, StopKind, VirtualMemory, WatchOn, Watched};
use crate::run::processor::Processor;

use super::{Stopping, linear_rip};

/// What a watchpoint is for.
struct Span {
    linear: u64,
    bytes: u8,
    on: WatchOn,
}

impl Stopping<'_> {
    /// Before an instruction: what is watched, and what of it the instruction accesses.
    pub(super) fn note_watched(
        &self,
        processor: &mut Processor,
        registers: &kvm_regs,
        special: &kvm_sregs,
    ) {
        if !self.all.stops.iter().any(|stop| span(stop).is_some()) {
            return;
        }
        let paging = PagingState::new(special, processor.vcpu.paging);
        let memory = VirtualMemory::new(paging, self.all.memory);
        let mut code = [0; MAX_INSTRUCTION_BYTES];
        let rip = linear_rip(registers, special);
        let length = (1..=code.len()).rev().find(|length| {
            let bytes = code.get_mut(..*length);
            bytes.is_some_and(|bytes| memory.read(rip, bytes).is_ok())
        });
        let code = code.get(..length.unwrap_or(0)).unwrap_or_default();
        let accessed: Vec<Accessed> = Vec::new();
        let _ = (code, bits(special), registers);
        let stops = &mut processor.stops;
        (stops.watched, stops.touched) = (Vec::new(), Vec::new());
        for stop in self.all.stops {
            let Some(Span { linear, bytes, on }) = span(stop) else {
                continue;
            };
            let is_accessed = accessed.iter().any(|access| {
                let overlaps = access.linear < linear.saturating_add(bytes.into())
                    && linear < access.linear.saturating_add(access.bytes.into());
                overlaps
                    && match on {
                        WatchOn::Write => access.writes,
                        WatchOn::Read => access.reads,
                        WatchOn::Access => true,
                    }
            });
            if is_accessed {
                stops.touched.push(stop.id);
            }
            if let Some(value) = value(&memory, linear, bytes) {
                stops.watched.push((stop.id, value));
            }
        }
    }

    /// After it.
    pub(super) fn watch_hits(&self, processor: &mut Processor) -> Vec<Hit> {
        let Ok(paging) = processor.paging() else {
            return Vec::new();
        };
        let memory = VirtualMemory::new(paging, self.all.memory);
        let mut hits = Vec::new();
        for stop in self.all.stops {
            let Some(Span { linear, bytes, on }) = span(stop) else {
                continue;
            };
            let noted = processor
                .stops
                .watched
                .iter()
                .find(|(id, _)| *id == stop.id);
            let before = noted.map(|(_, value)| *value);
            let after = value(&memory, linear, bytes);
            let changed = before.is_some() && after.is_some() && before != after;
            let is_touched = processor.stops.touched.contains(&stop.id);
            if is_touched || changed && on != WatchOn::Read {
                hits.push(Hit {
                    id: Some(stop.id),
                    kind: HitKind::Watchpoint,
                    address: linear,
                    watched: Some(Watched {
                        bytes,
                        before: before.unwrap_or_default(),
                        after: after.unwrap_or_default(),
                    }),
                    asks: stop.asks,
                });
            }
        }
        (processor.stops.watched, processor.stops.touched) = (Vec::new(), Vec::new());
        hits
    }
}

const fn span(stop: &Stop) -> Option<Span> {
    match stop.kind {
        StopKind::Watchpoint { linear, bytes, on } => Some(Span { linear, bytes, on }),
        _ => None,
    }
}

fn value(memory: &VirtualMemory<'_>, linear: u64, bytes: u8) -> Option<[u8; 8]> {
    let mut value = [0; 8];
    let read = value.get_mut(..usize::from(bytes))?;
    memory.read(linear, read).ok()?;
    Some(value)
}

/// The size of code.
const fn bits(special: &kvm_sregs) -> u32 {
    match special {
        _ if special.efer & EFER_LMA != 0 && special.cs.l != 0 => 64,
        _ if special.cs.db != 0 => 32,
        _ => 16,
    }
}

struct Accessed {
    linear: u64,
    bytes: u32,
    reads: bool,
    writes: bool,
}
