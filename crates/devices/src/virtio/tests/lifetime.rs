//! Resets, stops and snapshots while requests are in flight.

use super::guest::*;
use super::keeper::{Desk, Keeper};
use crate::device::Device;
use crate::state::State;
use crate::virtio::{Rings, Rng, VirtioDevice};

fn keeper(is_stubborn: bool) -> (Guest, Desk) {
    let keeper = Keeper {
        is_stubborn,
        ..Keeper::default()
    };
    let desk = keeper.desk.clone();
    (Guest::new(Box::new(keeper)), desk)
}

/// Three chains of a byte each, taken and not answered.
fn take_three(guest: &mut Guest, desk: &Desk) {
    guest.start(0);
    for head in 0..3 {
        guest.describe(table(0), head, (BUFFERS + head, 1), WRITE, 0);
        guest.offer(0, head as u16);
    }
    guest.ring();
    guest.until("all are taken", |_| desk.kept() == 3);
}

#[test]
fn an_answer_to_a_request_of_before_a_reset_goes_nowhere() {
    for is_stubborn in [false, true] {
        let (mut guest, desk) = keeper(is_stubborn);
        take_three(&mut guest, &desk);
        guest.start(0);
        // The same heads once more.
        for head in 0..3 {
            guest.describe(table(0), head, (BUFFERS + 0x100 + head, 1), WRITE, 0);
            guest.offer(0, head as u16);
        }
        guest.ring();
        let all = if is_stubborn { 6 } else { 3 };
        guest.until("taken again", |_| desk.kept() == all);
        for _ in 3..all {
            desk.answer(false);
        }
        guest.until("the old ones are gone", |_| desk.kept() == 3);
        guest.settle();
        assert_eq!(guest.used_index(0), 0);
        for _ in 0..3 {
            desk.answer(false);
        }
        guest.until_used(0, 3);
        guest.until("nothing is left", |_| desk.kept() == 0);
        guest.run(false);
        assert_eq!((guest.used_index(0), guest.status()), (3, OK));
    }
}

#[test]
fn a_queue_that_is_taken_back_forgets_its_requests() {
    let (mut guest, desk) = keeper(true);
    take_three(&mut guest, &desk);
    guest.write(SELECT, 0);
    guest.write(READY, 0);
    assert_eq!(guest.read(READY), 0);
    desk.answer(false);
    guest.ring();
    guest.until("it was dropped", |_| desk.kept() == 2);
    guest.run(false);
    assert_eq!((guest.used_index(0), guest.status()), (0, OK));
}

#[test]
fn a_machine_at_rest_has_still_memory() {
    let (mut guest, desk) = keeper(false);
    take_three(&mut guest, &desk);
    guest.run(false);
    assert!(desk.is_parked());
    let interrupts = guest.interrupts();
    desk.answer(false);
    guest.offer(0, 5);
    guest.ring();
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!((guest.used_index(0), desk.kept()), (0, 3));
    assert_eq!(guest.interrupts(), interrupts);
    // What happened meanwhile is done when it goes on, without a further ring.
    guest.run(true);
    guest.until_used(0, 1);
    guest.until("the new one is taken", |_| desk.kept() == 3);
}

#[test]
fn a_device_that_never_gets_a_driver_has_no_thread() {
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let guests: Vec<_> = (0..40)
        .map(|_| {
            let mut guest = Guest::new(Box::new(Rng::new()));
            assert_eq!(guest.agree(1 << 32), 0xb);
            guest.ring();
            guest
        })
        .collect();
    // Other tests run beside.
    assert!(threads() < 40, "{}", threads());
    drop(guests);
}

#[test]
fn a_snapshot_has_requests_in_flight_as_not_yet_taken() {
    let (mut guest, desk) = keeper(false);
    take_three(&mut guest, &desk);
    desk.answer(true);
    guest.until_used(0, 1);
    guest.run(false);
    let state = guest.device.save();
    assert_eq!(state.kind, "virtio-keeper");
    let memory = std::sync::Arc::clone(&guest.memory);
    // A fork, whose memory would be a copy.
    let other = Keeper::default();
    let other_desk = other.desk.clone();
    let mut fork = Guest::with(Box::new(other), memory);
    fork.run(false);
    assert!(fork.device.restore(&state));
    assert_eq!(fork.device.save(), state);
    assert_eq!(fork.status(), OK);
    fork.run(true);
    fork.until("taken again", |_| other_desk.kept() == 2);
    fork.run(false);
    // They still count as not taken.
    assert_eq!(fork.device.save(), state);
    fork.run(true);
    other_desk.answer(false);
    fork.until_used(0, 2);
    assert_eq!(fork.used_entry(0, 1), (0, 1));
    other_desk.answer(false);
    fork.until_used(0, 3);
    assert_eq!(fork.used_entry(0, 2), (1, 1));
}

