//! Routes attached, replaced and detached at random, against a model. A file of its own: it counts
//! the descriptors of its process.
#![allow(clippy::unwrap_used, clippy::panic)] // in helpers of tests a panic is the report

#[macro_use]
mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::attaching::{STOP, ids, pc, probe};
use common::{Asked, LONG, affordable, port};
use vmm::{Feed, Machine, RouteId, RouteTarget};

/// What the model knows of a route.
struct Known {
    start: u16,
    length: u16,
    target: RouteTarget,
}

/// Marsaglia's xorshift64.
fn below(state: &mut u64, end: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 16) % end
}

fn target(kind: u64) -> RouteTarget {
    let read_value = Some(0x31);
    match kind {
        0 => RouteTarget::Console { deliver: false },
        1 => RouteTarget::Console { deliver: true },
        2 => RouteTarget::Constant(0x21),
        3 => RouteTarget::Discard,
        4 => RouteTarget::Count,
        5 => RouteTarget::Device,
        6 => RouteTarget::Queue { read_value },
        7 => RouteTarget::Queue { read_value: None },
        8 => RouteTarget::Coalesce { read_value },
        _ => RouteTarget::Event { datamatch: None },
    }
}

/// Checks what the model says of a probe, and what its feeds hold.
fn check(machine: &mut Machine, model: &BTreeMap<RouteId, Known>, at: u16) {
    let owner = model
        .iter()
        .find(|(_, known)| (known.start..known.start + known.length).contains(&at));
    let feeds: BTreeMap<_, _> = machine.feeds().into_iter().collect();
    let before = owner.and_then(|(id, _)| machine.counters().route(*id));
    let before = before.map(|counts| (counts.reads.get(), counts.writes.get()));
    let (value, asked) = probe(machine, at);
    let asked: Vec<_> = asked
        .into_iter()
        .filter(|asked| !matches!(asked, Asked::Posted))
        .collect();
    let Some((id, known)) = owner else {
        // The board's devices answer without a question, an empty bus too.
        assert!(asked.is_empty(), "{at:#x}: {asked:?}");
        return;
    };
    let route = id.get() as usize;
    let offset = u32::from(at - known.start);
    let expected = match known.target {
        RouteTarget::Constant(value) => value as u32,
        RouteTarget::Device => 0x40 + id.get() % 0x40,
        RouteTarget::Queue {
            read_value: Some(value),
        }
        | RouteTarget::Coalesce {
            read_value: Some(value),
        } => value as u32,
        _ => 0xff,
    };
    assert_eq!(value, expected, "{at:#x} {:?}", known.target);
    match known.target {
        RouteTarget::Device => assert_eq!(
            asked,
            [
                Asked::Write(route, offset, 1, 0x11),
                Asked::Read(route, offset, 1)
            ]
        ),
        _ => assert!(asked.is_empty(), "{asked:?}"),
    }
    match feeds.get(id) {
        Some(Feed::Count(count)) => {
            assert_eq!(Feed::Count(Arc::clone(count)).take_count(), 1);
        }
        Some(feed) => {
            let writes = feed.drain();
            assert_eq!(writes.len(), 1);
            assert_eq!((writes[0].offset, writes[0].value), (offset, 0x11));
        }
        None => {}
    }
    let counts = machine.counters().route(*id).unwrap();
    let (reads, writes) = before.unwrap();
    let is_event = matches!(known.target, RouteTarget::Event { .. });
    let claims_reads = !is_event && known.target != target(7);
    assert_eq!(counts.reads.get() - reads, u64::from(claims_reads));
    assert_eq!(counts.writes.get() - writes, u64::from(!is_event));
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn routes_attached_replaced_and_detached_at_random_are_as_a_model_says() {
    require!(LONG);
    let mut machine = pc(&[STOP]);
    let (mut model, mut state) = (BTreeMap::new(), 0x0a77_ac4e_d5ee_d001);
    let before = descriptors();
    for step in 0..affordable(10_000) {
        let (start, length) = (
            0x62 + below(&mut state, 24) as u16,
            1 + below(&mut state, 4) as u16,
        );
        let kind = target(below(&mut state, 10));
        let length = match kind {
            RouteTarget::Event { .. } => 1,
            _ => length,
        };
        let meets =
            |known: &Known| known.start < start + length && start < known.start + known.length;
        let in_the_way: Vec<_> = model
            .iter()
            .filter(|(_, known)| meets(known))
            .map(|(id, _)| *id)
            .collect();
        let attached = machine.attach(&port(start, length.into(), kind));
        if in_the_way.is_empty() {
            let known = Known {
                start,
                length,
                target: kind,
            };
            assert!(model.insert(attached.unwrap(), known).is_none());
        } else {
            let error = attached.unwrap_err();
            assert!(error.message.contains("overlaps route (port"), "{error}");
            for id in in_the_way {
                machine.detach(id).unwrap();
                model.remove(&id);
            }
        }
        let listed: Vec<_> = ids(&machine);
        let expected = std::iter::once(0).chain(model.keys().map(|id| id.get()));
        assert!(expected.eq(listed), "step {step}");
        if step % 10 == 0 {
            check(&mut machine, &model, 0x62 + below(&mut state, 28) as u16);
        }
    }
    for id in model.keys() {
        machine.detach(*id).unwrap();
    }
    assert_eq!(descriptors(), before);
}
