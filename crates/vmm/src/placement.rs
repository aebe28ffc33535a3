//! What a machine's memory holds before its first instruction, and how that instruction finds it.

use std::borrow::Cow;
use std::ops::Range;

use boot::firmware::{self, acpi, fw_cfg, legacy};
use boot::state::{self, BootConfig, Protocol};
use boot::{
    CpuMode, Format, LoadRequest, Loaded, MemorySlot, Module, Part, Privilege, Screen,
    StartRegisters, layout,
};
use serde::{Deserialize, Serialize};

use crate::config::MachineConfig;
use crate::error::{Error, ErrorCode, Result};
use crate::kvm::memory::GuestMemory;
use crate::limits::PAGE_BYTES;
use crate::user::{self, UserConfig, UserPlan};

/// As calls expect it (System V ABI, x86-64 §3.2.2).
const STACK_ALIGNMENT: u64 = 16;

/// One thing that was put into memory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct PlacedPart {
    /// Its role, as in [`Part`](boot::Part).
    pub what: Cow<'static, str>,
    /// Its first address.
    pub gpa: u64,
    /// Bytes that were written.
    pub bytes: u64,
    /// All of its memory, at least `bytes`; the rest is zero.
    pub memory_bytes: u64,
}

/// What was put where.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Placement {
    /// The image's format.
    pub format: Format,
    /// The mode of the first instruction.
    pub mode: CpuMode,
    /// The first instruction.
    pub entry_gpa: u64,
    /// In the order of placing.
    pub parts: Vec<PlacedPart>,
}

/// Memory that is ready, and the state of the boot vCPU.
pub(crate) struct Prepared {
    pub memory: GuestMemory,
    pub boot: BootConfig,
    pub registers: StartRegisters,
    pub placement: Placement,
    pub user: Option<UserPlan>,
}

/// Makes the memory of a machine and puts everything into it: image, tables of the mode, tables of
/// the PC.
pub(crate) fn prepare(
    config: &MachineConfig<'_>,
    format: Format,
    slots: &[MemorySlot],
) -> Result<Prepared> {
    if let Some(user) = &config.user {
        return program(config, user, slots);
    }
    // What firmware finds, it takes out of its configuration device and puts where it wants.
    let firmware =
        (config.pc && format != Format::Firmware).then(|| tables(config, layout::FIRMWARE_START));
    let payload = &config.payload;
    let modules: Vec<_> = payload
        .modules
        .iter()
        .map(|(bytes, string)| Module { bytes, string })
        .collect();
    let reserved = reserved(config, format);
    let loaded = boot::load(&LoadRequest {
        image: &payload.image,
        format: Some(format),
        load_gpa: payload.load_gpa,
        entry_gpa: payload.entry_gpa,
        command_line: &payload.command_line,
        initrd: payload.initrd.as_deref(),
        modules: &modules,
        slots,
        reserved: &reserved,
        rsdp_gpa: firmware.as_ref().map(|tables| tables.rsdp_gpa),
        rsdp: firmware.as_ref().map_or(&[], acpi::Tables::rsdp),
        mode: config.mode,
        screen: config.screen,
    })?;
    let mode = agree(config.mode, loaded.mode, loaded.format)?;
    config.check_privilege(mode)?;
    let faults = config.reports_faults(mode, loaded.format)?;
    let boot = BootConfig {
        mode,
        privilege: config.privilege,
        protocol: loaded.protocol,
        faults,
        entry_gpa: loaded.entry_gpa,
        stack_top: stack_top(config.memory_bytes, &loaded),
        top: config.top(),
    };
    let memory = with_tables(slots, &boot)?;
    // First, as page 0 is the payload's where it wants it.
    for (gpa, bytes) in beneath(config) {
        memory.write(gpa, &bytes)?;
    }
    for part in &loaded.parts {
        memory.write(part.gpa, &part.bytes)?;
    }
    for (gpa, bytes) in firmware.iter().flat_map(|tables| &tables.tables) {
        memory.write(*gpa, bytes)?;
    }
    let parts = loaded.parts.iter().map(|part| PlacedPart {
        what: Cow::Borrowed(part.what),
        gpa: part.gpa,
        bytes: part.bytes.len() as u64,
        memory_bytes: part.memory_bytes,
    });
    Ok(Prepared {
        memory,
        boot,
        registers: loaded.registers,
        placement: Placement {
            format: loaded.format,
            mode,
            entry_gpa: loaded.entry_gpa,
            parts: parts.collect(),
        },
        user: None,
    })
}

/// That of a native program, which brings tables of its own.
fn program(
    config: &MachineConfig<'_>,
    user: &UserConfig,
    slots: &[MemorySlot],
) -> Result<Prepared> {
    let image = &config.payload.image;
    let (memory, plan) = user::prepare(slots, config.memory_bytes, image, user)?;
    Ok(Prepared {
        memory,
        boot: BootConfig {
            mode: CpuMode::Long,
            privilege: Privilege::User,
            protocol: Protocol::Plain,
            faults: true,
            // They are set with the registers of the program.
            entry_gpa: 0,
            stack_top: 0,
            top: config.top(),
        },
        registers: StartRegisters::default(),
        placement: Placement {
            format: Format::Elf,
            mode: CpuMode::Long,
            entry_gpa: 0,
            // Its pages lie anywhere in memory.
            parts: Vec::new(),
        },
        user: Some(plan),
    })
}

