//! Linux kernels as `make bzImage` leaves them (Linux Documentation/arch/x86/boot.rst, which names
//! the fields): the setup header says where the kernel that follows may lie and what it needs.

mod header;
mod real_mode;

use std::borrow::Cow;

use linux_loader::bootparam::{
    E820_MAX_ENTRIES_ZEROPAGE, XLF_KERNEL_64, boot_e820_entry, boot_params, screen_info,
    setup_header,
};
use vm_memory::ByteValued;

use super::image::Image;
use super::loaded::{Loaded, Part, StartRegisters};
use super::memory_map::memory_map;
use super::request::{Format, LoadRequest};
use super::space::{HIGH_MEMORY, Space};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::FRAMEBUFFER_START;
use crate::limits::{MAX_MEMORY_MAP_ENTRIES, PAGE_BYTES};
use crate::mode::CpuMode;
use crate::screen::Screen;
use crate::state::Protocol;
pub(super) use header::has_header;
use header::{Code, LOADER_UNDEFINED, read_code, read_header};

/// `pref_address` and `init_size` count from this version on.
const WITH_INIT_SIZE: u16 = 0x020a;
/// `xloadflags` counts from this version on.
const WITH_XLOADFLAGS: u16 = 0x020c;
/// `code32_start`.
const CODE32_START: u64 = 0x214;
/// `kernel_alignment`.
const KERNEL_ALIGNMENT: u64 = 0x230;
/// `pref_address`.
const PREF_ADDRESS: u64 = 0x258;

/// The 64-bit entry's distance from the kernel's first byte.
const ENTRY_64: u64 = 0x200;

/// `orig_video_isVGA`: VGA text, and a framebuffer as EFI leaves it (`VIDEO_TYPE_VGAC` counts as
/// any number that is no framebuffer's, `VIDEO_TYPE_EFI`).
const VGA: u8 = 1;
const EFI: u8 = 0x70;

pub(super) fn load<'a>(request: &LoadRequest<'a>, mut space: Space<'a>) -> Result<Loaded<'a>> {
    let image = Image {
        format: Format::BzImage,
        bytes: request.image,
    };
    let mut header = read_header(&image)?;
    let code = read_code(&image, &header)?;
    let cmdline_size = header.cmdline_size;
    if request.command_line.len() as u64 > u64::from(cmdline_size) {
        let got = request.command_line.len();
        return Err(Error::new(
            ErrorKind::Limit,
            format!("command line: this kernel takes {cmdline_size} bytes, got {got}"),
        ));
    }
    if starts_in_real_mode(request, &header) {
        return real_mode::load(request, &image, header, &code, space);
    }
    let kernel = place_kernel(&image, &header, &code, &mut space)?;
    let wide = header.version >= WITH_XLOADFLAGS && header.xloadflags & XLF_KERNEL_64 != 0;
    let (mode, entry) = if wide {
        (CpuMode::Long, kernel + ENTRY_64)
    } else {
        (CpuMode::Protected, kernel)
    };
    let entry_gpa = request.entry_gpa.unwrap_or(entry);
    space.check_entry(entry_gpa)?;
    header.type_of_loader = LOADER_UNDEFINED;
    header.code32_start = kernel as u32;
    header.setup_data = 0;
    if let Some(initrd) = request.initrd {
        let limit = u64::from(header.initrd_addr_max) + 1;
        header.ramdisk_image = space.place_high("initrd", initrd, limit)? as u32;
        header.ramdisk_size = initrd.len() as u32;
    }
    let line = [request.command_line, &[0]].concat();
    header.cmd_line_ptr = space.place_low("command-line", line, 1, 0)? as u32;
    let params = boot_params_of(request, header)?;
    let rsi = space.place_low("boot-params", params, PAGE_BYTES, 0)?;
    Ok(Loaded {
        format: Format::BzImage,
        mode: Some(mode),
        protocol: Protocol::Linux,
        entry_gpa,
        registers: StartRegisters {
            rsi,
            ..Default::default()
        },
        parts: space.parts,
    })
}

/// Whether the image's setup code is to run: where the caller wants it, or where nothing else can
/// start, as in images of 16-bit code that wear this header.
fn starts_in_real_mode(request: &LoadRequest, header: &setup_header) -> bool {
    let is_fixed = header.relocatable_kernel == 0;
    match request.mode {
        Some(mode) => mode == CpuMode::Real,
        None => is_fixed && header.code32_start == 0,
    }
}

