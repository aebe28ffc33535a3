//! Routes that come and go between runs: what claims what, and that a route which is gone is never
//! asked.
#![allow(clippy::unwrap_used, clippy::panic)] // in helpers of tests a panic is the report

#[macro_use]
mod common;

use std::sync::{Arc, Mutex};

use common::attaching::{PROBE, STOP, ids, pc, probe};
use common::{Answer, Asked, LONG, Question, config, exit_code, handler, port, set};
use devices::{Context, Device, Doorbell, Memory, PowerRequest, Trigger};
use vmm::{
    Base, Claim, ErrorCode, Feed, KickHandle, Machine, MachineConfig, RouteConfig, RouteId,
    RouteTarget, RunLimits,
};

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
fn an_event_right_after_a_coalesced_range_counts_whichever_came_first() {
    require!(LONG);
    let event = port(0x64, 1, RouteTarget::Event { datamatch: None });
    let coalesce = port(0x60, 4, RouteTarget::Coalesce { read_value: None });
    let count = |machine: &mut Machine| {
        probe(machine, 0x64);
        let feeds = machine.feeds();
        let events = feeds
            .iter()
            .filter(|(_, feed)| matches!(feed, Feed::Count(_)));
        events.map(|(_, feed)| feed.take_count()).sum::<u64>()
    };
    let mut configured = common::machine(LONG, PROBE, &[STOP, event, coalesce]);
    assert_eq!(count(&mut configured), 1);
    for routes in [[event, coalesce], [coalesce, event]] {
        let mut machine = common::machine(LONG, PROBE, &[STOP]);
        let ids = routes.map(|route| machine.attach(&route).unwrap());
        assert_eq!(count(&mut machine), 1);
        machine
            .detach(ids[usize::from(routes[1] == coalesce)])
            .unwrap();
        machine.attach(&coalesce).unwrap();
        assert_eq!(count(&mut machine), 1);
    }
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

/// A device with all that it may have: each write of four bytes goes to memory, and says so on a
/// line.
#[derive(Debug, Default)]
struct Dma {
    memory: Option<Arc<dyn Memory>>,
    line: Option<Box<dyn Trigger + Send + Sync>>,
    bell: Arc<Mutex<Option<Arc<dyn Doorbell>>>>,
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
        eb e7          ; jmp .-23
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
