//! Multiboot 2 images (Multiboot2 Specification 2.0): the header with its tags, and the kernel
//! after it.

mod info;

use super::elf::Elf;
use super::image::Image;
use super::loaded::{Loaded, Part, StartRegisters};
use super::multiboot::addresses::Addresses;
use super::request::{Format, LoadRequest};
use super::space::Space;
use crate::error::Result;
use crate::mode::CpuMode;
use crate::screen::Screen;
use crate::state::Protocol;
use info::{ALIGNMENT, place_info};

/// The header's first word (§3.1.1).
const HEADER_MAGIC: u32 = 0xe852_50d6;

/// The header lies within this many bytes, on a multiple of eight (§3.1).
const SEARCHED_BYTES: u64 = 32_768;

/// Magic, architecture, length and checksum: what every header has.
const HEADER_BYTES: u64 = 16;

/// `architecture`: 32-bit protected mode of i386.
const I386: u32 = 0;

/// EAX at the entry (§3.3).
const BOOT_MAGIC: u64 = 0x36d7_6289;

/// Type, flags and size: what every tag begins with (§3.1.3).
const TAG_BYTES: u64 = 8;
/// Flags, bit 0: a loader need not know the tag.
const OPTIONAL: u16 = 1;

/// The highest type of information that the specification knows.
const LAST_INFORMATION: u32 = 21;

/// `console_flags`, bit 0: one of the consoles must be there (§3.1.8).
const CONSOLE_REQUIRED: u32 = 1;

/// A header's place in the file and its length.
#[derive(Clone, Copy, Debug)]
struct Header {
    at: u64,
    length: u64,
}

/// A tag's place in the file and what it begins with.
#[derive(Clone, Copy, Debug)]
struct Tag {
    at: u64,
    kind: u16,
    flags: u16,
    size: u64,
}

/// What the header asks for.
#[derive(Debug, Default)]
struct Wishes {
    address: Option<Tag>,
    entry: Option<u64>,
    relocatable: Option<Relocatable>,
}

/// Where an image may be moved to (§3.1.10).
#[derive(Clone, Copy, Debug)]
struct Relocatable {
    min: u64,
    /// One past the last address.
    end: u64,
    alignment: u64,
    /// As high as possible, instead of as low.
    high: bool,
    /// Where it is linked, if that is free.
    stay: bool,
}

/// Whether an image has a whole header with a right checksum.
pub(super) fn has_header(bytes: &[u8]) -> bool {
    find_header(&image_of(bytes)).is_ok()
}

const fn image_of(bytes: &[u8]) -> Image<'_> {
    Image {
        format: Format::Multiboot2,
        bytes,
    }
}