/// Puts the kernel where it can run, with the memory that it needs before it reads the memory map,
/// and says where.
fn place_kernel<'a>(
    image: &Image<'a>,
    header: &setup_header,
    code: &Code<'a>,
    space: &mut Space<'a>,
) -> Result<u64> {
    let (bytes, length) = (code.kernel, code.kernel_bytes);
    let (mut pref_address, mut init_size) = (0, length);
    if header.version >= WITH_INIT_SIZE {
        pref_address = header.pref_address;
        init_size = length.max(u64::from(header.init_size));
    }
    let (gpa, memory_bytes) = if header.relocatable_kernel == 0 {
        // It is loaded at one address and moves itself to another: what lies between is its own,
        // too.
        let load = u64::from(header.code32_start);
        if load < HIGH_MEMORY {
            let must = format_args!("at least {HIGH_MEMORY:#x} in any mode but 'real'");
            let got = format_args!("{load:#x}");
            return Err(image.broken("code32_start", CODE32_START, must, got));
        }
        let end = pref_address.checked_add(init_size).ok_or_else(|| {
            let got = format_args!("{pref_address:#x}");
            image.broken("pref_address", PREF_ADDRESS, "an address of memory", got)
        })?;
        (load, length.max(end.saturating_sub(load)))
    } else {
        let alignment = u64::from(header.kernel_alignment);
        if !alignment.is_power_of_two() {
            let got = format_args!("{alignment:#x}");
            return Err(image.broken("kernel_alignment", KERNEL_ALIGNMENT, "a power of two", got));
        }
        // Below its preferred address a kernel would only move itself up.
        let from = pref_address.max(HIGH_MEMORY);
        let gpa = space.lowest(init_size, alignment, from).ok_or_else(|| {
            image.unfit(format_args!(
                "no room for its init_size of {init_size} bytes at or above {from:#x} in the memory from gpa 0; raise memoryBytes"
            ))
        })?;
        (gpa, init_size)
    };
    space.place(Part {
        what: "kernel",
        gpa,
        bytes: Cow::Borrowed(bytes),
        memory_bytes,
    })?;
    Ok(gpa)
}

/// The page that RSI points to: its own header as completed, and the memory map.
fn boot_params_of(request: &LoadRequest, header: setup_header) -> Result<Vec<u8>> {
    let map = memory_map(request.slots, request.reserved)?;
    let mut params = boot_params {
        hdr: header,
        screen_info: request
            .screen
            .map_or_else(screen_info::default, screen_info_of),
        acpi_rsdp_addr: request.rsdp_gpa.unwrap_or(0),
        e820_entries: map.len() as u8,
        ..Default::default()
    };
    for (to, from) in params.e820_table.iter_mut().zip(&map) {
        *to = boot_e820_entry {
            addr: from.range.start,
            size: from.bytes(),
            r#type: from.usage as u32,
        };
    }
    Ok(params.as_slice().to_vec())
}

/// What the kernel is told of its screen (include/uapi/linux/screen_info.h).
fn screen_info_of(screen: Screen) -> screen_info {
    match screen {
        Screen::Text => screen_info {
            orig_video_mode: 3,
            orig_video_cols: 80,
            orig_video_lines: 25,
            orig_video_isVGA: VGA,
            orig_video_points: 16,
            ..Default::default()
        },
        Screen::Pixels { width, height } => screen_info {
            orig_video_isVGA: EFI,
            lfb_width: width as u16,
            lfb_height: height as u16,
            lfb_depth: 8 * Screen::PIXEL_BYTES as u16,
            lfb_base: FRAMEBUFFER_START as u32,
            lfb_size: screen.pixel_bytes() as u32,
            lfb_linelength: (width * Screen::PIXEL_BYTES) as u16,
            red_size: 8,
            red_pos: 16,
            green_size: 8,
            green_pos: 8,
            blue_size: 8,
            blue_pos: 0,
            rsvd_size: 8,
            rsvd_pos: 24,
            ..Default::default()
        },
    }
}

const _: () = {
    assert!(MAX_MEMORY_MAP_ENTRIES == E820_MAX_ENTRIES_ZEROPAGE);
    assert!(MAX_MEMORY_MAP_ENTRIES <= u8::MAX as usize);
};
