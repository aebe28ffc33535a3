//! COM1 as a driver finds it: loopback, its FIFO, and what the host typed ahead.
#![allow(clippy::unwrap_used)] // in helpers of tests a panic is the report

#[macro_use]
mod common;

use common::{REAL, config, exit, run_silently};
use vmm::{Exit, Machine};

#[test]
fn a_drivers_loopback_test_reads_its_own_byte_whatever_was_typed_ahead() {
    require!(REAL);
    const GUEST: &str = "
        ba fa 03 ; mov $0x3fa,%dx
        b0 c7    ; mov $0xc7,%al
        ee       ; out %al,(%dx)
        ba fc 03 ; mov $0x3fc,%dx
        b0 1e    ; mov $0x1e,%al
        ee       ; out %al,(%dx)
        ba f8 03 ; mov $0x3f8,%dx
        b0 ae    ; mov $0xae,%al
        ee       ; out %al,(%dx)
        ec       ; in (%dx),%al
        f4       ; hlt
        ba fc 03 ; mov $0x3fc,%dx
        b0 0b    ; mov $0x0b,%al
        ee       ; out %al,(%dx)
        ba f8 03 ; mov $0x3f8,%dx
        bf 00 06 ; mov $0x600,%di
        b9 0a 00 ; mov $10,%cx
        f3 6c    ; rep insb
        f4       ; hlt
    ";
    let mut config = config(REAL, GUEST, &[]);
    config.serial = true;
    let mut machine = Machine::new(config).unwrap();
    assert_eq!(machine.panel().serial.as_ref().unwrap().input(b"typed"), 5);
    assert_eq!(exit(&run_silently(&mut machine)), &Exit::Hlt);
    assert_eq!(machine.registers().unwrap().rax & 0xff, 0xae);
    // More arrives while the line is cut.
    assert_eq!(machine.panel().serial.as_ref().unwrap().input(b"ahead"), 5);
    let outcome = run_silently(&mut machine);
    assert_eq!(exit(&outcome), &Exit::Hlt);
    assert_eq!(common::read(&machine, 0x600), *b"typedahead");
    assert_eq!(outcome.output.bytes, b"");
}
