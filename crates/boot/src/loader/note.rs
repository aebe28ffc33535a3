//! Notes of an ELF image (System V ABI, chapter 5), of which one says where a PVH kernel starts.

use std::ops::Range;

use super::image::Image;
use crate::error::Result;

/// The name of Xen's notes, and the one that holds a 32-bit entry (Xen public/elfnote.h).
const XEN_NOTE_NAME: &[u8] = b"Xen\0";
const XEN_ELFNOTE_PHYS32_ENTRY: u32 = 18;

/// `namesz`, `descsz` and `type` in front of every note.
const NOTE_HEADER_BYTES: u64 = 12;

/// A note's descriptor: where in the file, and how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptor {
    pub at: u64,
    pub bytes: u64,
}

/// The descriptor of `XEN_ELFNOTE_PHYS32_ENTRY` among the notes of a segment, whose bytes the image
/// has. Linkers pad notes to 8 bytes where the segment says so, to 4 everywhere else, and to 4
/// where they have put both kinds into one segment.
pub(super) fn xen_entry(
    image: &Image<'_>,
    segment: Range<u64>,
    alignment: u64,
) -> Result<Option<Descriptor>> {
    if alignment != 8 {
        return padded_to(4, image, segment);
    }
    let padded = padded_to(8, image, segment.clone());
    padded.or_else(|error| padded_to(4, image, segment).map_err(|_| error))
}

fn padded_to(
    alignment: u64,
    image: &Image<'_>,
    Range { start, end }: Range<u64>,
) -> Result<Option<Descriptor>> {
    let mut at = start;
    while at < end {
        let namesz = u64::from(image.u32("a note's namesz", at)?);
        let descsz = u64::from(image.u32("a note's descsz", at + 4)?);
        let kind = image.u32("a note's type", at + 8)?;
        let name_at = at + NOTE_HEADER_BYTES;
        let desc_at = at + (NOTE_HEADER_BYTES + namesz).next_multiple_of(alignment);
        if desc_at + descsz > end {
            let must = format_args!("inside its segment, which ends at {end:#x}");
            let got = format_args!("namesz {namesz:#x}, descsz {descsz:#x}");
            return Err(image.broken("a note", at, must, got));
        }
        let name = image.slice("a note's name", name_at, namesz)?;
        if kind == XEN_ELFNOTE_PHYS32_ENTRY && name == XEN_NOTE_NAME {
            return Ok(Some(Descriptor {
                at: desc_at,
                bytes: descsz,
            }));
        }
        at = desc_at + descsz.next_multiple_of(alignment);
    }
    Ok(None)
}