pub(super) fn load<'a>(request: &LoadRequest<'a>, mut space: Space<'a>) -> Result<Loaded<'a>> {
    let image = image_of(request.image);
    let header = find_header(&image)?;
    let wishes = read_tags(&image, header, request.screen)?;
    let (own_entry, base) = match wishes.address {
        Some(tag) => place_by_address_tag(&image, header, tag, &wishes, &mut space)?,
        None => place_elf(image, &wishes, &mut space)?,
    };
    let entry_gpa = request.entry_gpa.unwrap_or(own_entry);
    space.check_entry(entry_gpa)?;
    let info = place_info(request, base, &mut space)?;
    Ok(Loaded {
        format: Format::Multiboot2,
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
    for at in (0..=SEARCHED_BYTES - HEADER_BYTES).step_by(ALIGNMENT as usize) {
        let Ok(magic) = image.u32("magic", at) else {
            break;
        };
        if magic != HEADER_MAGIC {
            continue;
        }
        let architecture = image.u32("architecture", at + 4)?;
        let length = image.u32("header_length", at + 8)?;
        let checksum = image.u32("checksum", at + 12)?;
        let sum = magic.wrapping_add(architecture).wrapping_add(length);
        let right = sum.wrapping_neg();
        if checksum != right {
            near_miss.get_or_insert((at + 12, right, checksum));
            continue;
        }
        if architecture != I386 {
            let got = format_args!("{architecture}");
            return Err(image.broken("architecture", at + 4, "0 (i386)", got));
        }
        let length = u64::from(length);
        if !(HEADER_BYTES..=SEARCHED_BYTES - at).contains(&length) {
            let must = format_args!("{HEADER_BYTES} to {}", SEARCHED_BYTES - at);
            return Err(image.broken("header_length", at + 8, must, length));
        }
        return Ok(Header { at, length });
    }
    Err(match near_miss {
        Some((at, right, got)) => {
            let (must, got) = (format_args!("{right:#x}"), format_args!("{got:#x}"));
            image.broken("checksum", at, must, got)
        }
        None => image.unfit(format_args!(
            "no header ({HEADER_MAGIC:#x}) on a multiple of {ALIGNMENT} within its first {SEARCHED_BYTES} bytes"
        )),
    })
}

/// All tags up to the one that ends them.
fn read_tags(image: &Image, header: Header, screen: Option<Screen>) -> Result<Wishes> {
    let mut wishes = Wishes::default();
    let end = header.at + header.length;
    let mut at = header.at + HEADER_BYTES;
    loop {
        let tag = read_tag(image, at, end)?;
        if tag.kind == 0 {
            return Ok(wishes);
        }
        obey(image, tag, screen, &mut wishes)?;
        at += tag.size.next_multiple_of(ALIGNMENT);
    }
}

fn read_tag(image: &Image, at: u64, end: u64) -> Result<Tag> {
    if at + TAG_BYTES > end {
        return Err(image.unfit(format_args!(
            "its header ends at offset {end:#x} without the tag of type 0 that ends it"
        )));
    }
    let size = u64::from(image.u32("size of a tag", at + 4)?);
    if !(TAG_BYTES..=end - at).contains(&size) {
        let must = format_args!("{TAG_BYTES} to {}", end - at);
        return Err(image.broken("size of a tag", at + 4, must, size));
    }
    Ok(Tag {
        at,
        kind: image.u16("type of a tag", at)?,
        flags: image.u16("flags of a tag", at + 2)?,
        size,
    })
}

impl Tag {
    /// A word of the tag.
    fn word(self, image: &Image, name: &str, offset: u64) -> Result<u32> {
        if offset + 4 > self.size {
            let must = format_args!("at least {} for {name}", offset + 4);
            return Err(image.broken("size of a tag", self.at + 4, must, self.size));
        }
        image.u32(name, self.at + offset)
    }

    const fn is_required(self) -> bool {
        self.flags & OPTIONAL == 0
    }
}

/// Takes what one tag says. What the machine has not is an error if it is required.
fn obey(image: &Image, tag: Tag, screen: Option<Screen>, wishes: &mut Wishes) -> Result<()> {
    let is_blind = tag.is_required() && screen.is_none();
    match tag.kind {
        1 => return check_information(image, tag),
        2 => wishes.address = Some(tag),
        3 => wishes.entry = Some(tag.word(image, "entry_addr", 8)?.into()),
        4 => {
            let flags = tag.word(image, "console_flags", 8)?;
            if is_blind && flags & CONSOLE_REQUIRED != 0 {
                return Err(missing(image, tag, "a console on a screen"));
            }
        }
        5 if is_blind => return Err(missing(image, tag, "a framebuffer")),
        7 if tag.is_required() => return Err(missing(image, tag, "EFI's boot services")),
        // The screen is as it is: its size is a wish. Boot services that need not be there. Modules
        // always lie on pages. The entries of 8 and 9 are for EFI.
        5..=9 => {}
        10 => wishes.relocatable = Some(relocatable(image, tag)?),
        _ if tag.is_required() => {
            return Err(image.broken("type of a tag", tag.at, "1 to 10, or optional", tag.kind));
        }
        _ => {}
    }
    Ok(())
}

fn missing(image: &Image, tag: Tag, what: &str) -> crate::error::Error {
    image.unfit(format_args!(
        "the tag of type {} at offset {:#x} requires {what}, which the machine has not",
        tag.kind, tag.at
    ))
}

/// Information of a known type is given as far as there is any; of another type it cannot be.
fn check_information(image: &Image, tag: Tag) -> Result<()> {
    for offset in (TAG_BYTES..tag.size.saturating_sub(3)).step_by(4) {
        let kind = tag.word(image, "mbi_tag_types", offset)?;
        if kind > LAST_INFORMATION && tag.is_required() {
            let must = format_args!("at most {LAST_INFORMATION}");
            return Err(image.broken("mbi_tag_types", tag.at + offset, must, kind));
        }
    }
    Ok(())
}

fn relocatable(image: &Image, tag: Tag) -> Result<Relocatable> {
    let min = u64::from(tag.word(image, "min_addr", 8)?);
    let max = u64::from(tag.word(image, "max_addr", 12)?);
    let alignment = u64::from(tag.word(image, "align", 16)?.max(1));
    let preference = tag.word(image, "preference", 20)?;
    if !alignment.is_power_of_two() {
        let got = format_args!("{alignment:#x}");
        return Err(image.broken("align", tag.at + 16, "a power of two", got));
    }
    Ok(Relocatable {
        min,
        end: max + 1,
        alignment,
        high: preference == 2,
        stay: preference == 0,
    })
}

impl Wishes {
    /// Where an image of `bytes` goes that is linked for an address.
    fn base(&self, image: &Image, linked: u64, bytes: u64, space: &Space) -> Result<u64> {
        let Some(wish) = self.relocatable else {
            return Ok(linked);
        };
        let Relocatable {
            min,
            end,
            alignment,
            ..
        } = wish;
        let may_stay = linked >= min
            && linked.checked_add(bytes).is_some_and(|last| last <= end)
            && linked.is_multiple_of(alignment);
        if wish.stay && may_stay && space.is_free(linked, bytes) {
            return Ok(linked);
        }
        let found = if wish.high {
            space.highest(bytes, end, alignment)
        } else {
            space.lowest(bytes, alignment, min)
        };
        found
            .filter(|base| *base >= min && *base + bytes <= end)
            .ok_or_else(|| {
                image.unfit(format_args!(
                    "no room for its {bytes} bytes between min_addr {min:#x} and max_addr {:#x}; raise memoryBytes",
                    end - 1
                ))
            })
    }
}

/// Puts an ELF image's segments where they are linked, or all of them as far away as the header
/// lets them. Returns entry and base, if it may be moved.
fn place_elf<'a>(
    image: Image<'a>,
    wishes: &Wishes,
    space: &mut Space<'a>,
) -> Result<(u64, Option<u64>)> {
    let elf = Elf::parse(image)?;
    let all = elf.span();
    let base = wishes.base(&image, all.start, all.end - all.start, space)?;
    let distance = base.wrapping_sub(all.start);
    elf.place_moved(distance, space)?;
    let entry = wishes.entry.map_or_else(|| elf.entry_gpa(), Ok)?;
    Ok((
        entry.wrapping_add(distance),
        wishes.relocatable.map(|_| base),
    ))
}

/// Puts the image where its address tag says (§3.1.5), which needs an entry of its own.
fn place_by_address_tag<'a>(
    image: &Image<'a>,
    header: Header,
    tag: Tag,
    wishes: &Wishes,
    space: &mut Space<'a>,
) -> Result<(u64, Option<u64>)> {
    // Whether the tag has them all.
    tag.word(image, "bss_end_addr", 20)?;
    let fields = Addresses {
        header_at: header.at,
        at: tag.at + TAG_BYTES,
        may_begin_at_start: true,
    };
    let part = fields.part(image)?;
    let entry = wishes.entry.ok_or_else(|| {
        image.unfit("it has a tag of addresses (type 2), but none of the entry (type 3)")
    })?;
    let gpa = wishes.base(image, part.gpa, part.memory_bytes, space)?;
    let entry = entry.wrapping_add(gpa.wrapping_sub(part.gpa));
    space.place(Part { gpa, ..part })?;
    Ok((entry, wishes.relocatable.map(|_| gpa)))
}
