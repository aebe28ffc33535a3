use std::cell::Cell;
use std::rc::Rc;

use super::*;
use crate::noise::Noise;

mod line;

/// Counts edges.
#[derive(Clone, Debug, Default)]
struct Edges(Rc<Cell<usize>>);

impl Trigger for Edges {
    fn trigger(&self) {
        self.0.set(self.0.get() + 1);
    }
}

impl Edges {
    fn take(&self) -> usize {
        self.0.take()
    }
}

const IER: u8 = 1;
const IIR: u8 = 2;
const FCR: u8 = 2;
const LCR: u8 = 3;
const MCR: u8 = 4;
const LSR: u8 = 5;
const LOOPBACK: u8 = 0x10;
const DATA_READY: u8 = 0x01;

fn serial() -> (Serial<Edges>, Edges) {
    let edges = Edges::default();
    (Serial::new(edges.clone()), edges)
}

/// Reads until the line status says that nothing is there, at most twice what can be.
fn drain(serial: &mut Serial<Edges>) -> Vec<u8> {
    let next = || {
        let ready = serial.read(LSR) & DATA_READY != 0;
        ready.then(|| serial.read(DATA))
    };
    std::iter::from_fn(next)
        .take(2 * SERIAL_INPUT_BYTES)
        .collect()
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index % 251) as u8).collect()
}

#[test]
fn masking_lets_the_interrupt_fall_and_enabling_raises_it_again() {
    let (mut serial, edges) = serial();
    serial.write(IER, 1);
    serial.input(b"x");
    assert_eq!(edges.take(), 1);
    // Still up: no edge.
    serial.write(IER, 3);
    serial.write(IER, 1);
    edges.take();
    // Neither data nor identification is read in between.
    serial.write(IER, 0);
    assert_eq!(edges.take(), 0);
    serial.write(IER, 1);
    assert_eq!(edges.take(), 1);
    assert_eq!(drain(&mut serial), b"x");
    serial.write(IER, 0);
    for _ in 0..2 {
        serial.write(IER, 2);
        assert_eq!(edges.take(), 1);
        serial.write(IER, 0);
    }
    serial.write(IER, 2);
    assert_eq!(serial.read(IIR) & 0x0f, IIR_TRANSMITTER_EMPTY);
}

#[test]
fn what_the_guest_sends_waits_until_it_is_cleared() {
    let (mut serial, _) = serial();
    for byte in b"hello" {
        serial.write(DATA, *byte);
    }
    assert_eq!(serial.pending_output(), b"hello");
    serial.clear_output();
    assert_eq!(serial.pending_output(), b"");
    assert_eq!(serial.read(LSR) & 0x60, 0x60, "the transmitter is empty");
}

#[test]
fn the_divisor_is_neither_output_nor_interrupt_enable() {
    let (mut serial, edges) = serial();
    serial.write(LCR, 0x83);
    serial.write(DATA, 0x01);
    serial.write(IER, 0x03);
    assert_eq!((serial.read(DATA), serial.read(IER)), (0x01, 0x03));
    serial.write(LCR, 0x03);
    assert_eq!(serial.pending_output(), b"");
    assert_eq!(serial.read(IER), 0);
    serial.input(b"x");
    assert_eq!(serial.read(IIR), 0xc1);
    assert_eq!(edges.take(), 0);
}

#[test]
fn input_is_bounded_and_arrives_whole() {
    let (mut serial, _) = serial();
    serial.write(FCR, 0x01);
    let sent = bytes(2 * SERIAL_INPUT_BYTES);
    assert_eq!(serial.input_space(), SERIAL_INPUT_BYTES);
    let taken = serial.input(&sent);
    assert_eq!((taken, serial.input_space()), (SERIAL_INPUT_BYTES, 0));
    // The guest looks, and the first of them stand in the FIFO.
    serial.read(LSR);
    assert_eq!(serial.input_space(), 64);
    let more = serial.input(&sent[taken..]);
    assert_eq!((more, serial.input_space()), (64, 0));
    assert_eq!(serial.input(b"x"), 0);
    assert_eq!(drain(&mut serial), sent[..taken + more]);
}

#[test]
fn rep_insb_of_too_many_bytes_ends_in_zeros_and_loses_nothing() {
    let (mut serial, _) = serial();
    serial.write(FCR, 0x01);
    serial.input(&[7; 100]);
    let read: Vec<u8> = (0..110).map(|_| serial.read(DATA)).collect();
    assert_eq!(read, [vec![7; 100], vec![0; 10]].concat());
    serial.input(b"next");
    assert_eq!(drain(&mut serial), b"next");
}

#[test]
fn without_fifos_every_byte_has_its_edge() {
    let (mut serial, edges) = serial();
    serial.write(IER, 0x01);
    serial.input(b"abc");
    for byte in b"abc" {
        assert_eq!(edges.take(), 1);
        assert_eq!(serial.read(DATA), *byte);
    }
    assert_eq!(edges.take(), 0);
}

