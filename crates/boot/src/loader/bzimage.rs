//! Linux kernels as `make bzImage` leaves them (Linux Documentation/arch/x86/boot.rst, which names
//! the fields): the setup header says where the kernel that follows may lie and what it needs.

use std::borrow::Cow;

use linux_loader::bootparam::{
    E820_MAX_ENTRIES_ZEROPAGE, LOADED_HIGH, XLF_KERNEL_64, boot_e820_entry, boot_params,
    screen_info, setup_header,
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

/// Where the setup header begins, in the file and in `boot_params`.
const SETUP_HEADER: u64 = 0x1f1;
/// `syssize`.
const SYSSIZE: u64 = 0x1f4;
/// `boot_flag` and its value.
const BOOT_FLAG: (u64, u16) = (0x1fe, 0xaa55);
/// The second byte of `jump`: how far the header reaches after `header`'s offset.
const JUMP_DISTANCE: u64 = 0x201;
/// `header` and its value, "HdrS".
const HEADER: (u64, &[u8]) = (0x202, b"HdrS");
/// `version`, of which 2.06 is the first with a `cmdline_size`.
const VERSION: u64 = 0x206;
const OLDEST: u16 = 0x0206;
/// `pref_address` and `init_size` count from this version on.
const WITH_INIT_SIZE: u16 = 0x020a;
/// `xloadflags` counts from this version on.
const WITH_XLOADFLAGS: u16 = 0x020c;
/// `loadflags`.
const LOADFLAGS: u64 = 0x211;
/// `code32_start`.
const CODE32_START: u64 = 0x214;
/// `kernel_alignment`.
const KERNEL_ALIGNMENT: u64 = 0x230;
/// `pref_address`.
const PREF_ADDRESS: u64 = 0x258;
/// The end of `cmdline_size`: a header of version 2.06 reaches at least to here.
const SHORTEST_HEADER_END: u64 = 0x23c;
/// One past the last byte that a header may take in `boot_params`.
const LONGEST_HEADER_END: u64 = 0x290;

/// Setup code comes in sectors, the kernel in paragraphs.
const SECTOR_BYTES: u64 = 512;
const PARAGRAPH_BYTES: u64 = 16;
/// What `setup_sects` means when it is zero.
const DEFAULT_SETUP_SECTS: u64 = 4;

/// The 64-bit entry's distance from the kernel's first byte.
const ENTRY_64: u64 = 0x200;

/// `type_of_loader` for loaders without a number of their own.
const LOADER_UNDEFINED: u8 = 0xff;

/// `orig_video_isVGA`: VGA text, and a framebuffer as EFI leaves it (`VIDEO_TYPE_VGAC` counts as
/// any number that is no framebuffer's, `VIDEO_TYPE_EFI`).
const VGA: u8 = 1;
const EFI: u8 = 0x70;

/// Whether the image has the magic number of a setup header.
pub(super) fn has_header(bytes: &[u8]) -> bool {
    let (offset, magic) = HEADER;
    let found = bytes.get(offset as usize..);
    found.is_some_and(|found| found.starts_with(magic))
}

pub(super) fn load<'a>(request: &LoadRequest<'a>, mut space: Space<'a>) -> Result<Loaded<'a>> {
    let image = Image {
        format: Format::BzImage,
        bytes: request.image,
    };
    let mut header = read_header(&image)?;
    let cmdline_size = header.cmdline_size;
    if request.command_line.len() as u64 > u64::from(cmdline_size) {
        let got = request.command_line.len();
        return Err(Error::new(
            ErrorKind::Limit,
            format!("command line: this kernel takes {cmdline_size} bytes, got {got}"),
        ));
    }
    let kernel = place_kernel(&image, &header, &mut space)?;
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

/// The setup header, checked as far as its fields stand for themselves; what its version does not
/// know is zero.
fn read_header(image: &Image) -> Result<setup_header> {
    let (at, must) = BOOT_FLAG;
    let boot_flag = image.u16("boot_flag", at)?;
    if boot_flag != must {
        let (must, got) = (format_args!("{must:#x}"), format_args!("{boot_flag:#x}"));
        return Err(image.broken("boot_flag", at, must, got));
    }
    let (at, must) = HEADER;
    let magic = image.slice("header", at, must.len() as u64)?;
    if magic != must {
        let got = magic.escape_ascii();
        return Err(image.broken("header", at, must.escape_ascii(), got));
    }
    let version = image.u16("version", VERSION)?;
    if version < OLDEST {
        let (must, got) = (
            format_args!("at least {OLDEST:#x}"),
            format_args!("{version:#x}"),
        );
        return Err(image.broken("version", VERSION, must, got));
    }
    let end = HEADER.0 + u64::from(image.u8("jump", JUMP_DISTANCE)?);
    if !(SHORTEST_HEADER_END..=LONGEST_HEADER_END).contains(&end) {
        let must = format_args!(
            "a distance to between {SHORTEST_HEADER_END:#x} and {LONGEST_HEADER_END:#x}"
        );
        return Err(image.broken("jump", JUMP_DISTANCE, must, format_args!("{end:#x}")));
    }
    let bytes = image.slice("setup header", SETUP_HEADER, end - SETUP_HEADER)?;
    let mut header = setup_header::default();
    for (to, from) in header.as_mut_slice().iter_mut().zip(bytes) {
        *to = *from;
    }
    if header.loadflags & LOADED_HIGH == 0 {
        let got = header.loadflags;
        return Err(image.broken(
            "loadflags",
            LOADFLAGS,
            "with LOADED_HIGH (a zImage is not loaded)",
            got,
        ));
    }
    Ok(header)
}

/// Puts the kernel where it can run, with the memory that it needs before it reads the memory map,
/// and says where.
fn place_kernel<'a>(
    image: &Image<'a>,
    header: &setup_header,
    space: &mut Space<'a>,
) -> Result<u64> {
    let setup_sects = match header.setup_sects {
        0 => DEFAULT_SETUP_SECTS,
        sectors => u64::from(sectors),
    };
    let start = (setup_sects + 1) * SECTOR_BYTES;
    let length = u64::from(header.syssize) * PARAGRAPH_BYTES;
    if length == 0 {
        return Err(image.broken("syssize", SYSSIZE, "positive", 0));
    }
    // The file may end within the last paragraph; what follows it is a signature, and none of the
    // kernel's.
    let rest = (image.bytes.len() as u64).saturating_sub(start);
    let cut = length.saturating_sub(rest);
    let padding = if cut < PARAGRAPH_BYTES { cut } else { 0 };
    let bytes = image.slice("the kernel (syssize)", start, length - padding)?;
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
            // Images of 16-bit code wear this header, too, and have nothing for protected mode.
            let must = format_args!("at least {HIGH_MEMORY:#x}");
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
