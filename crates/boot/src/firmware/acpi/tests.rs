//! The tables are read back as an operating system reads them, by offsets out of ACPI 6.5.

use devices::PowerRequest;

use super::*;
use crate::firmware::{COM1_GSI, KEYBOARD_GSI, virtio};
use crate::limits::MAX_VIRTIO;

const BASE: u64 = 0xe_0000;

/// Guest memory with nothing but the tables in it.
struct Memory(Tables);

impl Memory {
    fn new(cpus: u8, base_gpa: u64) -> Self {
        Self(all_of(cpus, base_gpa))
    }

    /// The table that begins at `gpa`.
    fn at(&self, gpa: u64) -> Bytes<'_> {
        let found = self.0.tables.iter().find(|(start, _)| *start == gpa);
        Bytes(&found.unwrap_or_else(|| panic!("nothing at {gpa:#x}")).1)
    }

    /// A table with a header, its checksum and length proven.
    fn table(&self, gpa: u64, signature: &str) -> Bytes<'_> {
        let table = self.at(gpa);
        assert_eq!(table.text(0, 4), signature);
        assert_eq!(table.number(4, 4), table.0.len() as u64);
        assert_eq!(sum(table.0), 0, "{signature}");
        assert_eq!(
            (table.text(10, 6), table.text(16, 8)),
            ("VMEXIT", "VMEXITPC")
        );
        table
    }

    /// What the XSDT lists.
    fn listed(&self) -> Vec<u64> {
        let xsdt_gpa = self.at(self.0.rsdp_gpa).number(24, 8);
        let xsdt = self.table(xsdt_gpa, "XSDT");
        let entries = xsdt.0[36..].chunks(8);
        entries.map(|entry| Bytes(entry).number(0, 8)).collect()
    }

    fn fadt(&self) -> Bytes<'_> {
        self.table(self.listed()[0], "FACP")
    }

    fn madt(&self) -> Bytes<'_> {
        self.table(self.listed()[1], "APIC")
    }

    fn dsdt(&self) -> Bytes<'_> {
        self.table(self.fadt().number(140, 8), "DSDT")
    }
}

/// The tables of a machine with as many virtio devices as there may be.
fn all_of(cpus: u8, base_gpa: u64) -> Tables {
    let virtio: Vec<_> = virtio(MAX_VIRTIO).collect();
    let machine = Machine {
        cpus,
        virtio: &virtio,
        vga: false,
    };
    tables(&machine, base_gpa)
}

#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn number(self, offset: usize, bytes: usize) -> u64 {
        let digits = self.0[offset..offset + bytes].iter().rev();
        digits.fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    fn text(self, offset: usize, bytes: usize) -> &'a str {
        std::str::from_utf8(&self.0[offset..offset + bytes]).unwrap_or("no text")
    }

    /// Generic address structure: space, width, offset, access size, address.
    fn gas(self, offset: usize) -> [u64; 5] {
        [(0, 1), (1, 1), (2, 1), (3, 1), (4, 8)].map(|(at, bytes)| self.number(offset + at, bytes))
    }

    fn contains(self, bytes: &[u8]) -> bool {
        self.0.windows(bytes.len()).any(|window| window == bytes)
    }
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

#[test]
fn the_rsdp_is_the_first_table_and_both_its_checksums_hold() {
    let memory = Memory::new(1, BASE);
    assert_eq!(memory.0.rsdp_gpa, BASE);
    assert_eq!(memory.0.tables[0].0, BASE);
    let rsdp = memory.at(BASE);
    assert_eq!(rsdp.text(0, 8), "RSD PTR ");
    assert_eq!((rsdp.number(15, 1), rsdp.number(20, 4)), (2, 36));
    assert_eq!((sum(&rsdp.0[..20]), sum(rsdp.0), rsdp.0.len()), (0, 0, 36));
}

#[test]
fn tables_are_aligned_apart_and_within_their_bound() {
    for base_gpa in [0x9_fc00, BASE, 0xfe00_f000, 1 << 40] {
        for cpus in 0..=255 {
            let tables = all_of(cpus, base_gpa).tables;
            let mut free = base_gpa;
            for (gpa, bytes) in &tables {
                assert!(gpa.is_multiple_of(64) && *gpa >= free);
                free = gpa + bytes.len() as u64;
            }
            assert!(free <= base_gpa + MAX_BYTES);
            assert_eq!(tables.len(), 6);
        }
    }
}

