use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::noise::Noise;

/// Counts edges.
#[derive(Clone, Debug, Default)]
struct Edges(Arc<AtomicUsize>);

impl Trigger for Edges {
    fn trigger(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Edges {
    /// Since the last call.
    fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

fn with_edges() -> (I8042, Edges) {
    let edges = Edges::default();
    (I8042::new(Some(Box::new(edges.clone()))), edges)
}

/// What is in the data port, if the status says that something is.
fn poll(i8042: &mut I8042) -> Option<u8> {
    (i8042.read(4) & 1 != 0).then(|| i8042.read(0))
}

/// All that comes, for a guest that polls and looks once more after it has seen nothing.
fn drain(i8042: &mut I8042) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(byte) = poll(i8042).or_else(|| poll(i8042)) {
        bytes.push(byte);
    }
    bytes
}

fn ask(i8042: &mut I8042, command: u8, parameter: Option<u8>) -> Option<u8> {
    assert_eq!(i8042.write(4, command), None);
    if let Some(value) = parameter {
        assert_eq!(i8042.write(0, value), None);
    }
    poll(i8042)
}

/// What the keyboard answers to one byte.
fn tell(i8042: &mut I8042, byte: u8) -> Vec<u8> {
    assert_eq!(i8042.write(0, byte), None);
    drain(i8042)
}

#[test]
fn the_buffer_is_empty_at_first_and_never_refuses_a_write() {
    let mut i8042 = I8042::new(None);
    assert_eq!(i8042.read(4), 0x14);
    assert_eq!(i8042.read(0), 0);
}

#[test]
fn linux_gets_every_answer_at_once_and_finds_no_aux_port() {
    // The order of drivers/input/serio/i8042.c: self-test, configuration, aux loop, aux test.
    let mut i8042 = I8042::new(None);
    assert_eq!(ask(&mut i8042, 0xaa, None), Some(0x55));
    let config = ask(&mut i8042, 0x20, None).unwrap();
    assert_eq!(ask(&mut i8042, 0x60, Some(config | 0x02)), None);
    assert_eq!(ask(&mut i8042, 0x20, None), Some(config | 0x02));
    i8042.write(4, 0xd3);
    i8042.write(0, 0x5a);
    assert_eq!(i8042.read(4) & 0x21, 0x01, "a byte, and not from aux");
    assert_eq!(i8042.read(0), 0x5a);
    assert_eq!(ask(&mut i8042, 0xa9, None), Some(0x02));
    assert_eq!(ask(&mut i8042, 0xab, None), Some(0x00));
    assert_eq!(i8042.write(4, 0xd4), None);
    assert_eq!(i8042.write(0, 0xf4), None);
    assert_eq!(i8042.read(4), 0x55);
    assert_eq!(i8042.read(0), 0xfe);
    assert_eq!(i8042.read(4), 0x14);
}

#[test]
fn the_keyboard_answers_what_linux_asks() {
    // The order of drivers/input/keyboard/atkbd.c.
    let mut i8042 = I8042::new(None);
    assert_eq!(tell(&mut i8042, 0xf2), [0xfa, 0xab, 0x41]);
    assert_eq!(tell(&mut i8042, 0xf5), [0xfa]);
    assert_eq!(tell(&mut i8042, 0xed), [0xfa]);
    assert_eq!(tell(&mut i8042, 0x02), [0xfa]);
    assert_eq!(tell(&mut i8042, 0xf3), [0xfa]);
    assert_eq!(tell(&mut i8042, 0x00), [0xfa]);
    assert_eq!(tell(&mut i8042, 0xf0), [0xfa]);
    assert_eq!(tell(&mut i8042, 0x00), [0xfa, 0x41]);
    assert_eq!(tell(&mut i8042, 0xf4), [0xfa]);
    assert_eq!(tell(&mut i8042, 0xee), [0xee]);
    assert_eq!(tell(&mut i8042, 0xff), [0xfa, 0xaa]);
    assert_eq!(tell(&mut i8042, 0xf6), [0xfa]);
    assert_eq!(tell(&mut i8042, 0xef), [0xfe]);
    // Again, please.
    assert_eq!(tell(&mut i8042, 0xff), [0xfa, 0xaa]);
    assert_eq!(tell(&mut i8042, 0xfe), [0xaa]);
    // A command in place of a parameter; a set that there is not.
    assert_eq!(tell(&mut i8042, 0xed), [0xfa]);
    assert_eq!(tell(&mut i8042, 0xee), [0xee]);
    assert_eq!(tell(&mut i8042, 0xf0), [0xfa]);
    assert_eq!(tell(&mut i8042, 0x03), [0xfe]);
}

#[test]
fn ports_are_turned_on_and_off() {
    let mut i8042 = I8042::new(None);
    let steps = [(0xad, 0x75), (0xa8, 0x55), (0xae, 0x45), (0xa7, 0x65)];
    for (command, config) in steps {
        assert_eq!(ask(&mut i8042, command, None), None);
        assert_eq!(ask(&mut i8042, 0x20, None), Some(config));
    }
    // A byte for the keyboard turns its port on.
    assert_eq!(ask(&mut i8042, 0xad, None), None);
    assert_eq!(tell(&mut i8042, 0xee), [0xee]);
    assert_eq!(ask(&mut i8042, 0x20, None), Some(0x65));
}

#[test]
fn every_way_to_pull_the_reset_line_resets() {
    let reset = Some(PowerRequest::Reset);
    for command in 0..=0xff {
        let pulls = command >= 0xf0 && command & 1 == 0;
        let asked = I8042::new(None).write(4, command);
        assert_eq!(asked, reset.filter(|_| pulls), "{command:#x}");
    }
    let mut i8042 = I8042::new(None);
    assert_eq!(ask(&mut i8042, 0xd0, None), Some(0x03));
    assert_eq!(ask(&mut i8042, 0xd1, Some(0x01)), None);
    assert_eq!(ask(&mut i8042, 0xd0, None), Some(0x01));
    i8042.write(4, 0xd1);
    assert_eq!(i8042.write(0, 0x02), reset);
}

#[test]
fn each_code_interrupts_once_and_is_read_once() {
    let (mut i8042, edges) = with_edges();
    assert_eq!(i8042.port.push(&[0x1e, 0x9e]), 2);
    assert_eq!((edges.take(), i8042.port.unread()), (1, 2));
    assert_eq!(i8042.read(4) & 1, 1);
    assert_eq!(i8042.read(0), 0x1e);
    // The next one is there at once.
    assert_eq!((edges.take(), i8042.port.unread()), (1, 1));
    assert_eq!(i8042.read(0), 0x9e);
    assert_eq!((edges.take(), i8042.port.unread()), (0, 0));
    assert_eq!(i8042.read(4) & 1, 0);
    // An empty port keeps what was read last.
    assert_eq!(i8042.read(0), 0x9e);
    assert_eq!(edges.take(), 0);
}

#[test]
fn codes_wait_while_the_port_or_the_keyboard_is_off() {
    let (mut i8042, edges) = with_edges();
    assert_eq!(ask(&mut i8042, 0xad, None), None);
    i8042.port.push(&[0x1e]);
    assert_eq!((poll(&mut i8042), edges.take()), (None, 0));
    assert_eq!(ask(&mut i8042, 0xae, None), Some(0x1e));
    assert_eq!(edges.take(), 1);
    assert_eq!(tell(&mut i8042, 0xf5), [0xfa]);
    i8042.port.push(&[0x1f]);
    assert_eq!(poll(&mut i8042), None);
    assert_eq!(tell(&mut i8042, 0xf4), [0xfa, 0x1f]);
    // A reset loses nothing, either.
    i8042.port.push(&[0x20]);
    assert_eq!(tell(&mut i8042, 0xff), [0xfa, 0xaa, 0x20]);
}

#[test]
fn turning_interrupts_on_interrupts_for_what_is_there() {
    let (mut i8042, edges) = with_edges();
    assert_eq!(ask(&mut i8042, 0x60, Some(0x64)), None);
    i8042.port.push(&[0x1e]);
    assert_eq!(edges.take(), 0);
    i8042.write(4, 0x60);
    i8042.write(0, 0x65);
    assert_eq!(edges.take(), 1);
    assert_eq!(poll(&mut i8042), Some(0x1e));
}

#[test]
fn answers_go_before_a_code_that_was_not_read_and_it_comes_again() {
    let mut i8042 = I8042::new(None);
    i8042.port.push(&[0x1e, 0x9e]);
    assert_eq!(ask(&mut i8042, 0x20, None), Some(0x65));
    assert_eq!(tell(&mut i8042, 0xed), [0xfa, 0x1e, 0x9e]);
    assert_eq!(i8042.port.unread(), 0);
}

#[test]
fn who_flushes_the_port_comes_to_an_end() {
    // The loop of Linux's i8042_flush and of SeaBIOS's: 16 bytes at most, then it is broken.
    let (mut i8042, edges) = with_edges();
    i8042.port.push(&[0x1e; 100]);
    let flushed = (0..16).take_while(|_| poll(&mut i8042).is_some()).count();
    assert_eq!(flushed, 15);
    // A guest that waits for interrupts sees nothing once, and goes on with the next one.
    edges.take();
    let mut read = 0;
    for _ in 0..200 {
        i8042.write(4, 0xad);
        read += poll(&mut i8042).iter().len();
        i8042.write(4, 0xae);
    }
    assert_eq!(read, 85);
    // One that never looks at the status gets each code once, too.
    let codes: Vec<u8> = (1..=100).collect();
    let (mut i8042, edges) = with_edges();
    i8042.port.push(&codes);
    let mut seen = Vec::new();
    while edges.take() > 0 {
        seen.push(i8042.read(0));
    }
    assert_eq!(seen, codes);
}

#[test]
fn without_translation_the_codes_are_those_of_the_set() {
    let mut i8042 = I8042::new(None);
    assert_eq!(ask(&mut i8042, 0x60, Some(0x25)), None);
    // A, arrow up, and back.
    i8042.port.push(&[0x1e, 0xe0, 0x48, 0xe0, 0xc8, 0x9e]);
    let set2 = [0x1c, 0xe0, 0x75, 0xe0, 0xf0, 0x75, 0xf0, 0x1c];
    assert_eq!(drain(&mut i8042), set2);
    assert_eq!(tell(&mut i8042, 0xf2), [0xfa, 0xab, 0x83]);
    i8042.write(0, 0xf0);
    assert_eq!(tell(&mut i8042, 0x01), [0xfa]);
    i8042.port.push(&[0x1e, 0x9e]);
    assert_eq!(drain(&mut i8042), [0x1e, 0x9e]);
}

#[test]
fn the_queue_is_bounded_and_its_state_too() {
    let i8042 = I8042::new(None);
    let codes = vec![0x1e; KEYBOARD_QUEUE_CODES - 1];
    assert_eq!(i8042.port.push(&codes), codes.len());
    assert_eq!(i8042.port.push(&[1, 2, 3]), 1);
    assert_eq!(i8042.port.push(&[1]), 0);
    assert_eq!(i8042.port.unread(), KEYBOARD_QUEUE_CODES);
    let full = i8042.save();
    let mut other = I8042::new(None);
    assert!(other.restore(&full));
    assert_eq!(other.port.unread(), KEYBOARD_QUEUE_CODES);
    let mut more = other.port.controller().state.clone();
    more.keyboard.codes.push_back(1);
    assert!(!other.restore(&State::of(&more)));
    assert_eq!(other.save(), full);
}

#[test]
fn whatever_a_guest_does_every_code_is_read_in_order_or_waits() {
    let mut noise = Noise::new(0x8042);
    let (mut i8042, _) = with_edges();
    let (mut pushed, mut next) = (0usize, 0u8);
    for step in 0..1_000_000 {
        let offset = [0, 4, noise.byte()][noise.below(3)];
        i8042.write(offset, noise.byte());
        if noise.below(8) == 0 {
            let taken = i8042.port.push(&[next]);
            next = (next + taken as u8) & 0x7f;
            pushed += taken;
        }
        if noise.below(2) == 0 {
            i8042.read(noise.byte() & 7);
        }
        assert_eq!(i8042.read(4) & 0x02, 0, "the input buffer is never full");
        assert!(i8042.port.unread() <= pushed.min(KEYBOARD_QUEUE_CODES));
        if step % 10_000 == 0 {
            assert!(i8042.restore(&i8042.save()), "{step}");
        }
    }
    // Back to how firmware leaves it: what waits comes, oldest first.
    i8042.write(4, 0x60);
    i8042.write(0, 0x65);
    i8042.write(0, 0xff);
    let waiting = i8042.port.unread();
    let codes = drain(&mut i8042);
    assert_eq!(codes.len(), waiting + 2);
    let in_order = codes[2..]
        .windows(2)
        .all(|pair| pair[1] == (pair[0] + 1) & 0x7f);
    assert!(in_order);
}
