//! PVH: an ELF kernel that starts in protected mode and finds a `hvm_start_info` at EBX
//! (Xen docs/misc/pvh.pandoc; public/arch-x86/hvm/start_info.h).

use linux_loader::start_info::{
    XEN_HVM_START_MAGIC_VALUE, hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info,
};
use vm_memory::ByteValued;

use super::elf::Elf;
use super::image::Image;
use super::loaded::{Loaded, StartRegisters};
use super::memory_map::{MapEntry, memory_map};
use super::request::{Format, LoadRequest};
use super::space::Space;
use crate::error::Result;
use crate::mode::CpuMode;
use crate::state::Protocol;

/// The version of the start info that has a memory map.
const VERSION: u32 = 1;

/// Tables hold 64-bit fields.
const ALIGNMENT: u64 = 8;

pub(super) fn load<'a>(request: &LoadRequest<'a>, mut space: Space<'a>) -> Result<Loaded<'a>> {
    let image = Image {
        format: Format::Pvh,
        bytes: request.image,
    };
    let elf = Elf::parse(image)?;
    elf.place(&mut space)?;
    let own_entry = elf
        .pvh_entry()?
        .ok_or_else(|| image.unfit("it has no note XEN_ELFNOTE_PHYS32_ENTRY"))?;
    let entry_gpa = request.entry_gpa.unwrap_or(own_entry);
    space.check_entry(entry_gpa)?;
    let start_info = place_start_info(request, &mut space)?;
    Ok(Loaded {
        format: Format::Pvh,
        mode: Some(CpuMode::Protected),
        protocol: Protocol::Pvh,
        entry_gpa,
        registers: StartRegisters {
            rbx: start_info,
            ..Default::default()
        },
        parts: space.parts,
    })
}

fn place_start_info<'a>(request: &LoadRequest<'a>, space: &mut Space<'a>) -> Result<u64> {
    let map = memory_map(request.slots, request.reserved)?;
    let mut info = hvm_start_info {
        magic: XEN_HVM_START_MAGIC_VALUE,
        version: VERSION,
        rsdp_paddr: request.rsdp_gpa.unwrap_or(0),
        memmap_entries: map.len() as u32,
        ..Default::default()
    };
    if let Some(initrd) = request.initrd {
        let module = hvm_modlist_entry {
            paddr: space.place_high("initrd", initrd, u64::MAX)?,
            size: initrd.len() as u64,
            ..Default::default()
        };
        info.nr_modules = 1;
        info.modlist_paddr =
            space.place_low("module-list", module.as_slice().to_vec(), ALIGNMENT, 0)?;
    }
    let line = [request.command_line, &[0]].concat();
    info.cmdline_paddr = space.place_low("command-line", line, 1, 0)?;
    info.memmap_paddr = space.place_low("memory-map", memmap_bytes(&map), ALIGNMENT, 0)?;
    space.place_low("start-info", info.as_slice().to_vec(), ALIGNMENT, 0)
}

fn memmap_bytes(map: &[MapEntry]) -> Vec<u8> {
    map.iter()
        .flat_map(|entry| {
            let entry = hvm_memmap_table_entry {
                addr: entry.range.start,
                size: entry.bytes(),
                type_: entry.usage as u32,
                reserved: 0,
            };
            entry.as_slice().to_vec()
        })
        .collect()
}
