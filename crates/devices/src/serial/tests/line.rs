//! The line between host and receiver: what waits on it, what has come, and loopback, which cuts
//! it.

use super::*;

const MSR: u8 = 6;

#[test]
fn loopback_returns_what_is_sent_and_keeps_the_hosts_input_back() {
    let (mut serial, edges) = serial();
    serial.write(FCR, 0x01);
    serial.write(IER, 0x01);
    serial.write(MCR, LOOPBACK);
    serial.input(b"host");
    assert_eq!(edges.take(), 0);
    serial.write(DATA, b'x');
    assert_eq!(edges.take(), 1);
    assert_eq!(drain(&mut serial), b"x");
    assert_eq!(serial.pending_output(), b"");
    serial.write(MCR, 0);
    assert_eq!(edges.take(), 1);
    assert_eq!(drain(&mut serial), b"host");
}

/// A driver's self-test: FIFOs on and cleared, loopback, a byte to itself.
fn self_test(serial: &mut Serial<Edges>) -> u8 {
    serial.write(FCR, 0xc7);
    serial.write(MCR, 0x1e);
    serial.write(DATA, 0xae);
    serial.read(DATA)
}

#[test]
fn loopback_reads_the_drivers_own_byte_before_what_was_typed_ahead() {
    let (mut serial, edges) = serial();
    serial.input(b"typed ahead");
    assert_eq!(self_test(&mut serial), 0xae);
    assert_eq!(serial.read(LSR) & DATA_READY, 0);
    assert_eq!(serial.read(DATA), 0);
    serial.write(MCR, 0x0b);
    assert_eq!(drain(&mut serial), b"typed ahead");
    assert_eq!(edges.take(), 0);
}

#[test]
fn loopback_gives_back_what_the_fifo_had_and_is_quiet_about_it() {
    for fifos in [0, 1] {
        for latch in [0x03, 0x83] {
            let (mut serial, edges) = serial();
            serial.write(FCR, fifos);
            serial.write(IER, 0x01);
            serial.input(b"typed");
            assert_eq!(edges.take(), 1);
            serial.write(LCR, latch);
            serial.write(MCR, LOOPBACK);
            serial.write(LCR, 0x03);
            serial.input(b" ahead");
            serial.write(IER, 0x00);
            serial.write(IER, 0x01);
            assert_eq!((edges.take(), serial.read(IIR)), (0, 0xc1));
            serial.write(DATA, 0xae);
            assert_eq!((edges.take(), serial.read(IIR)), (1, 0xc4));
            assert_eq!(serial.read(DATA), 0xae);
            assert_eq!((edges.take(), serial.read(IIR)), (0, 0xc1));
            serial.write(MCR, 0);
            assert_eq!((edges.take(), serial.read(IIR)), (1, 0xc4));
            assert_eq!(drain(&mut serial), b"typed ahead");
        }
    }
}

#[test]
fn a_byte_of_its_own_that_a_driver_has_not_read_comes_first_afterwards() {
    let (mut serial, _) = serial();
    serial.write(FCR, 0x01);
    serial.write(IER, 0x01);
    serial.input(b"host");
    serial.write(MCR, LOOPBACK);
    serial.write(DATA, b'1');
    serial.write(MCR, 0);
    serial.write(MCR, LOOPBACK);
    serial.write(DATA, b'2');
    serial.write(MCR, 0);
    assert_eq!(drain(&mut serial), b"12host");
}

#[test]
fn the_clear_bit_of_fifo_control_empties_the_fifo_and_nothing_behind_it() {
    let (mut serial, edges) = serial();
    serial.write(FCR, 0x01);
    serial.input(&bytes(100));
    assert_eq!(serial.read(LSR) & DATA_READY, DATA_READY);
    serial.write(FCR, 0x03);
    assert_eq!(drain(&mut serial), bytes(100)[64..]);
    serial.write(IER, 0x01);
    serial.input(b"abc");
    assert_eq!((edges.take(), serial.read(IIR)), (1, 0xc4));
    serial.write(FCR, 0x07);
    assert_eq!((serial.read(LSR) & DATA_READY, serial.read(IIR)), (0, 0xc1));
    serial.input(b"d");
    assert_eq!(edges.take(), 1);
    assert_eq!(drain(&mut serial), b"d");
    // In loopback, too.
    serial.write(MCR, LOOPBACK);
    serial.write(DATA, b'x');
    serial.write(FCR, 0x03);
    assert_eq!(serial.read(LSR) & DATA_READY, 0);
}

#[test]
fn fifos_that_are_turned_on_or_off_are_empty() {
    let (mut serial, _) = serial();
    for (control, left) in [(0x00, &b"a"[..]), (0x01, b"")] {
        serial.write(FCR, control);
        serial.input(b"a");
        assert_eq!(serial.read(LSR) & DATA_READY, DATA_READY);
        // The clear bit counts only while FIFOs are on.
        serial.write(FCR, control | 0x02);
        assert_eq!(drain(&mut serial), left);
        serial.input(b"b");
        assert_eq!(serial.read(LSR) & DATA_READY, DATA_READY);
        serial.write(FCR, control ^ 0x01);
        assert_eq!(serial.read(LSR) & DATA_READY, 0);
    }
}

#[test]
fn sending_in_loopback_raises_the_transmitters_interrupt() {
    let (mut serial, edges) = serial();
    serial.write(IER, 0x02);
    assert_eq!(edges.take(), 1);
    serial.write(MCR, LOOPBACK);
    for byte in b"abc" {
        serial.write(DATA, *byte);
        assert_eq!((edges.take(), serial.read(IIR)), (1, 0xc2));
    }
}

#[test]
fn a_byte_too_many_in_loopback_is_an_overrun() {
    let (mut serial, _) = serial();
    serial.write(MCR, LOOPBACK);
    serial.write(DATA, 1);
    assert_eq!(serial.read(LSR), 0x61);
    serial.write(DATA, 2);
    assert_eq!((serial.read(LSR), serial.read(LSR)), (0x63, 0x61));
    assert_eq!(drain(&mut serial), [2]);
    serial.write(FCR, 0x01);
    for byte in 0..70 {
        serial.write(DATA, byte);
    }
    assert_eq!((serial.read(LSR), serial.read(LSR)), (0x63, 0x61));
    assert_eq!(drain(&mut serial), (0..64).collect::<Vec<u8>>());
}

#[test]
fn in_loopback_modem_status_is_modem_control() {
    let (mut serial, _) = serial();
    assert_eq!(serial.read(MSR), 0xb0);
    for (control, status) in [
        (0x10, 0),
        (0x11, 0x20),
        (0x12, 0x10),
        (0x14, 0x40),
        (0x18, 0x80),
    ] {
        serial.write(MCR, control);
        assert_eq!(serial.read(MSR), status);
    }
    serial.write(MCR, 0x0b);
    assert_eq!(serial.read(MSR), 0xb0);
}

#[test]
fn what_is_sent_in_loopback_leaves_the_transmitter_empty_too() {
    let (mut serial, _) = serial();
    serial.write(IER, 0x02);
    serial.write(MCR, LOOPBACK);
    serial.write(DATA, b'x');
    assert_eq!((serial.read(IIR), serial.read(IIR)), (0xc2, 0xc1));
}
