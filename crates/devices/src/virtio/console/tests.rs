use super::*;
use crate::remote::PORT_BYTES;
use crate::virtio::testing::Driver;

const AGENT: usize = 1;

fn console() -> (Driver<Console>, Arc<RemotePort>, Arc<RemotePort>) {
    let [hvc0, agent] =
        ["", "agent"].map(|name| Arc::new(RemotePort::new(name.into(), Arc::default())));
    let device = Console::new(vec![Arc::clone(&hvc0), Arc::clone(&agent)]);
    (Driver::new(device, 1 << F_MULTIPORT), hvc0, agent)
}

fn say(driver: &mut Driver<Console>, id: u32, event: Event, value: bool) {
    let message = Message::new(id, event, value).bytes();
    driver.offer(CONTROL_TRANSMIT, &message, 0);
    driver.work();
}

fn heard(driver: &mut Driver<Console>) -> Vec<Vec<u8>> {
    driver.used(CONTROL_RECEIVE)
}

/// A driver that knows both ports, with the agent's open.
fn ready() -> (Driver<Console>, Arc<RemotePort>, Arc<RemotePort>) {
    let (mut driver, hvc0, agent) = console();
    for _ in 0..30 {
        driver.offer(CONTROL_RECEIVE, &[], 64);
    }
    say(&mut driver, 0, Event::DeviceReady, true);
    say(&mut driver, 0, Event::PortReady, true);
    say(&mut driver, 1, Event::PortReady, true);
    say(&mut driver, 1, Event::PortOpen, true);
    heard(&mut driver);
    (driver, hvc0, agent)
}

#[test]
fn the_driver_hears_of_ports_names_and_the_hosts_end() {
    let (mut driver, ..) = console();
    for _ in 0..10 {
        driver.offer(CONTROL_RECEIVE, &[], 64);
    }
    driver.work();
    assert!(heard(&mut driver).is_empty());
    say(&mut driver, 0, Event::DeviceReady, true);
    assert_eq!(
        heard(&mut driver),
        [[0, 0, 0, 0, 1, 0, 1, 0], [1, 0, 0, 0, 1, 0, 1, 0]]
    );
    say(&mut driver, 0, Event::PortReady, true);
    assert_eq!(
        heard(&mut driver),
        [[0, 0, 0, 0, 4, 0, 1, 0], [0, 0, 0, 0, 6, 0, 1, 0]]
    );
    say(&mut driver, 1, Event::PortReady, true);
    let name = [&[1, 0, 0, 0, 7, 0, 1, 0], &b"agent"[..]].concat();
    assert_eq!(heard(&mut driver), [name, vec![1, 0, 0, 0, 6, 0, 1, 0]]);
}

#[test]
fn a_driver_that_asks_again_and_again_makes_no_more_of_the_answers() {
    let (mut driver, ..) = console();
    for _ in 0..1000 {
        for (event, id) in [
            (Event::DeviceReady, 9),
            (Event::PortReady, 1),
            (Event::PortReady, 7),
        ] {
            say(&mut driver, id, event, true);
        }
        driver.used(CONTROL_TRANSMIT);
    }
    for _ in 0..20 {
        driver.offer(CONTROL_RECEIVE, &[], 64);
    }
    driver.work();
    assert_eq!(heard(&mut driver).len(), 4);
    // Nor do messages that are none, or find no room.
    driver.offer(CONTROL_TRANSMIT, &[1, 2, 3], 0);
    driver.offer(CONTROL_TRANSMIT, &[0xff; 8], 0);
    driver.offer(CONTROL_TRANSMIT, &[], 8);
    driver.work();
    assert_eq!(driver.used(CONTROL_TRANSMIT).len(), 3);
}

#[test]
fn bytes_go_both_ways_once_a_program_has_the_port_open() {
    let (mut driver, _, agent) = ready();
    let (receive, transmit) = queues(AGENT);
    driver.offer(transmit, b"hello", 0);
    driver.offer(receive, &[], 3);
    driver.offer(receive, &[], 100);
    agent.push(b"world");
    driver.work();
    assert_eq!(agent.take(), b"hello");
    assert_eq!(driver.used(receive), [b"wor".to_vec(), b"ld".to_vec()]);
    say(&mut driver, 1, Event::PortOpen, false);
    agent.push(b"later");
    driver.offer(receive, &[], 100);
    driver.work();
    assert!(driver.used(receive).is_empty());
    say(&mut driver, 1, Event::PortOpen, true);
    assert_eq!(driver.used(receive), [b"later"]);
}

#[test]
fn without_control_there_is_a_console() {
    let hvc0 = Arc::new(RemotePort::new(String::new(), Arc::default()));
    let mut driver = Driver::new(Console::new(vec![Arc::clone(&hvc0)]), 0);
    driver.offer(1, b"out", 0);
    driver.offer(0, &[], 10);
    hvc0.push(b"in");
    driver.work();
    assert_eq!(
        (hvc0.take(), driver.used(0)),
        (b"out".to_vec(), vec![b"in".to_vec()])
    );
}

#[test]
fn a_guest_whose_reader_lags_waits_and_a_chain_of_any_length_is_bounded() {
    let (mut driver, _, agent) = ready();
    let (_, transmit) = queues(AGENT);
    agent.take();
    for _ in 0..3 {
        driver.offer(transmit, &[1; 50_000], 0);
    }
    driver.work();
    assert_eq!(driver.used(transmit).len(), 2);
    assert_eq!(agent.take().len(), 100_000);
    driver.work();
    assert_eq!(
        (driver.used(transmit).len(), agent.take().len()),
        (1, 50_000)
    );
}

#[test]
fn the_driver_hears_that_nobody_is_there_any_more() {
    let (mut driver, _, agent) = ready();
    agent.open(false);
    driver.work();
    assert_eq!(heard(&mut driver), [[1, 0, 0, 0, 6, 0, 0, 0]]);
    let (_, transmit) = queues(AGENT);
    driver.offer(transmit, &[1; 60_000], 0);
    driver.offer(transmit, &[1; 60_000], 0);
    driver.work();
    assert_eq!(driver.used(transmit).len(), 2);
    assert!(!agent.waits());
}

#[test]
fn a_device_goes_on_elsewhere_with_its_bytes() {
    let (mut driver, hvc0, agent) = ready();
    driver.offer(1, b"boot", 0);
    driver.work();
    agent.push(b"to the agent");
    let state = driver.device.save();
    let (mut other, console, _) = console();
    assert!(other.device.restore(&state));
    assert_eq!(
        (console.take(), hvc0.take()),
        (b"boot".to_vec(), b"boot".to_vec())
    );
    let (receive, _) = queues(AGENT);
    other.offer(receive, &[], 100);
    other.work();
    assert_eq!(other.used(receive), [b"to the agent"]);
    for length in 0..state.len() {
        assert!(!other.device.restore(&state[..length]), "{length}");
    }
    let more = PortState {
        arriving: vec![0; PORT_BYTES + 1],
        ..driver.device.ports[1].save()
    };
    assert!(!Port::may_restore(&more));
}
