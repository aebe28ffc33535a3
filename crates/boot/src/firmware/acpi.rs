//! ACPI tables for a machine of legacy devices (ACPI 6.5 §5.2): enough for an operating system to
//! start all CPUs, find COM1, the keyboard and virtio devices, power off and reset.
//!
//! ```text
//! RSDP ─► XSDT ─┬► FADT ─┬► DSDT   \_S5, COM1, keyboard, virtio
//!               │        └► FACS
//!               └► MADT             local APICs, IOAPIC
//! ```

use acpi_tables::facs::FACS;
use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};
use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;
use acpi_tables::xsdt::XSDT;
use acpi_tables::{Aml, AmlSink};

use super::{
    IOAPIC_GPA, LOCAL_APIC_GPA, PIT_INPUT, PIT_LINE, PM1_PORT, RESET_PORT, SCI_GSI, VirtioPlace,
};
use devices::{Pm1, ResetControl};

mod bytes;
mod dsdt;

use bytes::bytes_of;

/// Bytes from the base that the tables never exceed.
pub const MAX_BYTES: u64 = 4096;

/// The FACS lies on a multiple of 64 (§5.2.10), the RSDP of 16 (§5.2.5.1); the others do not mind.
const ALIGNMENT: u64 = 64;

const OEM_ID: [u8; 6] = *b"VMEXIT";
const OEM_TABLE_ID: [u8; 8] = *b"VMEXITPC";
const OEM_REVISION: u32 = 1;

/// Bytes of the header that all tables but RSDP and FACS begin with (§5.2.6).
const HEADER_BYTES: u32 = 36;

/// Tables and where each goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// Where the RSDP lies: the base. An operating system is told, or searches 0xe0000 to 0xfffff
    /// for it.
    pub rsdp_gpa: u64,
    /// Guest physical address and bytes of each table, in ascending order.
    pub tables: Vec<(u64, Vec<u8>)>,
}

impl Tables {
    /// The bytes of the RSDP.
    pub fn rsdp(&self) -> &[u8] {
        let found = self.tables.iter().find(|(gpa, _)| *gpa == self.rsdp_gpa);
        found.map_or(&[], |(_, bytes)| bytes)
    }
}

/// What the tables say of a machine.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// CPUs, with the APIC ids from 0.
    pub cpus: u8,
    /// Its virtio devices.
    pub virtio: &'a [VirtioPlace],
    /// Whether text in the memory of a VGA adapter is seen.
    pub vga: bool,
}

/// The tables of a machine, to lie from `base_gpa` on, a multiple of 64. The operating system must
/// find that memory reserved.
pub fn tables(machine: &Machine<'_>, base_gpa: u64) -> Tables {
    let mut layout = Layout::new(base_gpa);
    let rsdp_gpa = layout.reserve(Rsdp::len());
    let dsdt_gpa = layout.place(&table(*b"DSDT", 2, &dsdt::body(machine.virtio)));
    let facs_gpa = layout.place(&FACS::new());
    let fadt_gpa = layout.place(&fadt(machine, dsdt_gpa, facs_gpa));
    let madt_gpa = layout.place(&madt(machine.cpus));
    let mut xsdt = XSDT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    xsdt.add_entry(fadt_gpa);
    xsdt.add_entry(madt_gpa);
    let xsdt_gpa = layout.place(&xsdt);
    let rsdp = (rsdp_gpa, bytes_of(&Rsdp::new(OEM_ID, xsdt_gpa)));
    Tables {
        rsdp_gpa,
        tables: std::iter::once(rsdp).chain(layout.placed).collect(),
    }
}

/// Tables one after the other.
struct Layout {
    next: u64,
    placed: Vec<(u64, Vec<u8>)>,
}

impl Layout {
    fn new(base_gpa: u64) -> Self {
        Self {
            next: base_gpa,
            placed: Vec::new(),
        }
    }

    fn reserve(&mut self, bytes: usize) -> u64 {
        let gpa = self.next;
        self.next += (bytes as u64).next_multiple_of(ALIGNMENT);
        gpa
    }

    fn place(&mut self, table: &dyn Aml) -> u64 {
        let bytes = bytes_of(table);
        let gpa = self.reserve(bytes.len());
        self.placed.push((gpa, bytes));
        gpa
    }
}

fn table(signature: [u8; 4], revision: u8, body: &[u8]) -> Sdt {
    let mut table = Sdt::new(
        signature,
        HEADER_BYTES,
        revision,
        OEM_ID,
        OEM_TABLE_ID,
        OEM_REVISION,
    );
    table.append_slice(body);
    table
}

