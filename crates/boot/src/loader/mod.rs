//! From an image to bytes with addresses: which format it has, what goes where, how the first
//! instruction finds it.
//!
//! ```text
//! load ─► format ─► flat · elf · multiboot(2) · pvh · bzimage · rom ─► Loaded
//!                     │ image: bounded reading      │ memory_map: what is RAM
//!                     └ space: who has which addresses
//! ```
//!
//! Pure functions over values: nothing is written here. An image may be hostile; the worst that it
//! gets is an error.

mod bzimage;
mod elf;
mod flat;
mod image;
mod loaded;
mod memory_map;
mod multiboot;
mod multiboot2;
mod note;
mod pvh;
mod request;
mod rom;
mod space;

use crate::error::{Error, ErrorKind, Result};
use crate::mode::CpuMode;
use elf::Elf;
use image::Image;
pub use loaded::{Loaded, Part, StartRegisters};
pub use request::{Format, LoadRequest, Module};
use space::Space;

/// Says which bytes belong where for an image to start, and how it starts.
///
/// # Errors
/// `Payload` when the image is broken, cut short or does not fit into memory: what, at which file
/// offset or address, and the value found there. `Limit` when something has more than the constants
/// in [`limits`](crate::limits) allow. `InvalidOption` when something was given that the format has
/// no place for.
///
/// # Examples
/// ```
/// use boot::{Format, LoadRequest, MemorySlot};
///
/// let slots = [MemorySlot { gpa: 0, bytes: 1 << 20, read_only: false }];
/// let loaded = boot::load(&LoadRequest {
///     image: &[0xf4], // hlt
///     format: None,
///     load_gpa: 0x7c00,
///     entry_gpa: None,
///     command_line: b"",
///     initrd: None,
///     modules: &[],
///     slots: &slots,
///     reserved: &[],
///     rsdp_gpa: None,
///     rsdp: &[],
///     mode: None,
///     screen: None,
/// })?;
/// assert_eq!((loaded.format, loaded.entry_gpa), (Format::Flat, 0x7c00));
/// assert_eq!((loaded.parts[0].gpa, loaded.parts[0].memory_bytes), (0x7c00, 1));
/// # Ok::<(), boot::Error>(())
/// ```
pub fn load<'a>(request: &LoadRequest<'a>) -> Result<Loaded<'a>> {
    let format = match request.format {
        Some(format) => format,
        None => Format::of(request.image)?,
    };
    request.check(format)?;
    let space = Space::new(request.slots, request.reserved);
    let loaded = match format {
        Format::Flat => flat::load(request, space),
        Format::Elf => elf::load(request, space),
        Format::Multiboot => multiboot::load(request, space),
        Format::Multiboot2 => multiboot2::load(request, space),
        Format::Pvh => pvh::load(request, space),
        Format::BzImage => bzimage::load(request, space),
        Format::Firmware => rom::load(request, space),
    }?;
    if loaded.mode == Some(CpuMode::Protected) && loaded.entry_gpa >= 1 << 32 {
        let entry = loaded.entry_gpa;
        return Err(Error::new(
            ErrorKind::Payload,
            format!("payload: the entry must be below 4 GiB in mode 'protected', got {entry:#x}"),
        ));
    }
    Ok(loaded)
}

impl Format {
    /// The format by content, the most telling one first.
    ///
    /// # Errors
    /// `Payload` for a broken ELF image.
    pub fn of(bytes: &[u8]) -> Result<Self> {
        if bzimage::has_header(bytes) {
            return Ok(Format::BzImage);
        }
        if multiboot::has_header(bytes) {
            return Ok(Format::Multiboot);
        }
        if multiboot2::has_header(bytes) {
            return Ok(Format::Multiboot2);
        }
        if !Elf::is_one(bytes) {
            return Ok(Format::Flat);
        }
        let format = Format::Elf;
        let noted = Elf::parse(Image { format, bytes })?.is_pvh()?;
        Ok(if noted { Format::Pvh } else { format })
    }
}

#[cfg(test)]
mod tests;
