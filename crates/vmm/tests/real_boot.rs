//! The 16-bit entry of the Linux boot protocol, and what a PC without a BIOS answers in real mode.
#![allow(clippy::unwrap_used)]

#[macro_use]
mod common;

use common::{REAL, code, exit_code, port, read, run_silently};
use vmm::{CpuMode, Machine, MachineConfig, RouteTarget};

const FACTS: u64 = 0x7000;

/// Notes segments, SP, the pointer to the command line, and what interrupts 0x12, 0x11 and 0x15
/// answer.
const SETUP: &str = "
    31 c0             ; xor %ax,%ax
    8e c0             ; mov %ax,%es
    8c c8             ; mov %cs,%ax
    26 a3 00 70       ; mov %ax,%es:0x7000
    8c d8             ; mov %ds,%ax
    26 a3 02 70       ; mov %ax,%es:0x7002
    8c d0             ; mov %ss,%ax
    26 a3 04 70       ; mov %ax,%es:0x7004
    89 e0             ; mov %sp,%ax
    26 a3 06 70       ; mov %ax,%es:0x7006
    66 a1 28 02       ; mov 0x228,%eax
    26 66 a3 08 70    ; mov %eax,%es:0x7008
    cd 12             ; int $0x12
    26 a3 0c 70       ; mov %ax,%es:0x700c
    cd 11             ; int $0x11
    26 a3 0e 70       ; mov %ax,%es:0x700e
    b8 20 e8          ; mov $0xe820,%ax
    f8                ; clc
    cd 15             ; int $0x15
    0f 92 c0          ; setc %al
    26 a3 10 70       ; mov %ax,%es:0x7010
    89 e0             ; mov %sp,%ax
    26 a3 12 70       ; mov %ax,%es:0x7012
    e6 f4             ; out %al,$0xf4
";

/// Where the header ends, and the code goes on.
const AFTER_HEADER: usize = 0x26c;

/// A boot sector, one sector of setup code, and a kernel of one paragraph, without an entry for
/// protected mode.
fn image() -> Vec<u8> {
    let mut image = vec![0; 2 * 512 + 16];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x1f1, &[1]);
    put(0x1f4, &1u32.to_le_bytes());
    put(0x1fe, &[0x55, 0xaa, 0xeb, (AFTER_HEADER - 0x202) as u8]);
    put(0x202, b"HdrS\x07\x02");
    put(0x211, &[1]);
    put(0x22c, &u32::MAX.to_le_bytes());
    put(0x238, &2047u32.to_le_bytes());
    put(AFTER_HEADER, &code(SETUP));
    image
}

fn machine(image: Vec<u8>) -> Machine {
    let mut config = MachineConfig::new(CpuMode::Real, image);
    config.mode = None;
    config.payload.command_line = b"dhcp".to_vec();
    config.irqchip = true;
    config.serial = true;
    config.pc = true;
    config.routes = vec![port(0xf4, 1, RouteTarget::Stop)];
    Machine::new(config).unwrap()
}

#[test]
fn setup_code_finds_its_segments_its_header_and_a_bios_that_refuses() {
    require!(REAL);
    let mut machine = machine(image());
    exit_code(&run_silently(&mut machine));
    let facts: [u8; 20] = read(&machine, FACTS);
    let words: Vec<u16> = facts
        .chunks(2)
        .map(|word| u16::from_le_bytes([word[0], word[1]]))
        .collect();
    assert_eq!(
        words[..4],
        [0x9020, 0x9000, 0x9000, 0xe000],
        "CS, DS, SS, SP"
    );
    assert_eq!(words[4..6], [0xe000, 9], "the command line's address");
    assert_eq!(read(&machine, 0x9_e000), *b"dhcp\0");
    assert_eq!(words[6..8], [639, 0x0202], "base memory, equipment");
    // The carry flag, and the stack as it was.
    assert_eq!(words[8..], [0x8601, 0xe000]);
}

#[test]
fn a_jump_to_the_reset_entry_resets() {
    require!(REAL);
    // ljmp $0xffff,$0
    let mut config = MachineConfig::new(CpuMode::Real, vec![0xea, 0, 0, 0xff, 0xff]);
    config.payload.load_gpa = 0x7c00;
    config.irqchip = true;
    config.pc = true;
    let mut machine = Machine::new(config).unwrap();
    let outcome = run_silently(&mut machine);
    assert_eq!(outcome.end.name(), "reset");
}
