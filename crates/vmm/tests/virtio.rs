//! virtio over MMIO: a driver in the guest, the entropy device of a PC.

#[macro_use]
mod common;

use vmm::Machine;

use common::virtio::{BUFFERS, NEXT, Steps, WRITE, describe, offer, pc, used_entry, used_index};
use common::{PROTECTED, exit_code};

const SEEN: u64 = 0x9_0000;

fn word(machine: &Machine, gpa: u64) -> u32 {
    u32::from_le_bytes(common::read(machine, gpa))
}

#[test]
fn the_registers_say_what_is_there() {
    require!(PROTECTED);
    let mut machine = Machine::new(pc()).unwrap();
    let registers = [
        0x000, 0x004, 0x008, 0x034, 0x044, 0x070, 0x0b0, 0x0fc, 0x100,
    ];
    let mut steps = Steps::new(0);
    for (index, register) in (0..).zip(registers) {
        steps = steps.read(register, SEEN + 4 * index);
    }
    steps.stop(7).put(&mut machine);
    assert_eq!(exit_code(&common::run(&mut machine)), 7);
    let seen: Vec<_> = (0..9)
        .map(|index| word(&machine, SEEN + 4 * index))
        .collect();
    assert_eq!(seen, [0x7472_6976, 2, 4, 64, 0, 0, u32::MAX, 0, 0]);
}

#[test]
fn a_request_for_entropy_is_answered_off_the_vcpus_thread() {
    require!(PROTECTED);
    let mut machine = Machine::new(pc()).unwrap();
    describe(&machine, 0, 0, (BUFFERS, 40), WRITE | NEXT, 1);
    describe(&machine, 0, 1, (BUFFERS + 0x1000, 24), WRITE, 0);
    offer(&machine, 0, 0, 8, 0);
    let steps = Steps::new(0).start(0, &[8]).ring(0);
    steps
        .wait(common::virtio::used(0) + 2, 1)
        .read(0x60, SEEN)
        .read(0x70, SEEN + 4)
        .stop(1)
        .put(&mut machine);
    assert_eq!(exit_code(&common::run(&mut machine)), 1);
    assert_eq!(used_index(&machine, 0), 1);
    assert_eq!(used_entry(&machine, 0, 0, 8), (0, 64));
    assert_eq!(word(&machine, SEEN + 4), 0xf, "status");
    let bytes = [
        common::read_vec(&machine, BUFFERS, 48),
        common::read_vec(&machine, BUFFERS + 0x1000, 32),
    ];
    assert_eq!(
        (&bytes[0][40..], &bytes[1][24..]),
        (&[0; 8][..], &[0; 8][..])
    );
    assert!(bytes[0][..40].iter().any(|byte| *byte != 0));
    assert!(bytes[1][..24].iter().any(|byte| *byte != 0));
}
