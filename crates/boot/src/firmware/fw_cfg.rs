//! What firmware finds by name in its configuration device: the memory map, the ACPI tables with a
//! script that says how to put them into memory, and what the caller has for it (QEMU,
//! `docs/specs/fw_cfg.rst`; `hw/acpi/bios-linker-loader.c` and SeaBIOS' `romfile_loader.h` describe
//! the script).

use std::borrow::Cow;
use std::ops::Range;

use devices::{MAX_DIRECTORY_FILES, MAX_FILE_BYTES, MAX_FILE_NAME_BYTES};

use super::acpi::Tables;
use crate::error::{Error, ErrorKind, Result};
use crate::slot::MemorySlot;

/// A name and the bytes that go by it.
pub type File<'a> = (String, Cow<'a, [u8]>);

const MAP: &str = "etc/e820";
const SCRIPT: &str = "etc/table-loader";
const ROOT: &str = "etc/acpi/rsdp";
const TABLES: &str = "etc/acpi/tables";

/// Files of ours.
const OWN: [&str; 4] = [MAP, SCRIPT, ROOT, TABLES];

/// Files that a caller may add.
pub const MAX_FILES: usize = MAX_DIRECTORY_FILES - OWN.len();

/// Refuses files that the device has no place for.
///
/// # Errors
/// `Limit` for too many, too long a name or too many bytes; `InvalidOption` for a name that is none
/// or comes twice.
pub fn check(files: &[File<'_>]) -> Result<()> {
    let refused = |kind, what: String| Err(Error::new(kind, format!("payload.files{what}")));
    if files.len() > MAX_FILES {
        let what = format!(": at most {MAX_FILES}, got {}", files.len());
        return refused(ErrorKind::Limit, what);
    }
    for (index, (name, _)) in files.iter().enumerate() {
        let what = match name.len() {
            0 => "an empty one",
            bytes if bytes > MAX_FILE_NAME_BYTES => {
                let what = format!(
                    "[{name:?}]: a name has at most {MAX_FILE_NAME_BYTES} bytes, got {bytes}"
                );
                return refused(ErrorKind::Limit, what);
            }
            _ if name.contains('\0') => "one with a zero byte",
            _ if OWN.contains(&name.as_str()) => "one that the machine makes itself",
            _ if files.iter().take(index).any(|(other, _)| other == name) => "one that comes twice",
            _ => continue,
        };
        return refused(
            ErrorKind::InvalidOption,
            format!("[{name:?}]: the name is {what}"),
        );
    }
    let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    if bytes > MAX_FILE_BYTES {
        let what = format!(": at most {MAX_FILE_BYTES} bytes in all, got {bytes}");
        return refused(ErrorKind::Limit, what);
    }
    Ok(())
}

/// All files of a machine: its memory map, its tables, which were made for address 0, and the
/// caller's.
pub fn files<'a>(
    slots: &[MemorySlot],
    reserved: &[Range<u64>],
    tables: &Tables,
    callers: &[File<'a>],
) -> Vec<File<'a>> {
    let mut files = callers.to_vec();
    let mut add = |name: &str, bytes: Vec<u8>| files.push((name.into(), Cow::Owned(bytes)));
    add(MAP, memory_map(slots, reserved));
    let Relocatable {
        root,
        tables,
        script,
    } = Relocatable::of(tables);
    add(ROOT, root);
    add(TABLES, tables);
    add(SCRIPT, script);
    files
}

/// AddressRangeMemory and AddressRangeReserved (ACPI 6.5 §15, table 15.1).
const RAM: u32 = 1;
const RESERVED: u32 = 2;

/// Memory as the slots are; what of it lies below 1 MiB the firmware knows better.
fn memory_map(slots: &[MemorySlot], reserved: &[Range<u64>]) -> Vec<u8> {
    let memory = slots.iter().map(|slot| {
        let of = |range: &Range<u64>| range.start <= slot.gpa && slot.end() <= range.end;
        let ram = !slot.read_only && !reserved.iter().any(of);
        (slot.gpa..slot.end(), if ram { RAM } else { RESERVED })
    });
    let reserved = reserved.iter().map(|range| (range.clone(), RESERVED));
    let mut map = Vec::new();
    for (range, usage) in memory.chain(reserved) {
        map.extend(range.start.to_le_bytes());
        map.extend((range.end - range.start).to_le_bytes());
        map.extend(usage.to_le_bytes());
    }
    map
}

