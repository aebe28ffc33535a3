//! Firmware: a ROM that starts at the reset vector, and what it finds at its ports.
// The helpers are tests, too: a panic is the report.
#![allow(clippy::unwrap_used, clippy::panic)]

#[macro_use]
mod common;

use common::{CONSOLE, REAL, code, exit, exit_code, port, read, run};
use vmm::{CpuMode, ErrorCode, Exit, Format, Machine, MachineConfig, MemorySlot, Payload};
use vmm::{RouteConfig, RouteTarget};

const UNIT: usize = 64 << 10;

/// A ROM of some units, whose last begins with the instructions of a listing.
fn rom(units: usize, listing: &str) -> Vec<u8> {
    let mut image = vec![0; units * UNIT];
    let last = (units - 1) * UNIT;
    let code = code(listing);
    image[last..last + code.len()].copy_from_slice(&code);
    // ljmp $0xf000,$0
    image[units * UNIT - 16..][..5].copy_from_slice(&[0xea, 0, 0, 0, 0xf0]);
    image
}

fn config(image: Vec<u8>, routes: &[RouteConfig]) -> MachineConfig<'static> {
    MachineConfig {
        mode: None,
        payload: Payload {
            image: image.into(),
            format: Some(Format::Firmware),
            ..Payload::default()
        },
        routes: routes.to_vec(),
        ..MachineConfig::new(CpuMode::Real, Vec::new())
    }
}

/// The same with the rest of a PC.
fn pc(image: Vec<u8>, routes: &[RouteConfig]) -> MachineConfig<'static> {
    MachineConfig {
        irqchip: true,
        pc: true,
        ..config(image, routes)
    }
}

#[test]
fn it_starts_at_the_reset_vector_and_runs_below_1_mib() {
    require!(REAL);
    const GUEST: &str = "
        8c c8             ; mov %cs,%ax
        2e c6 06 00 01 2a ; movb $42,%cs:0x100
        2e 8a 1e 00 01    ; mov %cs:0x100,%bl
        f4                ; hlt
    ";
    let mut machine = Machine::new(config(rom(5, GUEST), &[])).unwrap();
    let first = machine.special_registers().unwrap().cs;
    assert_eq!((first.base, first.selector), (0xffff_0000, 0xf000));
    assert_eq!(machine.registers().unwrap().rip, 0xfff0);
    assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
    let registers = machine.registers().unwrap();
    assert_eq!((registers.rax, registers.rbx & 0xff), (0xf000, 42));
    // What it wrote is in the copy, not in the ROM.
    let [low, high] = [0xf_0100, 0xffff_0100].map(|gpa| read::<1>(&machine, gpa));
    assert_eq!((low, high), ([42], [0]));
    // Of five units the copy has the last four.
    let parts = &machine.placement().parts;
    let found: Vec<_> = parts.iter().map(|part| (part.gpa, part.bytes)).collect();
    assert_eq!(found, [(0xfffb_0000, 5 << 16), (0xc_0000, 4 << 16)]);
}

/// Selects an item, prints `%cx` bytes of it, and stops.
const ITEM: &str = "
    ba 10 05 ; mov $0x510,%dx
    b8 21 00 ; mov $0x21,%ax
    ef       ; out %ax,(%dx)
    42       ; inc %dx
    b9 03 00 ; mov $3,%cx
    ec       ; 1: in (%dx),%al
    e6 e9    ; out %al,$0xe9
    e2 fb    ; loop 1b
    e6 f4    ; out %al,$0xf4
    b1 02    ; mov $2,%cl
    eb f5    ; jmp 1b
";