#[test]
fn the_fadt_describes_the_fixed_hardware() {
    let memory = Memory::new(2, BASE);
    let fadt = memory.fadt();
    assert_eq!((fadt.0.len(), fadt.number(8, 1)), (276, 6));
    assert_eq!(fadt.number(46, 2), 9, "SCI_INT");
    assert_eq!(fadt.number(48, 4), 0, "SMI_CMD: in ACPI mode already");
    assert_eq!((fadt.number(56, 4), fadt.number(88, 1)), (0x600, 4));
    assert_eq!((fadt.number(64, 4), fadt.number(89, 1)), (0x604, 2));
    assert_eq!(fadt.gas(148), [1, 32, 0, 2, 0x600], "X_PM1a_EVT_BLK");
    assert_eq!(fadt.gas(172), [1, 16, 0, 2, 0x604], "X_PM1a_CNT_BLK");
    let latencies = (fadt.number(96, 2), fadt.number(98, 2));
    assert!(latencies.0 > 100 && latencies.1 > 1000, "no C2, no C3");
    assert_eq!(fadt.number(108, 1), 0x32, "CENTURY");
    assert_eq!(
        fadt.number(109, 2),
        0b111,
        "legacy devices, an 8042, no VGA"
    );
    let seen = Machine {
        cpus: 1,
        virtio: &[],
        vga: true,
    };
    let seen = Memory(tables(&seen, BASE));
    assert_eq!(seen.fadt().number(109, 2), 0b011, "a VGA adapter");
    assert_eq!(fadt.gas(116), [1, 8, 0, 1, 0xcf9], "RESET_REG");
    assert_eq!(fadt.number(128, 1), 0x06, "RESET_VALUE");
    // WBINVD, PROC_C1, SLP_BUTTON, FIX_RTC, RESET_REG_SUP; neither HW_REDUCED_ACPI nor a PM timer,
    // nor PWR_BUTTON, which says that there is no such fixed button.
    assert_eq!(fadt.number(112, 4), 0b100_0110_0101);
    assert_eq!((fadt.number(76, 4), fadt.number(91, 1)), (0, 0));
}

#[test]
fn the_facs_is_where_the_fadt_says() {
    let memory = Memory::new(1, 0xe_0040);
    let fadt = memory.fadt();
    assert_eq!((fadt.number(36, 4), fadt.number(40, 4)), (0, 0), "X_ alone");
    let facs_gpa = fadt.number(132, 8);
    let facs = memory.at(facs_gpa);
    assert_eq!((facs.text(0, 4), facs.number(4, 4)), ("FACS", 64));
    assert_eq!(facs_gpa % 64, 0);
}

/// Type and bytes of each structure in a MADT.
fn structures(madt: Bytes<'_>) -> Vec<(u8, &[u8])> {
    let mut rest = &madt.0[44..];
    let mut found = Vec::new();
    while let [kind, length, ..] = *rest {
        found.push((kind, &rest[..usize::from(length)]));
        rest = &rest[usize::from(length)..];
    }
    found
}

#[test]
fn the_madt_lists_every_cpu_once_in_order() {
    for cpus in [1, 2, 64, 255] {
        let memory = Memory::new(cpus, BASE);
        let found = structures(memory.madt());
        let local: Vec<_> = found.iter().filter(|(kind, _)| *kind == 0).collect();
        assert_eq!(local.len(), usize::from(cpus));
        for (cpu, (_, bytes)) in (0..=u8::MAX).zip(local) {
            // Processor UID, APIC id, enabled.
            assert_eq!(*bytes, [0, 8, cpu, cpu, 1, 0, 0, 0]);
        }
    }
}

