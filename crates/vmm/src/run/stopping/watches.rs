//! Watchpoints by stepping: what an instruction says that it accesses, and what memory was before.

use boot::code::MemoryAccess;
use kvm_bindings::{kvm_regs, kvm_sregs};

use crate::debug::{Hit, HitKind, Stop, StopKind, VirtualMemory, WatchOn, Watched};

use super::bytes::Code;

/// What a watchpoint is for.
struct Span {
    linear: u64,
    bytes: u8,
    on: WatchOn,
}

/// What is known before an instruction of a vCPU that is watched.
#[derive(Debug)]
pub(crate) struct Noted {
    /// What is watched, by the stop's id.
    values: Vec<(u32, [u8; 8])>,
    code: Code,
    registers: kvm_regs,
    special: kvm_sregs,
}

/// Before an instruction; none if nothing is watched.
pub(super) fn note(
    stops: &[Stop],
    memory: &VirtualMemory<'_>,
    rip: u64,
    registers: &kvm_regs,
    special: &kvm_sregs,
) -> Option<Box<Noted>> {
    if !stops.iter().any(|stop| span(stop).is_some()) {
        return None;
    }
    let values = stops.iter().filter_map(|stop| {
        let Span { linear, bytes, .. } = span(stop)?;
        Some((stop.id, value(memory, linear, bytes)?))
    });
    Some(Box::new(Noted {
        values: values.collect(),
        code: Code::at(rip, memory, special),
        registers: *registers,
        special: *special,
    }))
}

/// After it, with the registers that it has left.
pub(super) fn hits(
    stops: &[Stop],
    memory: &VirtualMemory<'_>,
    noted: &Noted,
    after: &kvm_regs,
) -> Vec<Hit> {
    let accessed = noted.code.accesses(&noted.registers, &noted.special, after);
    let hit = |stop: &Stop| {
        let span = span(stop)?;
        let known = noted.values.iter().find(|(id, _)| *id == stop.id);
        let before = known.map(|(_, value)| *value);
        let after = value(memory, span.linear, span.bytes);
        let changed = before.is_some() && after.is_some() && before != after;
        let is_hit = accessed.iter().any(|access| span.counts(access))
            || changed && span.on != WatchOn::Read;
        is_hit.then(|| Hit {
            id: Some(stop.id),
            kind: HitKind::Watchpoint,
            address: span.linear,
            watched: Some(Watched {
                bytes: span.bytes,
                before: before.unwrap_or_default(),
                after: after.unwrap_or_default(),
            }),
            asks: stop.asks,
        })
    };
    stops.iter().filter_map(hit).collect()
}

impl Span {
    fn counts(&self, access: &MemoryAccess) -> bool {
        let counts = match self.on {
            WatchOn::Write => access.writes,
            WatchOn::Read => access.reads,
            WatchOn::Access => true,
        };
        counts
            && access.linear < self.linear.saturating_add(self.bytes.into())
            && self.linear < access.linear.saturating_add(access.bytes.into())
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
