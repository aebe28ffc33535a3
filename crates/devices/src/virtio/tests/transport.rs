//! Registers, features, and how requests and interrupts go their way.

use super::guest::*;
use super::keeper::Keeper;
use crate::device::Device;
use crate::virtio::Rng;

fn keeper() -> (Guest, super::keeper::Desk) {
    let keeper = Keeper {
        config: (0..16).collect(),
        ..Keeper::default()
    };
    let desk = keeper.desk.clone();
    (Guest::new(Box::new(keeper)), desk)
}

#[test]
fn the_driver_gets_the_features_of_device_and_transport() {
    let (mut guest, _) = keeper();
    let pages = [0, 1, 2, u32::MAX].map(|page| {
        guest.write(0x14, page);
        guest.read(0x10)
    });
    assert_eq!(pages, [0b101 | 1 << 28 | 1 << 29, 1, 0, 0]);
}

#[test]
fn features_that_are_not_offered_or_without_version_1_are_refused() {
    let (mut guest, _) = keeper();
    for features in [
        0,
        0b100,
        1 << 32 | 0b10,
        1 << 32 | 1 << 30,
        1 << 32 | 1 << 33,
    ] {
        assert_eq!(guest.agree(features), 3, "{features:#x}");
        // Not ready, whatever the driver says.
        guest.write(STATUS, OK);
        assert_eq!(guest.status() & 4, 0);
    }
    assert_eq!(guest.agree(1 << 32 | 0b100), 0xb);
    // They are settled.
    guest.write(0x24, 0);
    guest.write(0x20, u32::MAX);
    guest.write(STATUS, OK);
    assert_eq!(guest.status(), OK);
}

#[test]
fn registers_are_read_whole_and_the_configuration_in_any_pieces() {
    let (mut guest, _) = keeper();
    for (offset, length) in [(0, 1), (0, 2), (1, 4), (2, 2), (0, 8), (0x6e, 4)] {
        let mut bytes = vec![0xaa; length];
        guest.device.read(offset, &mut bytes);
        assert_eq!(bytes, vec![0; length]);
    }
    let mut bytes = [0; 8];
    guest.device.read(0x100 + 3, &mut bytes);
    assert_eq!(bytes, [3, 4, 5, 6, 7, 8, 9, 10]);
    guest.device.read(0x100 + 12, &mut bytes);
    assert_eq!(bytes, [12, 13, 14, 15, 0, 0, 0, 0]);
    guest.device.read(0x1ff, &mut bytes[..1]);
    assert_eq!(bytes[0], 0);
    guest.device.write(0x100 + 14, &[99; 8]);
    guest.device.read(0x100 + 12, &mut bytes);
    assert_eq!(bytes, [12, 13, 99, 99, 0, 0, 0, 0]);
}

#[test]
fn registers_that_do_not_exist_take_and_give_nothing() {
    let (mut guest, _) = keeper();
    guest.start(0);
    let offsets = (0..0x100).step_by(4);
    // But for those that do something.
    let inert = offsets.filter(|at| ![STATUS, READY, 0x50, 0x64, SELECT].contains(at));
    for offset in inert {
        guest.write(offset, 0xdead_beef);
    }
    assert_eq!(guest.status(), OK);
    assert_eq!(guest.read(READY), 1);
    guest.write(SELECT, 7);
    assert_eq!((guest.read(0x34), guest.read(READY)), (0, 0));
    guest.write(READY, 1);
    assert_eq!(guest.status(), OK);
}

#[test]
fn requests_are_answered_in_the_order_that_the_device_likes() {
    let (mut guest, desk) = keeper();
    guest.start(0);
    for head in [3, 1, 2] {
        let at = BUFFERS + 0x100 * u64::from(head);
        guest.describe(table(0), head.into(), (at, 1), WRITE, 0);
        guest.offer(0, head);
    }
    guest.ring();
    guest.until("all are taken", |_| desk.kept() == 3);
    assert_eq!(guest.used_index(0), 0);
    for (newest, head, count) in [(true, 2, 1), (false, 3, 2), (false, 1, 3)] {
        desk.answer(newest);
        guest.until_used(0, count);
        assert_eq!(guest.used_entry(0, count - 1), (head, 1));
        assert_eq!(guest.get::<u8>(BUFFERS + 0x100 * u64::from(head)), 7);
    }
    guest.until("an interrupt for each", |guest| guest.interrupts() == 3);
    assert_eq!(guest.read(0x60), 1);
    guest.write(0x64, 1);
    assert_eq!(guest.read(0x60), 0);
}

#[test]
fn a_driver_says_from_which_used_chain_on_it_is_interrupted() {
    let mut guest = Guest::new(Box::new(Rng::new()));
    guest.start(EVENT_IDX);
    guest.describe(table(0), 0, (BUFFERS, 8), WRITE, 0);
    let size = guest.sizes[0];
    let used_event = avail(0) + 4 + 2 * u64::from(size);
    guest.put(used_event, 2u16);
    for count in 1..=3 {
        guest.offer(0, 0);
        guest.ring();
        guest.until_used(0, count);
    }
    guest.until("one interrupt", |guest| guest.interrupts() == 1);
    // The device asks for a ring at the next chain.
    let avail_event = used(0) + 4 + 8 * u64::from(size);
    guest.until("an event", |guest| guest.get::<u16>(avail_event) == 3);
    guest.run(false);
    assert_eq!(guest.interrupts(), 1);
}

#[test]
fn without_event_indices_a_flag_turns_interrupts_off() {
    let mut guest = Guest::new(Box::new(Rng::new()));
    guest.start(0);
    guest.describe(table(0), 0, (BUFFERS, 8), WRITE, 0);
    for (flag, interrupts) in [(1u16, 0), (0, 1), (1, 1)] {
        guest.put(avail(0), flag);
        let count = guest.used_index(0) + 1;
        guest.offer(0, 0);
        guest.ring();
        guest.until_used(0, count);
        guest.run(false);
        assert_eq!(guest.interrupts(), interrupts);
        guest.run(true);
    }
}

#[test]
fn indirect_tables_may_be_longer_than_the_ring() {
    let (mut guest, desk) = keeper();
    guest.start(0);
    let list = BUFFERS + 0x1000;
    for index in 0..40 {
        let flags = if index == 39 { WRITE } else { WRITE | NEXT };
        let bytes = (BUFFERS + index, 1);
        guest.describe(list, index, bytes, flags, index as u16 + 1);
    }
    guest.describe(table(0), 5, (list, 40 * 16), INDIRECT, 0);
    guest.offer(0, 5);
    guest.ring();
    desk.answer(false);
    guest.until("taken and answered", |guest| {
        guest.ring();
        guest.used_index(0) == 1 || {
            if desk.kept() == 1 {
                desk.answer(false);
            }
            false
        }
    });
    assert_eq!(guest.used_entry(0, 0), (5, 1));
}

#[test]
fn a_doorbell_without_a_queue_or_a_driver_does_nothing() {
    let (mut guest, desk) = keeper();
    guest.ring();
    guest.write(0x50, 0);
    assert_eq!(guest.agree(1 << 32), 0xb);
    guest.ring();
    guest.write(STATUS, OK);
    for queue in [0, 1, 77, u32::MAX] {
        guest.write(0x50, queue);
    }
    guest.until("it was heard", |guest| guest.unheard() == 0);
    guest.run(false);
    assert_eq!(
        (guest.status(), guest.interrupts(), desk.kept()),
        (OK, 0, 0)
    );
}