#[test]
fn a_restore_drops_the_answers_to_requests_of_before() {
    let (mut guest, desk) = keeper(true);
    take_three(&mut guest, &desk);
    guest.run(false);
    let state = guest.device.save();
    let resets = desk.resets();
    assert!(guest.device.restore(&state));
    assert_eq!(desk.resets(), resets + 1);
    guest.run(true);
    // The device is a stubborn one, and has each of them twice.
    guest.until("taken again", |_| desk.kept() == 6);
    for _ in 0..6 {
        desk.answer(false);
    }
    guest.until_used(0, 3);
    guest.until("nothing is left", |_| desk.kept() == 0);
    guest.run(false);
    assert_eq!((guest.used_index(0), guest.status()), (3, OK));
}

#[test]
fn the_state_of_another_device_or_of_none_is_refused_and_changes_nothing() {
    let (mut guest, desk) = keeper(false);
    take_three(&mut guest, &desk);
    guest.run(false);
    let state = guest.device.save();
    let mut rng = Guest::new(Box::new(Rng::new()));
    rng.run(false);
    assert!(!rng.device.restore(&state));
    assert!(!guest.device.restore(&rng.device.save()));
    for cut in 0..state.bytes.len() {
        let bytes = state.bytes[..cut].to_vec();
        let kind = state.kind.clone();
        // The device's own bytes come last, and a keeper takes any.
        let is_cut = !guest.device.restore(&State { kind, bytes });
        assert!(is_cut, "{cut}");
    }
    assert_eq!(guest.device.save(), state);
}

#[test]
fn random_states_are_refused_or_do_no_harm() {
    let mut noise = crate::noise::Noise::new(0x57a7e);
    let (mut guest, desk) = keeper(false);
    take_three(&mut guest, &desk);
    guest.run(false);
    let state = guest.device.save();
    for _ in 0..2000 {
        let mut changed = state.clone();
        for _ in 0..=noise.below(3) {
            let at = noise.below(changed.bytes.len());
            changed.bytes[at] = noise.byte();
        }
        guest.device.restore(&changed);
        guest.run(true);
        guest.ring();
        guest.run(false);
        guest.write(STATUS, 0);
    }
    guest.run(true);
    take_three(&mut guest, &desk);
}

/// A device with a fault.
#[derive(Debug, Default)]
struct Faulty(bool);

impl VirtioDevice for Faulty {
    fn kind(&self) -> u32 {
        43
    }

    fn name(&self) -> &'static str {
        "virtio-faulty"
    }

    fn queue_sizes(&self) -> &[u16] {
        &[8]
    }

    fn work(&mut self, rings: &mut Rings<'_>) {
        if let Some(chain) = rings.next(0) {
            assert!(self.0, "the fault of a test");
            rings.complete(0, chain, 0);
        }
    }

    fn reset(&mut self) {
        self.0 = true;
    }
}

#[test]
fn a_device_whose_code_fails_stops_until_the_driver_resets_it() {
    let mut guest = Guest::new(Box::new(Faulty::default()));
    // The reset that begins with comes before.
    guest.start(0);
    guest.describe(table(0), 0, (BUFFERS, 1), WRITE, 0);
    guest.offer(0, 0);
    guest.ring();
    guest.until_used(0, 1);
    let mut guest = Guest::new(Box::new(Faulty::default()));
    guest.write(STATUS, 1);
    guest.write(STATUS, 3);
    guest.write(0x24, 1);
    guest.write(0x20, 1);
    guest.write(STATUS, 0xb);
    guest.set_up(0, 8, [table(0), avail(0), used(0)]);
    guest.write(STATUS, OK);
    guest.describe(table(0), 0, (BUFFERS, 1), WRITE, 0);
    guest.offer(0, 0);
    guest.ring();
    guest.until("it stops", |guest| guest.status() == OK | NEEDS_RESET);
    guest.until("the driver hears of it", |guest| guest.read(0x60) == 2);
    guest.start(0);
    guest.offer(0, 0);
    guest.ring();
    guest.until_used(0, 1);
}
