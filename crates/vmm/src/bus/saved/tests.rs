use devices::{Device, I8042, Pm1, State};
use vmm_sys_util::eventfd::EventFd;

use super::*;
use crate::bus::backend::Backend;
use crate::bus::claim::{Base, RouteId, Standing};
use crate::bus::feed::Feed;
use crate::bus::map::{Bus, BusAccess};
use crate::bus::ring::PostedWrite;
use crate::bus::route::Doorbell;
use crate::bus::table::Row;
use crate::bus::target::RouteTarget;
use crate::kvm::exit::{Exit, PortAccess};

const CONSOLE: u16 = 0xe9;
const QUEUE: u16 = 0x10;
const EVENT: u16 = 0x20;
const CHIP: u16 = 0x60;
const TARGETS: [(u16, RouteTarget); 6] = [
    (CONSOLE, RouteTarget::Console { deliver: true }),
    (0xea, RouteTarget::Console { deliver: false }),
    (QUEUE, RouteTarget::Queue { read_value: None }),
    (EVENT, RouteTarget::Event { datamatch: None }),
    (0x30, RouteTarget::Device),
    (0x40, RouteTarget::Constant(7)),
];

fn row(port: u16, length: u64, standing: Standing) -> Row {
    Row {
        id: RouteId::new(u32::from(port)),
        claim: Claim {
            base: Base::Port(port),
            length,
        },
        standing,
    }
}

fn routes() -> Vec<Route> {
    let targets = TARGETS.into_iter().map(|(port, target)| {
        let Ok(backend) = Backend::new(target) else {
            panic!("no {target:?}");
        };
        Route::new(row(port, 1, Standing::Attached), backend)
    });
    let chip: Box<dyn Device> = Box::new(I8042::new(None));
    let mut routes: Vec<_> = targets.collect();
    let row = row(CHIP, 5, Standing::Yields);
    routes.push(Route::new(row, Backend::Device(chip)));
    routes
}

fn bus(routes: Vec<Route>) -> Bus {
    match Bus::new(routes, false) {
        Ok(bus) => bus,
        Err(error) => panic!("{error}"),
    }
}

/// Writes a byte as a guest does, or reads one.
fn access(bus: &mut Bus, port: u16, value: Option<u8>) -> u8 {
    let access = PortAccess {
        port,
        size: 1,
        count: 1,
        data_offset: 0,
    };
    let exit = if value.is_some() {
        Exit::PioOut(access)
    } else {
        Exit::PioIn(access)
    };
    let Some(access) = bus.claim(&exit) else {
        panic!("nothing at {port:#x}");
    };
    let mut data = [value.unwrap_or(0)];
    BusAccess::Alone(bus).react(&access, &mut data);
    data[0]
}

fn feed(bus: &Bus, port: u16) -> Feed {
    let mut routes = bus.routes().iter();
    let found = routes.find(|route| route.row.claim.start() == u64::from(port));
    match found.and_then(|route| route.feed.clone()) {
        Some(feed) => feed,
        None => panic!("no feed at {port:#x}"),
    }
}

/// The guest writes text, posts, rings a doorbell and asks the chip for its self-test.
fn stir(bus: &mut Bus, value: u8) {
    access(bus, CONSOLE, Some(value));
    access(bus, 0xea, Some(value));
    let write = PostedWrite {
        offset: 0,
        size: 1,
        value: value.into(),
    };
    if let Feed::Ring(ring) = feed(bus, QUEUE) {
        ring.push_or_spill(write);
    }
    if let Feed::Count(count) = feed(bus, EVENT) {
        assert!(count.fd().write(1).is_ok());
    }
    access(bus, CHIP + 4, Some(0xaa));
}

/// What comes out of a bus, once.
fn taken(bus: &mut Bus) -> (Vec<u64>, u64, Vec<u8>, Vec<u8>, u8) {
    let writes = feed(bus, QUEUE).drain();
    let count = feed(bus, EVENT).take_count();
    let text = bus
        .take_undelivered()
        .into_iter()
        .flat_map(|(_, text)| text);
    let text = text.collect();
    (
        writes.iter().map(|write| write.value).collect(),
        count,
        text,
        bus.take_output().bytes,
        access(bus, CHIP, None),
    )
}

fn code_and_message(result: Result<()>) -> (ErrorCode, String) {
    match result {
        Ok(()) => panic!("it fits"),
        Err(error) => (error.code, error.message),
    }
}

