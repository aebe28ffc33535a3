//! The timer of a PC arrives where its tables say: at the IOAPIC's input 2.
#![allow(clippy::unwrap_used)]

#[macro_use]
mod common;

use common::{LONG, code, exit_code, port, read, run_silently};
use vmm::{Machine, MachineConfig, RouteTarget};

const GUEST: u64 = 0x8000;
const IDT: u64 = 0x6000;
const AT_INPUT_2: u64 = 0x7000;
const AT_INPUT_0: u64 = 0x7004;

/// Silences the PICs, opens inputs 2 and 0 of the IOAPIC for the vectors 0x30 and 0x31, starts the
/// PIT at 100 Hz, which a slow host keeps up with, and halts until 20 ticks came with 0x30.
const COUNT_TICKS: &str = "
    0f 01 1d b9 00 00 00          ; lidt idtr(%rip)
    b0 ff                         ; mov $0xff,%al
    e6 21                         ; out %al,$0x21
    e6 a1                         ; out %al,$0xa1
    bf 00 00 e0 fe                ; mov $0xfee00000,%edi
    c7 87 f0 00 00 00 ff 01 00 00 ; movl $0x1ff,0xf0(%rdi)
    be 00 00 c0 fe                ; mov $0xfec00000,%esi
    c7 06 15 00 00 00             ; movl $0x15,(%rsi)
    c7 46 10 00 00 00 00          ; movl $0,0x10(%rsi)
    c7 06 14 00 00 00             ; movl $0x14,(%rsi)
    c7 46 10 30 00 00 00          ; movl $0x30,0x10(%rsi)
    c7 06 11 00 00 00             ; movl $0x11,(%rsi)
    c7 46 10 00 00 00 00          ; movl $0,0x10(%rsi)
    c7 06 10 00 00 00             ; movl $0x10,(%rsi)
    c7 46 10 31 00 00 00          ; movl $0x31,0x10(%rsi)
    b0 34                         ; mov $0x34,%al
    e6 43                         ; out %al,$0x43
    b0 9b                         ; mov $0x9b,%al
    e6 40                         ; out %al,$0x40
    b0 2e                         ; mov $0x2e,%al
    e6 40                         ; out %al,$0x40
    e6 f5                         ; out %al,$0xf5
    fb                            ; sti
    f4                            ; 1: hlt
    83 3c 25 00 70 00 00 14       ; cmpl $20,0x7000
    72 f5                         ; jb 1b
    fa                            ; cli
    e6 f4                         ; out %al,$0xf4
    eb f0                         ; jmp 1b
";

/// At 0x80 and 0xa0: counts, tells the local APIC.
const HANDLERS: [(usize, &str); 2] = [
    (
        0x80,
        "
    ff 04 25 00 70 00 00          ; incl 0x7000
    c7 87 b0 00 00 00 00 00 00 00 ; movl $0,0xb0(%rdi)
    48 cf                         ; iretq
        ",
    ),
    (
        0xa0,
        "
    ff 04 25 04 70 00 00          ; incl 0x7004
    c7 87 b0 00 00 00 00 00 00 00 ; movl $0,0xb0(%rdi)
    48 cf                         ; iretq
        ",
    ),
];

/// At 0xc0: the limit and base for IDTR.
const IDTR: usize = 0xc0;

fn machine() -> Machine {
    let mut image = code(COUNT_TICKS);
    for (at, listing) in HANDLERS {
        image.resize(at, 0);
        image.extend(code(listing));
    }
    image.resize(IDTR, 0);
    image.extend(0x3ffu16.to_le_bytes());
    image.extend(IDT.to_le_bytes());
    let mut config = MachineConfig::new(LONG.0, image);
    config.payload.load_gpa = GUEST;
    config.irqchip = true;
    config.pc = true;
    config.routes = vec![
        port(0xf4, 1, RouteTarget::Stop),
        port(0xf5, 1, RouteTarget::Stop),
    ];
    let machine = Machine::new(config).unwrap();
    for (vector, (at, _)) in [0x30, 0x31].into_iter().zip(HANDLERS) {
        // An interrupt gate: offset below 64 KiB, code segment 8, present.
        let handler = GUEST + at as u64;
        let gate = handler | 8 << 16 | 0x8e << 40;
        machine
            .memory()
            .write(IDT + vector * 16, &gate.to_le_bytes())
            .unwrap();
    }
    machine
}

fn ticks(machine: &Machine) -> [u32; 2] {
    [AT_INPUT_2, AT_INPUT_0].map(|gpa| u32::from_le_bytes(read(machine, gpa)))
}

/// A slow host has more of them come before the guest looks.
fn assert_ticked(machine: &Machine) {
    let [at_input_2, at_input_0] = ticks(machine);
    assert!(at_input_2 >= 20, "{at_input_2}");
    assert_eq!(at_input_0, 0);
}

#[test]
fn a_long_mode_guest_counts_ticks_of_the_timer_at_input_2() {
    require!(LONG);
    let mut machine = machine();
    exit_code(&run_silently(&mut machine));
    exit_code(&run_silently(&mut machine));
    assert_ticked(&machine);
}

#[test]
fn a_machine_made_of_a_snapshot_has_the_timer_there_too() {
    require!(LONG);
    let mut first = machine();
    exit_code(&run_silently(&mut first));
    let snapshot = first.snapshot().unwrap();
    let mut second = Machine::from_snapshot(&snapshot, &[]).unwrap();
    for machine in [&mut first, &mut second] {
        exit_code(&run_silently(machine));
        assert_ticked(machine);
    }
}
