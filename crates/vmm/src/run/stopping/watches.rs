//! Watchpoints by stepping: what an instruction says that it accesses, and what memory was before.

use boot::code::{MAX_INSTRUCTION_BYTES, MemoryAccess, accesses_until};
use boot::state::EFER_LMA;
use kvm_bindings::{kvm_regs, kvm_sregs};

use crate::debug::{Hit, HitKind, Stop, StopKind, VirtualMemory, WatchOn, Watched};

use super::kept::{Instruction, StopMemory};

/// What a watchpoint is for.
struct Span {
    linear: u64,
    bytes: u8,
    on: WatchOn,
}

/// Before an instruction: notes what is watched, and the instruction.
pub(super) fn note(
    stops: &[Stop],
    memory: &VirtualMemory<'_>,
    rip: u64,
    (registers, special): (&kvm_regs, &kvm_sregs),
    kept: &mut StopMemory,
) {
    (kept.watched, kept.instruction) = (Vec::new(), None);
    if !stops.iter().any(|stop| span(stop).is_some()) {
        return;
    }
    let mut code = [0; MAX_INSTRUCTION_BYTES];
    let length = (1..=code.len()).rev().find(|length| {
        let bytes = code.get_mut(..*length);
        bytes.is_some_and(|bytes| memory.read(rip, bytes).is_ok())
    });
    kept.instruction = Some(Box::new(Instruction {
        code,
        length: length.unwrap_or(0),
        registers: *registers,
        special: *special,
    }));
    for stop in stops {
        let value = span(stop).and_then(|span| value(memory, span.linear, span.bytes));
        kept.watched.extend(value.map(|value| (stop.id, value)));
    }
}

/// After it.
pub(super) fn hits(
    stops: &[Stop],
    memory: &VirtualMemory<'_>,
    after: &kvm_regs,
    kept: &mut StopMemory,
) -> Vec<Hit> {
    let watched = std::mem::take(&mut kept.watched);
    let instruction = kept.instruction.take();
    let accessed = instruction.map_or_else(Vec::new, |instruction| instruction.accesses(after));
    let hit = |stop: &Stop| {
        let Span { linear, bytes, on } = span(stop)?;
        let is_accessed = accessed.iter().any(|access| {
            let overlaps = access.linear < linear.saturating_add(bytes.into())
                && linear < access.linear.saturating_add(access.bytes.into());
            let counts = match on {
                WatchOn::Write => access.writes,
                WatchOn::Read => access.reads,
                WatchOn::Access => true,
            };
            overlaps && counts
        });
        let noted = watched.iter().find(|(id, _)| *id == stop.id);
        let before = noted.map(|(_, value)| *value);
        let after = value(memory, linear, bytes);
        let changed = before.is_some() && after.is_some() && before != after;
        (is_accessed || changed && on != WatchOn::Read).then(|| Hit {
            id: Some(stop.id),
            kind: HitKind::Watchpoint,
            address: linear,
            watched: Some(Watched {
                bytes,
                before: before.unwrap_or_default(),
                after: after.unwrap_or_default(),
            }),
            asks: stop.asks,
        })
    };
    stops.iter().filter_map(hit).collect()
}

impl Instruction {
    /// What it has accessed, which of one that repeats its registers tell.
    fn accesses(&self, after: &kvm_regs) -> Vec<MemoryAccess> {
        let code = self.code.get(..self.length).unwrap_or_default();
        let (registers, special) = (&self.registers, &self.special);
        accesses_until(code, bits(special), registers, special, after)
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