#[test]
fn what_was_not_handed_over_comes_again_and_nothing_else_does() {
    let mut one = bus(routes());
    let empty = one.save();
    stir(&mut one, b'a');
    taken(&mut one);
    stir(&mut one, b'b');
    let saved = one.save();
    assert_eq!(one.save(), saved, "saving changes nothing");
    stir(&mut one, b'c');
    let both = vec![u64::from(b'b'), u64::from(b'c')];
    assert_eq!(taken(&mut one), (both, 2, b"bc".into(), b"bc".into(), 0x55));
    let b = || (vec![u64::from(b'b')], 1, b"b".into(), b"b".into(), 0x55);
    stir(&mut one, b'd');
    for _ in 0..2 {
        assert_eq!(one.restore(&saved), Ok(()));
        assert_eq!(one.save(), saved);
        assert_eq!(taken(&mut one), b());
    }
    assert_eq!(one.restore(&empty), Ok(()));
    assert_eq!(taken(&mut one), (vec![], 0, vec![], vec![], 0));
    // A bus of the same claims in another order.
    let mut turned = routes();
    turned.reverse();
    let mut two = bus(turned);
    stir(&mut two, b'e');
    assert_eq!(two.restore(&saved), Ok(()));
    assert_eq!(taken(&mut two), b());
}

#[test]
fn the_first_claim_that_differs_is_named_and_nothing_changes() {
    let mut one = bus(routes());
    stir(&mut one, b'a');
    let saved = one.save();
    type Change = fn(&mut Vec<Route>);
    let cases: [(Change, &str); 4] = [
        (
            |routes| drop(routes.remove(2)),
            "the snapshot has a route at port 0x10, and this machine has none; attach it first",
        ),
        (
            |routes| {
                let row = row(0x50, 2, Standing::Attached);
                routes.push(Route::new(row, Backend::Sink));
            },
            "this machine has a route at port 0x50..=0x51, and the snapshot has none; detach it first",
        ),
        (
            |routes| routes[5] = Route::new(routes[5].row, Backend::Sink),
            "the snapshot has another kind of route at port 0x40 than this machine",
        ),
        (
            |routes| {
                let device: Box<dyn Device> = Box::new(Pm1::new(None));
                routes[6] = Route::new(routes[6].row, Backend::Device(device));
            },
            "the snapshot has another kind of route at port 0x60..=0x64 than this machine",
        ),
    ];
    for (change, message) in cases {
        let mut others = routes();
        change(&mut others);
        let mut other = bus(others);
        access(&mut other, CONSOLE, Some(b'z'));
        let before = other.save();
        let expected = (ErrorCode::Snapshot, message.into());
        assert_eq!(code_and_message(other.restore(&saved)), expected);
        assert_eq!(other.save(), before);
    }
}

#[test]
fn a_callers_route_in_place_of_the_machines_own_is_told_from_it() {
    let make = |callers_first: bool| {
        let mut all = routes();
        let row = row(CHIP, 5, Standing::Attached);
        all.push(Route::new(row, Backend::Constant(1)));
        if callers_first {
            all.reverse();
        }
        bus(all)
    };
    let saved = make(true).save();
    assert_eq!(make(false).restore(&saved), Ok(()));
    let left = code_and_message(bus(routes()).restore(&saved)).1;
    assert!(left.contains("a route at port 0x60..=0x64"), "{left}");
}

#[test]
fn what_no_device_saves_is_refused() {
    let mut one = bus(routes());
    for (index, held) in [
        (0, Held::Count(1)),
        (2, Held::Fields(State::default())),
        (3, Held::Writes(Vec::new())),
        (6, Held::Fields(State::default())),
    ] {
        let mut saved = one.save();
        saved.routes[index].held = held;
        let (code, message) = code_and_message(one.restore(&saved));
        assert_eq!(code, ErrorCode::Snapshot);
        assert!(message.ends_with("is none of its states"), "{message}");
    }
}

#[test]
fn what_a_device_has_not_heard_of_its_doorbell_rings_again() {
    let make = || {
        let mut all = routes();
        let Ok(fd) = EventFd::new(libc::EFD_NONBLOCK) else {
            panic!("no eventfd");
        };
        let base = Base::Port(CHIP + 1);
        all[6].doorbells.push(Doorbell {
            fd,
            base,
            datamatch: None,
        });
        bus(all)
    };
    let mut one = make();
    let ring = |bus: &Bus, count| bus.routes()[6].doorbells[0].fd.write(count).ok();
    let heard = |bus: &Bus| bus.routes()[6].doorbells[0].fd.read().ok();
    assert_eq!(ring(&one, 3), Some(()));
    let saved = one.save();
    assert_eq!(
        (heard(&one), heard(&one)),
        (Some(3), None),
        "it still rings"
    );
    let mut two = make();
    ring(&two, 1);
    assert_eq!(two.restore(&saved), Ok(()));
    assert_eq!((heard(&two), heard(&two)), (Some(3), None));
    assert!(
        bus(routes()).restore(&saved).is_err(),
        "a device without one"
    );
    one.restore(&make().save()).ok();
    assert_eq!(heard(&one), None);
}
