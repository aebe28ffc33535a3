//! What a driver must not do stops its device until the reset, and nothing else.

use super::guest::*;
use super::keeper::Keeper;
use crate::virtio::Rng;

/// What a driver does wrong with a ring of 64.
type Fault = (&'static str, fn(&mut Guest));

const FAULTS: [Fault; 17] = [
    ("a buffer outside memory", |guest| {
        guest.describe(table(0), 0, (LOW_END, 1), WRITE, 0);
    }),
    ("a buffer that leaves memory", |guest| {
        guest.describe(table(0), 0, (LOW_END - 1, 2), WRITE, 0);
    }),
    ("a buffer that wraps", |guest| {
        guest.describe(table(0), 0, (u64::MAX - 3, 8), WRITE, 0);
    }),
    ("4 GiB less a byte", |guest| {
        guest.describe(table(0), 0, (0, u32::MAX), WRITE, 0);
    }),
    ("a loop of one", |guest| {
        guest.describe(table(0), 0, (BUFFERS, 1), WRITE | NEXT, 0);
    }),
    ("a loop of two", |guest| {
        guest.describe(table(0), 0, (BUFFERS, 1), WRITE | NEXT, 1);
        guest.describe(table(0), 1, (BUFFERS, 1), WRITE | NEXT, 0);
    }),
    ("a chain that leaves its table", |guest| {
        guest.describe(table(0), 0, (BUFFERS, 1), WRITE | NEXT, 64);
    }),
    ("a head outside the table", |guest| {
        guest.put(avail(0) + 4, 64u16);
    }),
    ("more chains than the ring has", |guest| {
        guest.put(avail(0) + 2, 65u16);
    }),
    ("an empty indirect table", |guest| {
        guest.describe(table(0), 0, (BUFFERS, 0), INDIRECT, 0);
    }),
    ("half an entry in an indirect table", |guest| {
        guest.describe(table(0), 0, (BUFFERS, 24), INDIRECT, 0);
    }),
    ("an indirect table outside memory", |guest| {
        guest.describe(table(0), 0, (HIGH - 16, 16), INDIRECT, 0);
    }),
    ("an indirect table in another", |guest| {
        guest.describe(table(0), 0, (BUFFERS, 16), INDIRECT, 0);
        guest.describe(BUFFERS, 0, (BUFFERS + 0x100, 16), INDIRECT, 0);
    }),
    ("an indirect table that goes on", |guest| {
        guest.describe(table(0), 0, (BUFFERS, 16), INDIRECT | NEXT, 1);
        guest.describe(BUFFERS, 0, (BUFFERS, 1), WRITE, 0);
    }),
    ("a loop in an indirect table", |guest| {
        guest.describe(table(0), 0, (BUFFERS, 32), INDIRECT, 0);
        guest.describe(BUFFERS, 0, (BUFFERS, 1), WRITE | NEXT, 1);
        guest.describe(BUFFERS, 1, (BUFFERS, 1), WRITE | NEXT, 0);
    }),
    ("what is read after what is written", |guest| {
        guest.describe(table(0), 0, (BUFFERS, 1), WRITE | NEXT, 1);
        guest.describe(table(0), 1, (BUFFERS, 1), 0, 0);
    }),
    ("more than 4 GiB in pieces", |guest| {
        let list = BUFFERS;
        guest.describe(table(0), 0, (list, 16 * 4096), INDIRECT, 0);
        for index in 0..4096 {
            let part = (0, LOW_END as u32);
            guest.describe(list, index, part, WRITE | NEXT, index as u16 + 1);
        }
    }),
];

/// The device serves a good driver.
fn serves(guest: &mut Guest) {
    guest.start(0);
    guest.describe(table(0), 0, (BUFFERS, 16), WRITE, 0);
    guest.offer(0, 0);
    guest.ring();
    guest.until_used(0, 1);
    assert_eq!(guest.used_entry(0, 0), (0, 16));
    assert_eq!(guest.status(), OK);
}

#[test]
fn a_malformed_ring_stops_the_device_until_it_is_reset() {
    let mut guest = Guest::new(Box::new(Rng::new()));
    for (what, commit) in FAULTS {
        serves(&mut guest);
        guest.until("the interrupt", |guest| guest.read(0x60) == 1);
        guest.start(0);
        let before = guest.interrupts();
        guest.offer(0, 0);
        commit(&mut guest);
        guest.ring();
        guest.until(what, |guest| guest.status() == OK | NEEDS_RESET);
        guest.until(what, |guest| guest.interrupts() == before + 1);
        // A change of the configuration.
        assert_eq!(guest.read(0x60), 2, "{what}");
        assert_eq!(guest.used_index(0), 0, "{what}");
        // It stays silent.
        guest.describe(table(0), 0, (BUFFERS, 16), WRITE, 0);
        guest.offer(0, 0);
        guest.ring();
        guest.write(STATUS, OK);
        guest.run(false);
        guest.run(true);
        assert_eq!(guest.status(), OK | NEEDS_RESET, "{what}");
        assert_eq!(guest.used_index(0), 0, "{what}");
    }
    serves(&mut guest);
}

#[test]
fn a_queue_without_sense_does_not_become_ready() {
    let mut guest = Guest::new(Box::new(Rng::new()));
    let good = [table(0), avail(0), used(0)];
    let with = |part: usize, gpa: u64| {
        let mut parts = good;
        parts[part] = gpa;
        parts
    };
    let mut wrong: Vec<_> = [0, 3, 63, 128, 0x1_0040, u32::MAX]
        .map(|size| (size, good))
        .into();
    for part in 0..3 {
        for gpa in [
            1,
            LOW_END,
            LOW_END - 16,
            HIGH - 2,
            u64::MAX - 15,
            1 << 63,
            table(0) + 8,
        ] {
            // Some parts have such addresses.
            let alignment = [16, 2, 4][part];
            if gpa.is_multiple_of(alignment) && gpa == table(0) + 8 {
                continue;
            }
            wrong.push((64, with(part, gpa)));
        }
    }
    for (size, parts) in wrong {
        assert_eq!(guest.agree(1 << 32), 0xb);
        guest.set_up(0, size, parts);
        assert_eq!(guest.read(READY), 0, "{size} {parts:x?}");
        guest.write(STATUS, OK);
        assert_eq!(guest.status(), OK | NEEDS_RESET, "{size} {parts:x?}");
        guest.ring();
    }
    serves(&mut guest);
}

#[test]
fn a_buffer_of_no_bytes_is_none_and_may_be_anywhere() {
    let mut guest = Guest::new(Box::new(Rng::new()));
    guest.start(0);
    guest.describe(table(0), 0, (HIGH - 1, 0), WRITE | NEXT, 1);
    guest.describe(table(0), 1, (BUFFERS, 3), WRITE | NEXT, 2);
    guest.describe(table(0), 2, (BUFFERS, 0), WRITE, 0);
    guest.offer(0, 0);
    guest.ring();
    guest.until_used(0, 1);
    assert_eq!(guest.used_entry(0, 0), (0, 3));
}

#[test]
fn a_chain_that_is_out_cannot_be_offered_again() {
    let keeper = Keeper::default();
    let desk = keeper.desk.clone();
    let mut guest = Guest::new(Box::new(keeper));
    guest.start(0);
    guest.describe(table(0), 0, (BUFFERS, 3), WRITE, 0);
    guest.offer(0, 0);
    guest.ring();
    guest.until("it is out", |_| desk.kept() == 1);
    guest.offer(0, 0);
    guest.ring();
    guest.until("refused", |guest| guest.status() == OK | NEEDS_RESET);
    // What was taken before goes nowhere.
    desk.answer(false);
    guest.run(false);
    assert_eq!(guest.used_index(0), 0);
}

#[test]
fn memory_that_devices_do_not_have_is_outside() {
    // A ring may end where its slot does; the next slot is far away.
    let mut guest = Guest::new(Box::new(Rng::new()));
    assert_eq!(guest.agree(1 << 32), 0xb);
    let end = LOW_END - 64 * 16;
    guest.set_up(0, 64, [end, avail(0), used(0)]);
    assert_eq!(guest.read(READY), 1);
    guest.write(STATUS, OK);
    guest.describe(end, 63, (LOW_END - 4, 4), WRITE, 0);
    guest.offer(0, 63);
    guest.ring();
    // The buffer lies over its own descriptor, which was read before.
    guest.until_used(0, 1);
    assert_eq!(guest.used_entry(0, 0), (63, 4));
}