#[test]
fn with_fifos_an_edge_stands_for_64_bytes() {
    let (mut serial, edges) = serial();
    serial.write(FCR, 0x01);
    serial.write(IER, 0x01);
    serial.input(&bytes(640));
    assert_eq!(drain(&mut serial), bytes(640));
    assert_eq!(edges.take(), 10);
}

#[test]
fn what_the_guest_has_not_looked_for_is_on_the_line_and_not_cleared() {
    let (mut serial, _) = serial();
    serial.write(FCR, 0x01);
    serial.input(&bytes(100));
    for value in [0x07, 0x00, 0x07] {
        serial.write(FCR, value);
    }
    assert_eq!(drain(&mut serial), bytes(100));
}

#[test]
fn received_data_is_pending_until_it_is_read() {
    let (mut serial, _) = serial();
    serial.write(FCR, 0x01);
    serial.write(IER, 0x01);
    serial.input(b"ab");
    for expected in [b'a', b'b'] {
        assert_eq!((serial.read(IIR), serial.read(IIR)), (0xc4, 0xc4));
        assert_eq!(serial.read(DATA), expected);
    }
    assert_eq!(serial.read(IIR), 0xc1);
}

#[test]
fn an_empty_transmitter_waits_behind_received_data_and_is_told_once() {
    let (mut serial, edges) = serial();
    serial.write(FCR, 0x01);
    serial.input(b"a");
    serial.write(IER, 0x03);
    assert!(edges.take() > 0);
    assert_eq!(serial.read(IIR), 0xc4);
    assert_eq!(serial.read(DATA), b'a');
    assert_eq!((serial.read(IIR), serial.read(IIR)), (0xc2, 0xc1));
    serial.write(DATA, b'x');
    assert_eq!(edges.take(), 1);
    assert_eq!((serial.read(IIR), serial.read(IIR)), (0xc2, 0xc1));
    // Linux asks by turning the interrupt off and on.
    serial.write(IER, 0x01);
    assert_eq!((edges.take(), serial.read(IIR)), (0, 0xc1));
    serial.write(IER, 0x03);
    assert_eq!((edges.take(), serial.read(IIR)), (1, 0xc2));
}

#[test]
fn a_driver_that_identifies_nothing_is_told_of_every_byte_sent() {
    let (mut serial, edges) = serial();
    serial.write(IER, 0x02);
    for byte in b"abc" {
        assert_eq!(edges.take(), 1);
        serial.write(DATA, *byte);
    }
    assert_eq!((edges.take(), serial.pending_output()), (1, &b"abc"[..]));
}

#[test]
fn enabling_the_interrupt_with_data_there_raises_it() {
    let (mut serial, edges) = serial();
    serial.input(b"a");
    assert_eq!((edges.take(), serial.read(IIR)), (0, 0xc1));
    serial.write(IER, 0x01);
    assert_eq!((edges.take(), serial.read(IIR)), (1, 0xc4));
}

/// A driver in the manner of Linux's `serial8250_interrupt`: it stays until nothing is pending, and
/// reads and writes a few bytes each time round.
fn handle_interrupt(
    serial: &mut Serial<Edges>,
    noise: &mut Noise,
    got: &mut Vec<u8>,
    to_send: &mut VecDeque<u8>,
) {
    // Linux's PASS_LIMIT, after which it says "too much work for irq4".
    for _ in 0..512 {
        if serial.read(IIR) & 0x01 != 0 {
            return;
        }
        for _ in 0..1 + noise.below(100) {
            if serial.read(LSR) & DATA_READY == 0 {
                break;
            }
            got.push(serial.read(DATA));
        }
        for byte in to_send.drain(..to_send.len().min(1 + noise.below(16))) {
            serial.write(DATA, byte);
        }
        if to_send.is_empty() && serial.read(IER) != 0x01 {
            serial.write(IER, 0x01);
        }
    }
    panic!("too much work");
}