/// Tables without a place, and what makes them tables of a place.
#[derive(Default)]
struct Relocatable {
    root: Vec<u8>,
    tables: Vec<u8>,
    script: Vec<u8>,
}

/// Commands of the script.
const ALLOCATE: u32 = 1;
const ADD_POINTER: u32 = 2;
const ADD_CHECKSUM: u32 = 3;

/// Where an allocation lies: anywhere below 4 GiB, or below 1 MiB, where the root is looked for.
const ANYWHERE: u8 = 1;
const LOW: u8 = 2;

/// Bytes of a command, and of a name in it.
const COMMAND_BYTES: usize = 128;
const NAME_BYTES: usize = 56;

/// As for [`acpi::Tables`](super::acpi::Tables).
const ALIGNMENT: u32 = 64;

/// Where tables have what (ACPI 6.5 §5.2.5.3, §5.2.6, §5.2.8, §5.2.9).
const ROOT_CHECKSUM: usize = 8;
const ROOT_FIRST_BYTES: usize = 20;
const ROOT_XSDT: usize = 24;
const ROOT_WHOLE_CHECKSUM: usize = 32;
const TABLE_CHECKSUM: usize = 9;
const XSDT_ENTRIES: usize = 36;
const FADT_DSDT: usize = 40;
const FADT_X_FACS: usize = 132;
const FADT_X_DSDT: usize = 140;

impl Relocatable {
    fn of(tables: &Tables) -> Self {
        let mut this = Self::default();
        for (gpa, bytes) in &tables.tables {
            if *gpa == tables.rsdp_gpa {
                this.root.clone_from(bytes);
                continue;
            }
            // An address is an offset from here on.
            this.tables.resize(*gpa as usize, 0);
            this.tables.extend(bytes);
        }
        this.allocate(ROOT, 16, LOW);
        this.allocate(TABLES, ALIGNMENT, ANYWHERE);
        for (gpa, bytes) in &tables.tables {
            if *gpa != tables.rsdp_gpa {
                this.relocate(*gpa as usize, bytes);
            }
        }
        let root = this.root.len();
        this.point(ROOT, ROOT_XSDT, 8);
        this.sum(ROOT, ROOT_CHECKSUM, 0..ROOT_FIRST_BYTES);
        this.sum(ROOT, ROOT_WHOLE_CHECKSUM, 0..root);
        this
    }

    /// The pointers and the checksum of one table.
    fn relocate(&mut self, at: usize, bytes: &[u8]) {
        match bytes.first_chunk() {
            // It has no checksum.
            Some(b"FACS") => return,
            Some(b"XSDT") => {
                let entries = (XSDT_ENTRIES..bytes.len()).step_by(8);
                entries.for_each(|entry| self.point(TABLES, at + entry, 8));
            }
            Some(b"FACP") => {
                // SeaBIOS knows only the older, narrow pointer, which has the same value.
                let wide = at + FADT_X_DSDT;
                self.tables.copy_within(wide..wide + 4, at + FADT_DSDT);
                self.point(TABLES, at + FADT_DSDT, 4);
                self.point(TABLES, at + FADT_X_FACS, 8);
                self.point(TABLES, wide, 8);
            }
            _ => {}
        }
        self.sum(TABLES, at + TABLE_CHECKSUM, at..at + bytes.len());
    }

    fn allocate(&mut self, file: &str, alignment: u32, zone: u8) {
        let rest = [&alignment.to_le_bytes()[..], &[zone]].concat();
        self.command(ALLOCATE, &[file], &rest);
    }

    /// What is at an offset is the offset of something in the tables.
    fn point(&mut self, file: &str, at: usize, bytes: u8) {
        let rest = [&(at as u32).to_le_bytes()[..], &[bytes]].concat();
        self.command(ADD_POINTER, &[file, TABLES], &rest);
    }

    fn sum(&mut self, file: &str, at: usize, of: Range<usize>) {
        let words = [at, of.start, of.end - of.start].map(|word| (word as u32).to_le_bytes());
        self.command(ADD_CHECKSUM, &[file], words.as_flattened());
    }

    fn command(&mut self, command: u32, names: &[&str], rest: &[u8]) {
        let start = self.script.len();
        self.script.extend(command.to_le_bytes());
        for name in names {
            let mut padded = [0; NAME_BYTES];
            for (to, from) in padded.iter_mut().zip(name.bytes()) {
                *to = from;
            }
            self.script.extend(padded);
        }
        self.script.extend(rest);
        self.script.resize(start + COMMAND_BYTES, 0);
    }
}

#[cfg(test)]
mod tests;