/// A PC's tables, to lie from an address on.
fn tables(config: &MachineConfig<'_>, base_gpa: u64) -> acpi::Tables {
    let virtio: Vec<_> = firmware::virtio(config.virtio_count()).collect();
    let machine = acpi::Machine {
        cpus: config.vcpus as u8,
        virtio: &virtio,
        vga: config.screen == Some(Screen::Text),
    };
    acpi::tables(&machine, base_gpa)
}

/// What firmware finds by name.
pub(crate) fn files<'a>(config: &MachineConfig<'a>, slots: &[MemorySlot]) -> Vec<fw_cfg::File<'a>> {
    let reserved = reserved(config, Format::Firmware);
    fw_cfg::files(slots, &reserved, &tables(config, 0), &config.payload.files)
}

/// Where the stack begins: at the end of slot 0, or below what an image has there. A flat image is
/// where the caller wants it, and the stack at the end of memory all the same.
fn stack_top(memory_bytes: u64, loaded: &Loaded<'_>) -> u64 {
    if loaded.format == Format::Flat {
        return memory_bytes;
    }
    let mut top = memory_bytes;
    let in_the_way = |top: u64| {
        let page = top.saturating_sub(PAGE_BYTES)..top;
        let parts = loaded.parts.iter().map(Part::range);
        parts
            .filter(|range| range.start < page.end && page.start < range.end)
            .map(|range| range.start)
            .min()
    };
    while let Some(start) = in_the_way(top) {
        top = start / STACK_ALIGNMENT * STACK_ALIGNMENT;
    }
    // Memory that is full to its first byte has no place for one.
    if top == 0 { memory_bytes } else { top }
}

/// What a payload may lie over: what a PC's firmware leaves for kernels that know no ACPI (the
/// caller's does so itself), and a blank screen.
fn beneath(config: &MachineConfig<'_>) -> Vec<(u64, Vec<u8>)> {
    let mut areas = Vec::new();
    if config.pc && !config.has_firmware() {
        areas = legacy::areas(&legacy::Legacy {
            cpus: config.vcpus as u8,
            serial: config.serial,
            text_screen: config.screen == Some(Screen::Text),
        });
    }
    areas.extend(config.screen.and_then(Screen::blanks));
    areas
}

/// What the guest must not take for free memory.
fn reserved(config: &MachineConfig<'_>, format: Format) -> Vec<Range<u64>> {
    let ours = layout::RESERVED_START..layout::RESERVED_END;
    let pc = [
        layout::EBDA..layout::EBDA_END,
        layout::FIRMWARE_START..layout::FIRMWARE_END,
    ];
    let pc = pc
        .into_iter()
        .filter(|_| config.pc && format != Format::Firmware);
    let pixels = config.screen.and_then(Screen::slot);
    let pixels = pixels.map(|slot| slot.gpa..slot.end());
    std::iter::once(ours).chain(pc).chain(pixels).collect()
}

/// The mode that caller and image agree on.
fn agree(wanted: Option<CpuMode>, own: Option<CpuMode>, format: Format) -> Result<CpuMode> {
    let what = match (wanted, own) {
        (Some(wanted), Some(own)) if wanted != own => format!(
            "mode: an image of format {} starts in mode '{}', got '{}'",
            format.name(),
            own.name(),
            wanted.name()
        ),
        (None, None) => "mode must be given for a flat image, got none".into(),
        (Some(mode), _) | (None, Some(mode)) => return Ok(mode),
    };
    Err(Error::new(ErrorCode::InvalidOption, what))
}

/// Empty memory but for the tables of the mode, in a slot of their own.
fn with_tables(slots: &[MemorySlot], boot: &BootConfig) -> Result<GuestMemory> {
    let mut slots = slots.to_vec();
    let tables = state::tables(boot);
    if let Some(last) = tables.last() {
        let end = (last.gpa + last.bytes.len() as u64).next_multiple_of(PAGE_BYTES);
        slots.push(MemorySlot {
            gpa: layout::SYSTEM_START,
            bytes: end - layout::SYSTEM_START,
            read_only: false,
        });
    }
    let memory = GuestMemory::new(&slots)?;
    for table in &tables {
        memory.write(table.gpa, &table.bytes)?;
    }
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok<T, E: std::fmt::Debug>(result: std::result::Result<T, E>) -> T {
        result.unwrap_or_else(|error| panic!("{error:?}"))
    }

    #[test]
    fn a_machine_asks_an_image_for_its_format_once() {
        // A multiboot header of three words, all that its magic number needs to be found.
        let header = [0x1bad_b002u32, 0, 0x1bad_b002u32.wrapping_neg()];
        let image: Vec<u8> = header.into_iter().flat_map(u32::to_le_bytes).collect();
        assert_eq!(Format::of(&image), Ok(Format::Multiboot));
        let config = MachineConfig::new(CpuMode::Long, image);
        assert_eq!(config.payload.format, None);
        // What the check has found decides, whatever the content says when it is placed.
        let slots = config.all_slots();
        let placed = ok(prepare(&config, Format::Flat, &slots));
        assert_eq!(placed.placement.format, Format::Flat);
    }

    #[test]
    fn an_image_whose_format_is_told_is_not_asked_for_it() {
        let mut config = MachineConfig::new(CpuMode::Long, b"\x7fELF".to_vec());
        assert!(config.check().is_err());
        config.payload.format = Some(Format::Elf);
        assert_eq!(config.check(), Ok(Format::Elf));
    }
}
