//! Watchpoints by stepping: what an instruction says that it accesses, and what memory was before.

use boot::code::{MAX_INSTRUCTION_BYTES, accesses};
use boot::state::EFER_LMA;
use kvm_bindings::{kvm_regs, kvm_sregs};

use crate::debug::{Hit, HitKind, Stop, StopKind, VirtualMemory, WatchOn, Watched};

use super::kept::StopMemory;

/// What a watchpoint is for.
struct Span {
    linear: u64,
    bytes: u8,
    on: WatchOn,
}

/// Before an instruction: what is watched, by the stop's id, and the stops of which the instruction
/// accesses memory.
pub(super) fn note(
    stops: &[Stop],
    memory: &VirtualMemory<'_>,
    rip: u64,
    registers: &kvm_regs,
    special: &kvm_sregs,
) -> (Vec<(u32, [u8; 8])>, Vec<u32>) {
    let (mut watched, mut touched) = (Vec::new(), Vec::new());
    if !stops.iter().any(|stop| span(stop).is_some()) {
        return (watched, touched);
    }
    let mut code = [0; MAX_INSTRUCTION_BYTES];
    let length = (1..=code.len()).rev().find(|length| {
        let bytes = code.get_mut(..*length);
        bytes.is_some_and(|bytes| memory.read(rip, bytes).is_ok())
    });
    let code = code.get(..length.unwrap_or(0)).unwrap_or_default();
    let accessed = accesses(code, bits(special), registers, special);
    for stop in stops {
        let Some(Span { linear, bytes, on }) = span(stop) else {
            continue;
        };
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
        if is_accessed {
            touched.push(stop.id);
        }
        if let Some(value) = value(memory, linear, bytes) {
            watched.push((stop.id, value));
        }
    }
    (watched, touched)
}

/// After it.
pub(super) fn hits(stops: &[Stop], memory: &VirtualMemory<'_>, kept: &mut StopMemory) -> Vec<Hit> {
    let watched = std::mem::take(&mut kept.watched);
    let touched = std::mem::take(&mut kept.touched);
    let hit = |stop: &Stop| {
        let Span { linear, bytes, on } = span(stop)?;
        let noted = watched.iter().find(|(id, _)| *id == stop.id);
        let before = noted.map(|(_, value)| *value);
        let after = value(memory, linear, bytes);
        let changed = before.is_some() && after.is_some() && before != after;
        let is_hit = touched.contains(&stop.id) || changed && on != WatchOn::Read;
        is_hit.then(|| Hit {
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