#[test]
fn it_finds_its_files_and_a_snapshot_keeps_them_with_the_place() {
    require!(REAL);
    let routes = [port(0xe9, 1, CONSOLE), port(0xf4, 1, RouteTarget::Stop)];
    let mut config = pc(rom(1, ITEM), &routes);
    // After those of the machine, in the order of their names: etc/acpi/rsdp has number 0x20.
    let file = ("etc/acpi/rsdq".to_owned(), b"hello".as_slice().into());
    config.payload.files = vec![file];
    let mut machine = Machine::new(config).unwrap();
    let outcome = run(&mut machine);
    assert_eq!(outcome.output.bytes, b"hel");
    let snapshot = machine.snapshot().unwrap();
    let mut fork = Machine::from_snapshot(&snapshot, &[]).unwrap();
    for machine in [&mut machine, &mut fork] {
        assert_eq!(run(machine).output.bytes, b"lo");
    }
    fork.restore(&snapshot).unwrap();
    assert_eq!(run(&mut fork).output.bytes, b"lo");
    assert_eq!(fork.placement().format, Format::Firmware);
}

#[test]
fn a_console_at_its_port_says_that_it_is_there() {
    require!(REAL);
    const GUEST: &str = "
        ba 02 04 ; mov $0x402,%dx
        ec       ; in (%dx),%al
        ee       ; out %al,(%dx)
        e4 e9    ; in $0xe9,%al
        e6 f4    ; out %al,$0xf4
    ";
    let stop = port(0xf4, 1, RouteTarget::Stop);
    let routes = [port(0x402, 1, CONSOLE), port(0xe9, 1, CONSOLE), stop];
    let mut machine = Machine::new(config(rom(1, GUEST), &routes)).unwrap();
    let outcome = run(&mut machine);
    assert_eq!(outcome.output.bytes, [0xe9]);
    // Any other console reads as all ones.
    assert_eq!(exit_code(&outcome), 0xff);
}

#[test]
fn a_pc_has_its_address_lines_and_no_pci_bus() {
    require!(REAL);
    const GUEST: &str = "
        e4 92             ; in $0x92,%al
        e6 e9             ; out %al,$0xe9
        ba f8 0c          ; mov $0xcf8,%dx
        66 b8 00 00 00 80 ; mov $0x80000000,%eax
        66 ef             ; out %eax,(%dx)
        66 ed             ; in (%dx),%eax
        e6 f4             ; out %al,$0xf4
    ";
    let routes = [port(0xe9, 1, CONSOLE), port(0xf4, 1, RouteTarget::Stop)];
    let mut machine = Machine::new(pc(rom(1, GUEST), &routes)).unwrap();
    let outcome = run(&mut machine);
    assert_eq!(outcome.output.bytes, [0x02]);
    assert_eq!(exit_code(&outcome), 0xff);
    assert_eq!(machine.registers().unwrap().rax, 0xffff_ffff);
}

#[test]
fn what_is_no_firmware_is_refused() {
    let refused = |config: MachineConfig<'_>, code, words: &[&str]| {
        let error = config.check().unwrap_err();
        assert_eq!(error.code, code, "{error}");
        for word in words {
            assert!(error.message.contains(word), "{error}");
        }
    };
    let (invalid, payload) = (ErrorCode::InvalidOption, ErrorCode::Payload);
    refused(
        config(Vec::new(), &[]),
        payload,
        &["payload.image", "empty"],
    );
    for bytes in [1, UNIT + 1, 17 << 20] {
        let words = ["payload.image", "65536", &bytes.to_string()];
        refused(config(vec![0xf4; bytes], &[]), payload, &words);
    }
    let small = MachineConfig {
        memory_bytes: 0xf_f000,
        ..config(rom(1, "f4 ; hlt"), &[])
    };
    refused(small, invalid, &["memoryBytes", "1048576"]);
    let slot = MemorySlot {
        gpa: 0xfffe_0000,
        bytes: 0x2_0000,
        read_only: true,
    };
    let beside = |units| MachineConfig {
        slots: vec![slot],
        ..config(rom(units, "f4 ; hlt"), &[])
    };
    refused(beside(1), invalid, &["payload.image overlaps slots[0]"]);
    let mut files = config(rom(1, "f4 ; hlt"), &[]);
    files.payload.files = vec![("a".into(), b"".as_slice().into())];
    refused(files.clone(), invalid, &["payload.files", "pc: true"]);
    (files.payload.format, files.mode) = (None, Some(CpuMode::Real));
    files.memory_bytes = 4 << 20;
    refused(files, invalid, &["payload.files", "firmware"]);
}
