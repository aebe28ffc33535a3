//! Routes that come and go between runs: what claims what, and that a route which is gone is never asked.
#![allow(clippy::unwrap_used, clippy::panic)] // in helpers of tests a panic is the report

#[macro_use]
mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use common::{Answer, Question};
use common::{Asked, LONG, config, exit_code, handler, port, set};
use devices::{Context, Device, Doorbell, Memory, PowerRequest, Trigger};
use vmm::{
    Base, Claim, ErrorCode, Feed, KickHandle, Machine, MachineConfig, RouteConfig, RouteId,
    RouteTarget, RunLimits,
};

/// Ends with what it has read.
const STOP: RouteConfig = RouteConfig {
    base: Base::Port(0xf4),
    length: 1,
    target: RouteTarget::Stop,
};

/// Writes AL to the port in DX, reads it, stops with what it read, and does so again.
const PROBE: &str = "
    ee    ; 1: out %al,(%dx)
    ec    ; in (%dx),%al
    e6 f4 ; out %al,$0xf4
    eb fa ; jmp 1b
";

/// What answers a probe of a port: the value that is read, and the questions that were asked.
fn probe(machine: &mut Machine, port: u16) -> (u32, Vec<Asked>) {
    set(machine, |registers| {
        (registers.rip, registers.rax, registers.rdx) = (0, 0x11, port.into());
    });
    let mut asked = Vec::new();
    let mut answer = handler(|question| {
        asked.push(Asked::from(&question));
        match question {
            Question::Read { route, .. } => Answer::Value(0x40 + route as u64 % 0x40),
            _ => Answer::Done,
        }
    });
    let outcome = machine.run(&KickHandle::new(), common::LIMITS, &mut answer);
    drop(answer);
    (exit_code(&outcome.unwrap()), asked)
}

fn pc(routes: &[RouteConfig]) -> Machine {
    Machine::new(MachineConfig {
        irqchip: true,
        serial: true,
        pc: true,
        ..config(LONG, PROBE, routes)
    })
    .unwrap()
}

fn ids(machine: &Machine) -> Vec<u32> {
    let routes = machine.counters().routes();
    routes.iter().map(|(id, _)| id.get()).collect()
}

#[test]
fn a_route_answers_from_its_attachment_to_its_end() {
    require!(LONG);
    let mut machine = common::machine(LONG, PROBE, &[STOP]);
    assert_eq!(probe(&mut machine, 0x60).0, 0xff);
    let id = machine.attach(&port(0x60, 2, RouteTarget::Device)).unwrap();
    let (value, asked) = probe(&mut machine, 0x61);
    let route = id.get() as usize;
    assert_eq!(value, 0x40 + id.get());
    assert_eq!(
        asked,
        [Asked::Write(route, 1, 1, 0x11), Asked::Read(route, 1, 1)]
    );
    let counts = machine.counters().route(id).unwrap();
    assert_eq!((counts.reads.get(), counts.writes.get()), (1, 1));
    assert_eq!(ids(&machine), [0, id.get()]);
    machine.detach(id).unwrap();
    let (value, asked) = probe(&mut machine, 0x61);
    assert_eq!(value, 0xff);
    assert!(matches!(
        asked[..],
        [Asked::Unclaimed(..), Asked::Unclaimed(..)]
    ));
    assert_eq!((counts.reads.get(), ids(&machine)), (1, vec![0]));
    let gone = machine.detach(id).unwrap_err();
    assert_eq!(gone.code, ErrorCode::InvalidOption);
    let next = machine.attach(&port(0x60, 2, RouteTarget::Device)).unwrap();
    assert!(next > id);
}

#[test]
fn an_attachment_is_checked_as_the_configuration_is() {
    require!(LONG);
    let mut machine = pc(&[STOP]);
    let mut refused = |route: RouteConfig, words: &[&str]| {
        let error = machine.attach(&route).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidOption, "{error}");
        for word in words {
            assert!(error.message.contains(word), "{word}: {error}");
        }
    };
    let sink = RouteTarget::Discard;
    refused(
        port(0xf0, 8, sink),
        &["route (port 0xf0..=0xf7)", "routes[0] (port 0xf4)"],
    );
    refused(
        port(0x3ff, 1, sink),
        &["the machine's own device (port 0x3f8"],
    );
    refused(port(0x20, 1, sink), &["PIC"]);
    refused(common::gpa(0x1000, 1, sink), &["overlaps guest memory"]);
    refused(port(0x100, 0, sink), &["route.length"]);
    refused(
        port(0x100, 2, RouteTarget::Event { datamatch: None }),
        &["route.length"],
    );
    assert_eq!(ids(&machine), [0]);
    // COM1 and the devices of the PC are not the caller's.
    for id in 1..=5 {
        assert!(machine.detach(RouteId::new(id)).is_err());
    }
    let number = vmm::limits::MAX_ROUTES as u16 - 1;
    for at in 0..number {
        machine.attach(&port(0x1000 + at, 1, sink)).unwrap();
    }
    let error = machine.attach(&port(0x2000, 1, sink)).unwrap_err();
    assert_eq!(error.code, ErrorCode::Limit);
}

