use super::*;
use crate::remote::Pushed;
use crate::virtio::testing::Driver;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

fn card() -> (Driver<Net>, Arc<RemoteNic>) {
    let remote = Arc::new(RemoteNic::new(MAC, Arc::default()));
    remote.link(true);
    let net = Net::new(Arc::clone(&remote));
    let driver = Driver::new(net, 0);
    (driver, remote)
}

fn sent(frame: &[u8]) -> Vec<u8> {
    [&[0; HEADER_BYTES], frame].concat()
}

#[test]
fn a_frame_goes_out_and_another_comes_in() {
    let (mut driver, remote) = card();
    driver.offer(TRANSMIT, &sent(&[7; 60]), 0);
    driver.offer(RECEIVE, &[], 1530);
    assert_eq!(remote.push(&[8; 1518]), Pushed::Taken);
    assert!(driver.work().wants_interrupt);
    assert_eq!(remote.take(), [[7; 60]]);
    assert_eq!(driver.used(TRANSMIT), [[0; 0]]);
    assert_eq!(driver.used(RECEIVE), [[&RECEIVED[..], &[8; 1518]].concat()]);
    let counts = remote.counts();
    assert_eq!((counts.sent, counts.received, counts.dropped), (1, 1, 0));
}

#[test]
fn what_is_no_frame_comes_back_and_is_counted() {
    let (mut driver, remote) = card();
    for length in [0, 1, 13, 1519, 100_000] {
        driver.offer(TRANSMIT, &sent(&vec![1; length]), 0);
    }
    // Less than a header, and nothing that the device may read.
    driver.offer(TRANSMIT, &[0; 5], 0);
    driver.offer(TRANSMIT, &[], 100);
    driver.work();
    assert_eq!(driver.used(TRANSMIT).len(), 7);
    assert_eq!((remote.take().len(), remote.counts().dropped), (0, 7));
}

#[test]
fn a_frame_without_room_is_dropped_and_the_next_one_arrives() {
    let (mut driver, remote) = card();
    for room in [1, 12, 71, 72] {
        driver.offer(RECEIVE, &[], room);
    }
    driver.offer(RECEIVE, &[3; 40], 0);
    for _ in 0..5 {
        remote.push(&[9; 60]);
    }
    driver.work();
    let lengths: Vec<_> = driver.used(RECEIVE).iter().map(Vec::len).collect();
    assert_eq!(lengths, [0, 0, 0, 72, 0]);
    let counts = remote.counts();
    assert_eq!((counts.received, counts.dropped), (1, 4));
}

#[test]
fn a_flood_stays_in_the_ring_until_the_host_takes() {
    let (mut driver, remote) = card();
    for _ in 0..3 {
        for _ in 0..128 {
            driver.offer(TRANSMIT, &sent(&[1; 60]), 0);
        }
        driver.work();
    }
    assert_eq!(driver.used(TRANSMIT).len(), 256);
    assert_eq!(remote.take().len(), 256);
    driver.work();
    assert_eq!(
        (driver.used(TRANSMIT).len(), remote.take().len()),
        (128, 128)
    );
}

#[test]
fn the_driver_hears_of_the_link_once() {
    let (mut driver, remote) = card();
    assert!(!driver.work().is_config_changed);
    remote.link(false);
    assert!(driver.work().is_config_changed && !driver.work().is_config_changed);
    assert_eq!(driver.device.config()[..8], [2, 0, 0, 0, 0, 1, 0, 0]);
    driver.offer(TRANSMIT, &sent(&[1; 60]), 0);
    driver.work();
    assert_eq!(
        (driver.used(TRANSMIT).len(), remote.counts().dropped),
        (1, 1)
    );
    remote.link(true);
    assert!(driver.work().is_config_changed);
}

#[test]
fn a_card_goes_on_elsewhere_if_it_has_the_address() {
    let (driver, remote) = card();
    let state = driver.device.save();
    remote.push(&[1; 60]);
    let (mut other, theirs) = card();
    theirs.push(&[1; 60]);
    assert!(other.device.restore(&state) && !theirs.has_arrived());
    for at in [0, 8, 11] {
        let mut wrong = state.clone();
        wrong[at] ^= 1;
        assert!(!other.device.restore(&wrong), "{at}");
    }
    assert!(!other.device.restore(&state[1..]));
    // The link is the host's: the driver hears of it.
    theirs.link(false);
    assert!(other.device.restore(&state) && other.work().is_config_changed);
}
