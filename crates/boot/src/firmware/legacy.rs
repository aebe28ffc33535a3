//! What a PC's firmware leaves below 1 MiB besides ACPI tables: the BIOS data area, the extended
//! one and Intel's MP table, for kernels that look there.
//!
//! ```text
//!       0 ┌──────────────────┐ vectors of real mode
//!   0x400 ├──────────────────┤ BIOS data area: COM1, size of base memory, segment of the EBDA
//! 0x9fc00 ├──────────────────┤ EBDA, 1 KiB: its size, an MP floating pointer
//! 0xf0000 ├──────────────────┤ MP floating pointer, MP configuration table
//! 0xff000 ├──────────────────┤ what the vectors lead to, and the reset entry
//! ```

use acpi_tables::AmlSink;

use super::{COM1_PORT, IOAPIC_GPA, LOCAL_APIC_GPA, SCI_GSI, interrupts};
use crate::layout::{BIOS_DATA, EBDA, MP_TABLE};

/// What the data area and the table tell of.
#[derive(Clone, Copy, Debug)]
pub struct Legacy {
    /// How many CPUs there are, with the APIC ids from 0; at least one.
    pub cpus: u8,
    /// Whether there is COM1.
    pub serial: bool,
    /// Whether there is a text screen of 80 columns and 25 lines, in colour.
    pub text_screen: bool,
}

/// Guest physical address and bytes of each area.
pub fn areas(legacy: &Legacy) -> Vec<(u64, Vec<u8>)> {
    let mut table = mp_pointer();
    table.extend(mp_table(legacy.cpus));
    let mut areas = vec![
        (BIOS_DATA, bios_data(legacy)),
        (EBDA, ebda()),
        (MP_TABLE, table),
    ];
    areas.extend(interrupts::areas());
    areas
}

/// Bytes of the BIOS data area.
const BIOS_DATA_BYTES: usize = 0x100;

/// Offsets in it, and their values (IBM PC AT Technical Reference, "BIOS data area"; later fields
/// as SeaBIOS has them).
mod field {
    pub const COM1: usize = 0x00;
    pub const EBDA_SEGMENT: usize = 0x0e;
    pub const EQUIPMENT: usize = 0x10;
    pub const BASE_MEMORY_KIB: usize = 0x13;
    pub const KEYS_HEAD: usize = 0x1a;
    pub const KEYS_TAIL: usize = 0x1c;
    pub const VIDEO_MODE: usize = 0x49;
    pub const COLUMNS: usize = 0x4a;
    pub const PAGE_BYTES: usize = 0x4c;
    pub const CURSOR_SHAPE: usize = 0x60;
    pub const CRTC_PORT: usize = 0x63;
    pub const KEYS_START: usize = 0x80;
    pub const KEYS_END: usize = 0x82;
    pub const LAST_ROW: usize = 0x84;
    pub const CHARACTER_HEIGHT: usize = 0x85;
    pub const KEYBOARD: usize = 0x96;
}

/// The equipment word: an FPU, a colour screen of 80 columns, and the count of serial ports from
/// this bit on.
const FPU: u16 = 1 << 1;
const COLOUR_80: u16 = 2 << 4;
const SERIAL_PORTS: u16 = 1 << 9;

/// The buffer of keys, as offsets into segment 0x40.
const KEYS: [u16; 2] = [0x1e, 0x3e];

/// A keyboard of 101 keys.
const KEYS_101: u8 = 1 << 4;

/// Colour text of 80 columns and 25 lines, sixteen points high (VGA mode 3).
const TEXT_MODE: u8 = 3;
const TEXT_COLUMNS: u16 = 80;
const TEXT_ROWS: u8 = 25;
const TEXT_PAGE_BYTES: u16 = 0x1000;
const TEXT_POINTS: u8 = 16;
const TEXT_CURSOR: u16 = 0x0d0e;
const COLOUR_CRTC: u16 = 0x3d4;

fn bios_data(legacy: &Legacy) -> Vec<u8> {
    let mut data = vec![0; BIOS_DATA_BYTES];
    let mut word = |at: usize, value: u16| {
        for (to, from) in data.iter_mut().skip(at).zip(value.to_le_bytes()) {
            *to = from;
        }
    };
    let mut equipment = FPU;
    if legacy.serial {
        equipment |= SERIAL_PORTS;
        word(field::COM1, COM1_PORT);
    }
    word(field::EBDA_SEGMENT, (EBDA >> 4) as u16);
    word(field::BASE_MEMORY_KIB, (EBDA >> 10) as u16);
    let [start, end] = KEYS;
    for at in [field::KEYS_HEAD, field::KEYS_TAIL, field::KEYS_START] {
        word(at, start);
    }
    word(field::KEYS_END, end);
    word(field::KEYBOARD, KEYS_101.into());
    if legacy.text_screen {
        equipment |= COLOUR_80;
        word(field::VIDEO_MODE, TEXT_MODE.into());
        word(field::COLUMNS, TEXT_COLUMNS);
        word(field::PAGE_BYTES, TEXT_PAGE_BYTES);
        word(field::CURSOR_SHAPE, TEXT_CURSOR);
        word(field::CRTC_PORT, COLOUR_CRTC);
        word(field::LAST_ROW, (TEXT_ROWS - 1).into());
        word(field::CHARACTER_HEIGHT, TEXT_POINTS.into());
    }
    word(field::EQUIPMENT, equipment);
    data
}

