//! The bare loop: it runs the guest to its halt and answers nothing.

#[macro_use]
mod common;

use std::time::Duration;

use common::{LONG, machine, port};
use vmm::{ErrorCode, RouteTarget};

const LIMIT: Duration = Duration::from_secs(300);

#[test]
fn a_guest_that_writes_and_halts_is_timed() {
    require!(LONG);
    let listing = "
        b9 64 00 00 00          ; mov $100,%ecx
        e6 60                   ; 1: out %al,$0x60
        a2 00 00 00 d0 00 00 00 00 ; mov %al,0xd0000000
        ff c9                   ; dec %ecx
        75 f1                   ; jnz 1b
        f4                      ; hlt
    ";
    let mut machine = machine(LONG, listing, &[port(0x60, 1, RouteTarget::Count)]);
    let took = machine.run_bare(LIMIT).unwrap();
    assert!(took > Duration::ZERO);
    assert_eq!(machine.registers().unwrap().rcx, 0);
    assert_eq!(machine.counters().total_exits(), 0);
}

#[test]
fn another_guest_is_refused_by_name() {
    require!(LONG);
    for (listing, limit, what) in [
        ("e4 60 ; in $0x60,%al", LIMIT, "pio-in"),
        ("0f 0b ; ud2", LIMIT, "shutdown"),
        ("eb fe ; 1: jmp 1b", Duration::from_millis(5), "a time-out"),
    ] {
        let error = machine(LONG, listing, &[]).run_bare(limit).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidOption);
        assert!(error.message.ends_with(what), "{error}");
    }
}