/// The guest works by edges; the host sends and takes at random moments, and the guest masks,
/// polls, sends and turns the FIFOs on and off at others. The end of both streams comes by edges
/// alone: one that is missing shows.
#[test]
fn no_byte_is_lost_doubled_or_left_behind() {
    for seed in 1..=200 {
        let mut noise = Noise::new(seed * 0x9e37_79b9);
        let (mut serial, edges) = serial();
        let sent = bytes(5_000);
        let reply = bytes(2_000);
        let (mut next, mut got, mut output) = (0, Vec::new(), Vec::new());
        let mut to_send = VecDeque::new();
        let mut asked = 0;
        // Clearing and turning the FIFOs on or off may lose what is in them, and nothing else here
        // does.
        let fifos = noise.below(2) as u8;
        serial.write(FCR, fifos);
        serial.write(IER, 0x01);
        let mut calm = 0;
        while calm < 50 && got.len() <= sent.len() {
            calm += 1;
            let busy = next < sent.len() || asked < reply.len();
            match noise.below(7) {
                0 if next < sent.len() => {
                    let end = sent.len().min(next + noise.below(300));
                    next += serial.input(&sent[next..end]);
                    calm = 0;
                }
                1 if asked < reply.len() => {
                    let end = reply.len().min(asked + noise.below(100));
                    to_send.extend(&reply[asked..end]);
                    asked = end;
                    serial.write(IER, 0x03);
                    calm = 0;
                }
                // printk: interrupts masked around polled output, and a byte read on the way.
                2 if busy => {
                    let enabled = serial.read(IER);
                    serial.write(IER, 0);
                    if serial.read(LSR) & DATA_READY != 0 {
                        got.push(serial.read(DATA));
                    }
                    serial.write(IER, enabled);
                }
                3 if busy => serial.write(FCR, noise.byte() & 0xf8 | fifos),
                4 => {
                    output.extend_from_slice(serial.pending_output());
                    serial.clear_output();
                }
                5 if busy => serial.write(MCR, [0, LOOPBACK][noise.below(2)] | 8),
                _ if serial.read(MCR) & LOOPBACK != 0 => serial.write(MCR, 8),
                _ => {}
            }
            if serial.read(MCR) & LOOPBACK == 0 && edges.take() > 0 {
                handle_interrupt(&mut serial, &mut noise, &mut got, &mut to_send);
                calm = 0;
            }
        }
        output.extend_from_slice(serial.pending_output());
        assert_eq!((seed, got.len(), output.len()), (seed, 5_000, 2_000));
        assert!(got == sent && output == reply, "seed {seed}");
    }
}

#[test]
fn a_hostile_guest_breaks_and_grows_nothing() {
    let mut noise = Noise::new(0x0001_6550);
    let (mut serial, _) = serial();
    for _ in 0..300_000 {
        let offset = [noise.below(8) as u8, noise.byte()][noise.below(2)];
        match noise.below(3) {
            0 => serial.write(offset, noise.byte()),
            1 => _ = serial.read(offset),
            _ => _ = serial.input(&[0x55; 200][..noise.below(200)]),
        }
        assert!(serial.input_space() <= SERIAL_INPUT_BYTES);
        assert!(offset < 8 || serial.read(offset) == 0);
        if serial.pending_output().len() > 1_000 {
            serial.clear_output();
        }
        assert!(serial.pending_output().len() <= 1_000);
    }
}

/// One access or input that depends on nothing but the noise, and what came of it.
fn step(serial: &mut Serial<Edges>, edges: &Edges, noise: &mut Noise) -> (usize, usize) {
    let (offset, byte) = (noise.below(8) as u8, noise.byte());
    let value = match noise.below(3) {
        0 => {
            serial.write(offset, byte);
            0
        }
        1 => usize::from(serial.read(offset)),
        _ => serial.input(&vec![byte; noise.below(100)]),
    };
    (value, edges.take())
}

#[test]
fn a_restored_port_goes_on_as_the_one_that_was_saved() {
    let mut noise = Noise::new(0x16550);
    let ((mut one, edges), (mut two, others)) = (serial(), serial());
    for round in 0..2_000 {
        for _ in 0..noise.below(30) {
            step(&mut one, &edges, &mut noise);
        }
        one.clear_output();
        let state = one.save();
        two.clear_output();
        assert!(two.restore(state.clone()), "{state:?}");
        assert_eq!(others.take(), 0, "the line stays as it is");
        assert_eq!(two.save(), state);
        let (mut ones, mut twos) = (Noise::new(round + 1), Noise::new(round + 1));
        for _ in 0..30 {
            let expected = step(&mut one, &edges, &mut ones);
            assert_eq!(step(&mut two, &others, &mut twos), expected);
        }
        assert_eq!(two.pending_output(), one.pending_output());
        assert_eq!(two.save(), one.save());
    }
}

#[test]
fn what_no_port_saves_changes_nothing() {
    let (mut serial, _) = serial();
    serial.write(FCR, 0x01);
    serial.input(b"abc");
    serial.read(LSR);
    let good = serial.save();
    let mut bad = vec![good.clone(); 4];
    bad[0].uart.in_buffer = vec![0; FIFO_BYTES + 1];
    bad[1].fifos = false;
    bad[2].own = 4;
    bad[3].queue = vec![0; SERIAL_INPUT_BYTES + FIFO_BYTES + 1];
    for state in bad {
        assert!(!serial.restore(state));
        assert_eq!(serial.save(), good);
    }
    assert_eq!(drain(&mut serial), b"abc");
}
