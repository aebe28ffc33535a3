//! Address fields, which multiboot 1 and 2 have alike: where the header lies in the file and in
//! memory, from which all else follows.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::loader::image::Image;
use crate::loader::loaded::Part;

/// What the first byte of the file is called instead of an address, in multiboot 2.
const FROM_THE_START: u64 = 0xffff_ffff;

/// The fields of an image and where they lie in it.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The header's file offset.
    pub header_at: u64,
    /// That of the first field; the others follow.
    pub at: u64,
    /// Whether `load_addr` may be all ones.
    pub may_begin_at_start: bool,
}

impl Addresses {
    /// The bytes of the kernel, and where they go.
    pub fn part<'a>(self, image: &Image<'a>) -> Result<Part<'a>> {
        let field = |name, offset| image.u32(name, self.at + offset).map(u64::from);
        let header_addr = field("header_addr", 0)?;
        let mut load_addr = field("load_addr", 4)?;
        let load_end_addr = field("load_end_addr", 8)?;
        let bss_end_addr = field("bss_end_addr", 12)?;
        if self.may_begin_at_start && load_addr == FROM_THE_START {
            load_addr = header_addr.checked_sub(self.header_at).ok_or_else(|| {
                let must = format_args!("at least its offset in the file, {:#x}", self.header_at);
                image.broken(
                    "header_addr",
                    self.at,
                    must,
                    format_args!("{header_addr:#x}"),
                )
            })?;
        }
        let start = header_addr
            .checked_sub(load_addr)
            .and_then(|before| self.header_at.checked_sub(before))
            .ok_or_else(|| {
                let must = "at or below header_addr, and no further below than the file reaches";
                self.wrong(image, "load_addr", 4, must, load_addr)
            })?;
        let length = match load_end_addr {
            0 => image.bytes.len() as u64 - start,
            end => end.checked_sub(load_addr).ok_or_else(|| {
                let must = "zero or at least load_addr";
                self.wrong(image, "load_end_addr", 8, must, end)
            })?,
        };
        let memory_bytes = match bss_end_addr {
            0 => length,
            end => end
                .checked_sub(load_addr)
                .filter(|bytes| *bytes >= length)
                .ok_or_else(|| {
                    let must = "zero or at least the end of what is loaded";
                    self.wrong(image, "bss_end_addr", 12, must, end)
                })?,
        };
        Ok(Part {
            what: "kernel",
            gpa: load_addr,
            bytes: Cow::Borrowed(image.slice("kernel", start, length)?),
            memory_bytes,
        })
    }

    fn wrong(self, image: &Image, name: &str, offset: u64, must: &str, got: u64) -> Error {
        image.broken(name, self.at + offset, must, format_args!("{got:#x}"))
    }
}
