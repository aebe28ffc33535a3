//! Multiboot 1 images (Multiboot Specification 0.6.96): the header, and the kernel after it.

pub(super) mod addresses;
pub(super) mod info;

use super::elf::Elf;
use super::image::Image;
use super::loaded::{Loaded, StartRegisters};
use super::request::{Format, LoadRequest};
use super::space::Space;
use crate::error::Result;
use crate::mode::CpuMode;
use crate::state::Protocol;
use addresses::Addresses;
use info::place_info;

/// The header's first word (§3.1.1).
const HEADER_MAGIC: u32 = 0x1bad_b002;

/// The header lies within this many bytes, on a multiple of four (§3.1).
const SEARCHED_BYTES: u64 = 8192;

/// Magic, flags and checksum: what every header has.
const HEADER_BYTES: u64 = 12;

/// EAX at the entry (§3.2).
const BOOT_MAGIC: u64 = 0x2bad_b002;

/// Flags that a loader must know or else refuse (§3.1.2).
const REQUIRED: u32 = 0xffff;
/// Bit 0: modules lie on pages. They always do here.
const PAGE_ALIGN: u32 = 1;
/// Bit 1: the info block has the memory's size. It always does here.
const MEMORY_INFO: u32 = 1 << 1;
/// Bit 2: the info block tells of the screen. Which one the kernel would like is a wish.
const VIDEO_MODE: u32 = 1 << 2;
/// Bit 16: the header says where the image goes, whatever else it is (§3.1.3).
const ADDRESS_FIELDS: u32 = 1 << 16;

/// A header's place in the file and its flags.
#[derive(Clone, Copy, Debug)]
struct Header {
    at: u64,
    flags: u32,
}

/// Whether an image has a whole header with a right checksum.
pub(super) fn has_header(bytes: &[u8]) -> bool {
    let image = Image {
        format: Format::Multiboot,
        bytes,
    };
    find_header(&image).is_ok()
}

pub(super) fn load<'a>(request: &LoadRequest<'a>, mut space: Space<'a>) -> Result<Loaded<'a>> {
    let image = Image {
        format: Format::Multiboot,
        bytes: request.image,
    };
    let header = find_header(&image)?;
    let mut known = PAGE_ALIGN | MEMORY_INFO;
    if request.screen.is_some() {
        known |= VIDEO_MODE;
    }
    if header.flags & REQUIRED & !known != 0 {
        let must = "bits 0 and 1 only among the 16 that must be obeyed (and bit 2, a video mode, if there is a screen)";
        let got = format_args!("{:#x}", header.flags);
        return Err(image.broken("flags", header.at + 4, must, got));
    }
    let entry_gpa = if header.flags & ADDRESS_FIELDS == 0 {
        let elf = Elf::parse(image)?;
        elf.place(&mut space)?;
        request.entry_gpa.map_or_else(|| elf.entry_gpa(), Ok)?
    } else {
        let entry_addr = place_by_address_fields(&image, header, &mut space)?;
        request.entry_gpa.unwrap_or(entry_addr)
    };
    space.check_entry(entry_gpa)?;
    let info = place_info(request, &mut space)?;
    Ok(Loaded {
        format: Format::Multiboot,
        mode: Some(CpuMode::Protected),
        protocol: Protocol::Plain,
        entry_gpa,
        registers: StartRegisters {
            rax: BOOT_MAGIC,
            rbx: info,
            rsi: 0,
        },
        parts: space.parts,
    })
}

/// The first header whose words add up to zero; a lone magic number is no header.
fn find_header(image: &Image) -> Result<Header> {
    let mut near_miss = None;
    for at in (0..=SEARCHED_BYTES - HEADER_BYTES).step_by(4) {
        let Ok(magic) = image.u32("magic", at) else {
            break;
        };
        if magic != HEADER_MAGIC {
            continue;
        }
        let flags = image.u32("flags", at + 4)?;
        let checksum = image.u32("checksum", at + 8)?;
        let right = magic.wrapping_add(flags).wrapping_neg();
        if checksum == right {
            return Ok(Header { at, flags });
        }
        near_miss.get_or_insert((at + 8, right, checksum));
    }
    Err(match near_miss {
        Some((at, right, got)) => {
            let (must, got) = (format_args!("{right:#x}"), format_args!("{got:#x}"));
            image.broken("checksum", at, must, got)
        }
        None => image.unfit(format_args!(
            "no header ({HEADER_MAGIC:#x}) on a multiple of 4 within its first {SEARCHED_BYTES} bytes"
        )),
    })
}

/// Puts the image where its header's address fields say, and says where it starts.
fn place_by_address_fields<'a>(
    image: &Image<'a>,
    header: Header,
    space: &mut Space<'a>,
) -> Result<u64> {
    let fields = Addresses {
        header_at: header.at,
        at: header.at + HEADER_BYTES,
        may_begin_at_start: false,
    };
    let part = fields.part(image)?;
    let entry_addr = image.u32("entry_addr", header.at + 28)?;
    space.place(part)?;
    Ok(entry_addr.into())
}