#[test]
fn the_madt_describes_kvms_interrupt_controllers() {
    let memory = Memory::new(1, BASE);
    let madt = memory.madt();
    assert_eq!(madt.number(36, 4), 0xfee0_0000);
    assert_eq!(madt.number(40, 4), 1, "PCAT_COMPAT");
    let found = structures(madt);
    let others: Vec<_> = found.iter().filter(|(kind, _)| *kind != 0).collect();
    let [(1, ioapic), (2, pit), (2, sci), (4, nmi)] = others[..] else {
        panic!("{others:?}");
    };
    assert_eq!(ioapic, &[1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0]);
    // ISA line 0 is GSI 2, as the bus has it.
    assert_eq!(pit, &[2, 10, 0, 0, 2, 0, 0, 0, 0, 0]);
    // ISA line 9 is GSI 9, level-triggered, active high.
    assert_eq!(sci, &[2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0]);
    assert_eq!(nmi, &[4, 6, 0xff, 0, 0, 1]);
}

#[test]
fn the_dsdt_names_the_sleep_type_that_powers_off() {
    let memory = Memory::new(1, BASE);
    // Name (_S5_, Package (4) { 0, 0, 0, 0 }), with zeros as ZeroOp.
    let s5 = [b"\x08_S5_\x12\x06\x04".as_slice(), &[0; 4]].concat();
    assert!(memory.dsdt().contains(&s5));
    let sleep_type = s5[8];
    let mut pm1 = Pm1::new(None);
    let asked = pm1.write(5, sleep_type << 2 | 1 << 5);
    assert_eq!(asked, Some(PowerRequest::Off));
}

#[test]
fn the_dsdt_has_com1_with_its_interrupt() {
    let memory = Memory::new(1, BASE);
    let dsdt = memory.dsdt();
    // PNP0501 as a compressed EISA id; I/O ports 0x3f8 to 0x3ff, decoded by 16 bits.
    assert!(dsdt.contains(b"\x08_HID\x0c\x41\xd0\x05\x01"));
    assert!(dsdt.contains(&[0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8]));
    // An extended interrupt: consumer, edge, active high, exclusive; GSI 4; then the end tag.
    assert!(dsdt.contains(&[0x89, 6, 0, 0x03, 1, 4, 0, 0, 0, 0x79]));
}

#[test]
fn the_dsdt_has_the_keyboard_with_its_ports_and_its_interrupt() {
    let memory = Memory::new(1, BASE);
    let dsdt = memory.dsdt();
    assert!(dsdt.contains(b"KBD_\x08_HID\x0c\x41\xd0\x03\x03"));
    let ports = [
        0x47, 1, 0x60, 0, 0x60, 0, 1, 1, 0x47, 1, 0x64, 0, 0x64, 0, 1, 1,
    ];
    let interrupt = [0x89, 6, 0, 0x03, 1, 1, 0, 0, 0, 0x79];
    assert!(dsdt.contains(&[&ports[..], &interrupt].concat()));
}

#[test]
fn the_dsdt_has_every_virtio_device_with_its_registers_and_its_line() {
    let memory = Memory::new(1, BASE);
    let dsdt = memory.dsdt();
    assert!(dsdt.contains(b"VR00\x08_HID\x0dLNRO0005\0\x08_UID\x00\x08_CCA\x01"));
    assert!(dsdt.contains(b"VR11\x08_HID\x0dLNRO0005\0\x08_UID\x0a\x0b\x08_CCA\x01"));
    for place in virtio(MAX_VIRTIO) {
        // Fixed 32-bit memory, writable; an extended interrupt: consumer, edge, active high.
        let registers = [
            &[0x86, 9, 0, 1],
            &place.gpa.to_le_bytes()[..],
            &[0, 2, 0, 0],
        ]
        .concat();
        let interrupt = [0x89, 6, 0, 0x03, 1, place.line as u8, 0, 0, 0, 0x79];
        assert!(
            dsdt.contains(&[&registers[..], &interrupt].concat()),
            "{place:?}"
        );
    }
    let mut lines: Vec<_> = virtio(MAX_VIRTIO).map(|place| place.line).collect();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), MAX_VIRTIO);
    assert!(
        lines
            .iter()
            .all(|line| ![0, KEYBOARD_GSI, COM1_GSI, SCI_GSI.into()].contains(line))
    );
}