/// Its first byte is its size in KiB. The pointer lies on a paragraph after it.
fn ebda() -> Vec<u8> {
    let mut bytes = vec![0; PARAGRAPH];
    if let Some(size) = bytes.first_mut() {
        *size = 1;
    }
    bytes.extend(mp_pointer());
    bytes
}

const PARAGRAPH: usize = 16;

/// The MP configuration table lies directly after the pointer at [`MP_TABLE`].
const MP_CONFIGURATION: u32 = MP_TABLE as u32 + PARAGRAPH as u32;

/// Version 1.4 of the Intel MultiProcessor Specification, whose sections are named below.
const SPEC_REVISION: u8 = 4;

/// The floating pointer structure (§4.1). Its feature bytes are zero: there is a table, and the
/// 8259s work through the first CPU's LINT0 until the kernel decides otherwise (virtual wire mode).
fn mp_pointer() -> Vec<u8> {
    let mut bytes = Vec::from(*b"_MP_");
    bytes.dword(MP_CONFIGURATION);
    bytes.vec(&[1, SPEC_REVISION, 0]);
    bytes.vec(&[0; 5]);
    seal(bytes, 10)
}

/// Bytes of the header of the configuration table (§4.2).
const HEADER_BYTES: usize = 44;
const ENTRY_COUNT: usize = 34;

/// Local APIC and IOAPIC as KVM emulates them (`APIC_VERSION`, `IOAPIC_VERSION_ID`).
const LOCAL_APIC_VERSION: u8 = 0x14;
const IOAPIC_VERSION: u8 = 0x11;

/// Flags of processors (§4.3.1) and the IOAPIC (§4.3.3).
const ENABLED: u8 = 1 << 0;
const BOOT_PROCESSOR: u8 = 1 << 1;

/// A P6, and of its features the ones that the entry is about: an FPU and a local APIC. What CPUs
/// can do they say by CPUID.
const SIGNATURE: u32 = 0x600;
const FEATURES: u32 = 1 << 9 | 1;

/// Types of interrupts (table 4-11).
const INT: u8 = 0;
const NMI: u8 = 1;
const EXT_INT: u8 = 3;

/// Polarity and trigger mode (table 4-10): as the bus has them; active high and level.
const AS_THE_BUS: u16 = 0;
const LEVEL_HIGH: u16 = 0x000d;

/// The ISA lines of a PC; 2 is how the second 8259 is connected to the first.
const ISA_LINES: u8 = 16;
const CASCADE: u8 = 2;
const ISA_BUS: u8 = 0;
const IOAPIC_ID: u8 = 0;
const ALL_LOCAL_APICS: u8 = 0xff;

fn mp_table(cpus: u8) -> Vec<u8> {
    let mut entries: Vec<Vec<u8>> = (0..cpus).map(processor).collect();
    entries.push([[1, ISA_BUS].as_slice(), b"ISA   "].concat());
    let mut ioapic = vec![2, IOAPIC_ID, IOAPIC_VERSION, ENABLED];
    ioapic.dword(IOAPIC_GPA);
    entries.push(ioapic);
    for line in (0..ISA_LINES).filter(|line| *line != CASCADE) {
        let flags = if u16::from(line) == SCI_GSI {
            LEVEL_HIGH
        } else {
            AS_THE_BUS
        };
        let input = super::ioapic_input(line);
        entries.push(interrupt(3, INT, flags, line, [IOAPIC_ID, input]));
    }
    // LINT0 of the first CPU has the 8259s, LINT1 of each the NMIs.
    entries.push(interrupt(4, EXT_INT, AS_THE_BUS, 0, [0, 0]));
    entries.push(interrupt(4, NMI, AS_THE_BUS, 0, [ALL_LOCAL_APICS, 1]));
    let count = entries.len() as u16;
    let body = entries.concat();

    let mut table = Vec::from(*b"PCMP");
    table.word((HEADER_BYTES + body.len()) as u16);
    table.vec(&[SPEC_REVISION, 0]);
    table.vec(b"VMEXIT  PC          ");
    table.dword(0); // no OEM table,
    table.word(0); // of no bytes
    debug_assert_eq!(table.len(), ENTRY_COUNT);
    table.word(count);
    table.dword(LOCAL_APIC_GPA);
    table.dword(0); // no extended table
    table.extend(body);
    seal(table, 7)
}

fn processor(id: u8) -> Vec<u8> {
    let flags = if id == 0 {
        ENABLED | BOOT_PROCESSOR
    } else {
        ENABLED
    };
    let mut entry = vec![0, id, LOCAL_APIC_VERSION, flags];
    entry.dword(SIGNATURE);
    entry.dword(FEATURES);
    entry.vec(&[0; 8]);
    entry
}

/// An entry of a line of the ISA bus, to an input of an IOAPIC (type 3) or a local APIC (type 4).
fn interrupt(entry: u8, kind: u8, flags: u16, line: u8, to: [u8; 2]) -> Vec<u8> {
    let mut bytes = vec![entry, kind];
    bytes.word(flags);
    bytes.vec(&[ISA_BUS, line]);
    bytes.vec(&to);
    bytes
}

/// Makes the sum of all bytes zero, by the one at an offset.
fn seal(mut bytes: Vec<u8>, checksum: usize) -> Vec<u8> {
    let sum = bytes
        .iter()
        .fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
    if let Some(byte) = bytes.get_mut(checksum) {
        *byte = byte.wrapping_sub(sum);
    }
    bytes
}

#[cfg(test)]
mod tests;