/// IAPC_BOOT_ARCH (§5.2.9.3).
const LEGACY_DEVICES: u16 = 1 << 0;
const PS2_CONTROLLER: u16 = 1 << 1;
const VGA_NOT_PRESENT: u16 = 1 << 2;

/// Latencies beyond these say that there is no C2 and no C3 (§5.2.9).
const NO_C2: u16 = 101;
const NO_C3: u16 = 1001;

/// The register with the century, in IBM's place.
const CMOS_CENTURY: u8 = 0x32;

/// The fixed hardware (§5.2.9): already in ACPI mode, so without SMI_CMD; a power button, and
/// no timer or general-purpose events.
fn fadt(machine: &Machine<'_>, dsdt_gpa: u64, facs_gpa: u64) -> impl Aml {
    let control_port = PM1_PORT + u16::from(Pm1::EVENT_BYTES);
    let flags = [
        Flags::Wbinvd,
        Flags::ProcC1,
        // No such fixed button; the power button is one.
        Flags::SlpButton,
        Flags::FixRtc,
        Flags::ResetRegSup,
    ];
    let mut fadt = FADTBuilder::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION)
        .dsdt_64(dsdt_gpa)
        .firmware_ctrl_64(facs_gpa);
    for flag in flags {
        fadt = fadt.flag(flag);
    }
    fadt.sci_int = SCI_GSI.into();
    fadt.pm1_evt_len = Pm1::EVENT_BYTES;
    fadt.pm1_cnt_len = Pm1::CONTROL_BYTES;
    fadt.pm1a_evt_blk = u32::from(PM1_PORT).into();
    fadt.pm1a_cnt_blk = u32::from(control_port).into();
    fadt.x_pm1a_evt_blk = ports(PM1_PORT, 8 * Pm1::EVENT_BYTES, AccessSize::WordAccess);
    fadt.x_pm1a_cnt_blk = ports(control_port, 8 * Pm1::CONTROL_BYTES, AccessSize::WordAccess);
    fadt.p_lvl2_lat = NO_C2.into();
    fadt.p_lvl3_lat = NO_C3.into();
    fadt.century = CMOS_CENTURY;
    let no_vga = if machine.vga { 0 } else { VGA_NOT_PRESENT };
    fadt.iapc_boot_arch = (LEGACY_DEVICES | PS2_CONTROLLER | no_vga).into();
    fadt.reset_reg = ports(RESET_PORT, 8, AccessSize::ByteAccess);
    fadt.reset_value = ResetControl::HARD_RESET;
    fadt.finalize()
}

fn ports(first: u16, bits: u8, access: AccessSize) -> GAS {
    GAS::new(AddressSpace::SystemIo, bits, 0, access, first.into())
}

/// MADT flags: there is a pair of 8259s.
const PCAT_COMPAT: u32 = 1 << 0;

/// Local APIC flags: the CPU is there.
const ENABLED: u32 = 1 << 0;

/// MPS INTI flags (table 5.26): level-triggered, active high.
const LEVEL_HIGH: u16 = 0x000d;
const ISA_BUS: u8 = 0;

/// As the bus has it.
const AS_THE_BUS: u16 = 0;

/// Interrupt controllers (§5.2.12). ISA lines go to the IOAPIC inputs of their number, but for the
/// PIT's, and the SCI is a level. acpi_tables has a MADT, but neither PCAT_COMPAT nor overrides in
/// it.
fn madt(cpus: u8) -> Sdt {
    let mut body = Vec::new();
    body.dword(LOCAL_APIC_GPA);
    body.dword(PCAT_COMPAT);
    for cpu in 0..cpus {
        // Type 0, processor local APIC.
        body.vec(&[0, 8, cpu, cpu]);
        body.dword(ENABLED);
    }
    // Type 1, IOAPIC of id 0.
    body.vec(&[1, 12, 0, 0]);
    body.dword(IOAPIC_GPA);
    body.dword(0);
    // Type 2, interrupt source overrides.
    body.vec(&[2, 10, ISA_BUS, PIT_LINE]);
    body.dword(PIT_INPUT.into());
    body.word(AS_THE_BUS);
    body.vec(&[2, 10, ISA_BUS, SCI_GSI as u8]);
    body.dword(SCI_GSI.into());
    body.word(LEVEL_HIGH);
    // Type 4, local APIC NMI: LINT1 of every processor, as the bus has it.
    body.vec(&[4, 6, 0xff, 0, 0, 1]);
    table(*b"APIC", 5, &body)
}

#[cfg(test)]
mod tests;