#[test]
fn a_claim_replaces_the_boards_rows_and_detaching_restores_them() {
    require!(LONG);
    let mut machine = pc(&[STOP]);
    // The status port of the keyboard controller, the clock's index port, the reset register.
    let status = probe(&mut machine, 0x64).0;
    assert_ne!(status, 0xff);
    let keyboard = machine.attach(&port(0x60, 1, RouteTarget::Device)).unwrap();
    assert_eq!(probe(&mut machine, 0x60).0, 0x40 + keyboard.get());
    let rest = probe(&mut machine, 0x64);
    assert!(rest.1.is_empty(), "the rest stays the board's");
    let clock = machine
        .attach(&port(0x70, 2, RouteTarget::Constant(0x77)))
        .unwrap();
    let bridge = machine
        .attach(&port(0xcf8, 8, RouteTarget::Constant(0x88)))
        .unwrap();
    assert_eq!(probe(&mut machine, 0x71).0, 0x77);
    assert_eq!(probe(&mut machine, 0xcf9).0, 0x88);
    for id in [keyboard, clock, bridge] {
        machine.detach(id).unwrap();
    }
    assert_eq!(probe(&mut machine, 0x70).0, 0xff);
    assert_eq!(probe(&mut machine, 0xcf8).0, 0xff);
    // What was written is read back, but for bits that the register lacks.
    assert_eq!(probe(&mut machine, 0xcf9).0, 0);
    assert!(probe(&mut machine, 0x60).1.is_empty());
    // At construction as well.
    let mut machine = pc(&[STOP, port(0x60, 1, RouteTarget::Constant(0x66))]);
    assert_eq!(probe(&mut machine, 0x60).0, 0x66);
    machine.detach(RouteId::new(1)).unwrap();
    assert_ne!(probe(&mut machine, 0x60).0, 0x66);
}

#[test]
fn text_of_a_console_that_is_gone_joins_the_output() {
    require!(LONG);
    let console = port(0xe9, 1, RouteTarget::Console { deliver: true });
    let mut machine = common::machine(
        LONG,
        "e6 e9 ; out %al,$0xe9\n e6 60 ; out %al,$0x60\n f4 ; hlt",
        &[console],
    );
    set(&mut machine, |registers| registers.rax = u64::from(b'x'));
    let failed = machine.run(
        &KickHandle::new(),
        RunLimits::default(),
        &mut handler(|question| match question {
            Question::Console { .. } => Answer::Withdrawn,
            _ => Answer::Failed,
        }),
    );
    assert_eq!(failed.unwrap_err().code, ErrorCode::Handler);
    machine.detach(RouteId::new(0)).unwrap();
    let outcome = common::run(&mut machine);
    assert_eq!(outcome.output.bytes, b"x");
    assert!(outcome.undelivered.is_empty());
}

/// A device with all that it may have: each write of four bytes goes to memory, and says so on a line.
#[derive(Debug, Default)]
struct Dma {
    memory: Option<Arc<dyn Memory>>,
    line: Option<Box<dyn Trigger + Send>>,
    bell: Arc<Mutex<Option<Box<dyn Doorbell>>>>,
    _alive: Arc<()>,
}

impl Device for Dma {
    fn attach(&mut self, context: &mut dyn Context) -> Result<(), String> {
        self.memory = Some(context.memory());
        self.line = Some(context.line(5).ok_or("it needs interrupt lines")?);
        *self.bell.lock().unwrap() = Some(context.doorbell(8, None)?);
        Ok(())
    }

    fn read(&mut self, offset: u32, data: &mut [u8]) {
        data.fill(offset as u8);
    }

    fn write(&mut self, offset: u32, data: &[u8]) -> Option<PowerRequest> {
        let stored = self.memory.as_ref()?.write(0x800 + u64::from(offset), data);
        assert!(stored);
        self.line.as_ref()?.trigger();
        None
    }
}

#[test]
fn a_device_gets_memory_a_line_and_a_doorbell_and_goes_when_it_is_detached() {
    require!(LONG);
    let (bell, alive) = (Arc::default(), Arc::new(()));
    let dma = Dma {
        bell: Arc::clone(&bell),
        _alive: Arc::clone(&alive),
        ..Dma::default()
    };
    let claim = Claim {
        base: Base::Port(0x140),
        length: 16,
    };
    let mut plain = common::machine(LONG, PROBE, &[STOP]);
    let refused = plain
        .attach_device(claim, Box::new(Dma::default()))
        .unwrap_err();
    assert_eq!(
        (refused.code, refused.message.as_str()),
        (ErrorCode::InvalidOption, "it needs interrupt lines")
    );
    let code = "
        66 ba 40 01    ; mov $0x140,%dx
        b8 44 33 22 11 ; mov $0x11223344,%eax
        ef             ; out %eax,(%dx)
        66 ba 48 01    ; mov $0x148,%dx
        ee             ; out %al,(%dx)
        ee             ; out %al,(%dx)
        66 ba 43 01    ; mov $0x143,%dx
        ec             ; in (%dx),%al
        e6 f4          ; out %al,$0xf4
        eb e6          ; jmp .-24
    ";
    let mut machine = Machine::new(MachineConfig {
        irqchip: true,
        ..config(LONG, code, &[STOP])
    })
    .unwrap();
    let id = machine.attach_device(claim, Box::new(dma)).unwrap();
    let outcome = common::run(&mut machine);
    assert_eq!(exit_code(&outcome), 3);
    assert_eq!(common::read(&machine, 0x800), [0x44, 0x33, 0x22, 0x11]);
    let rings = bell.lock().unwrap().as_ref().map(|bell| bell.take());
    assert_eq!(rings, Some(2));
    machine.detach(id).unwrap();
    assert_eq!(Arc::strong_count(&alive), 1);
    let outcome = common::run(&mut machine);
    assert_eq!(common::exit(&outcome).name(), "pio-out");
    // The line and the doorbell are free for the next.
    machine
        .attach_device(claim, Box::new(Dma::default()))
        .unwrap();
}

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
    for step in 0..10_000 {
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
