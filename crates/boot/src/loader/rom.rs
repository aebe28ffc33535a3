//! Firmware: a ROM whose end is a PC's reset vector.

use std::borrow::Cow;

use super::loaded::{Loaded, Part, StartRegisters};
use super::request::{Format, LoadRequest};
use super::space::Space;
use crate::error::{Error, ErrorKind, Result};
use crate::layout;
use crate::mode::CpuMode;
use crate::slot::MemorySlot;
use crate::state::Protocol;

impl Format {
    /// The read-only memory that an image of this format brings along.
    ///
    /// # Errors
    /// `Payload` for firmware of a size that no ROM has.
    pub fn rom(self, image_bytes: u64) -> Result<Option<MemorySlot>> {
        let (unit, most) = (layout::ROM_UNIT_BYTES, layout::ROM_MAX_BYTES);
        match self {
            Format::Firmware if image_bytes == 0 => Ok(None),
            Format::Firmware if !image_bytes.is_multiple_of(unit) || image_bytes > most => {
                Err(payload(format!(
                    "payload.image: firmware has a multiple of {unit} bytes, at most {most}, got {image_bytes}"
                )))
            }
            Format::Firmware => Ok(Some(MemorySlot {
                gpa: layout::ROM_END - image_bytes,
                bytes: image_bytes,
                read_only: true,
            })),
            _ => Ok(None),
        }
    }
}

/// The whole image below 4 GiB, and its end below 1 MiB, where firmware runs and writes.
pub(super) fn load<'a>(request: &LoadRequest<'a>, mut space: Space<'a>) -> Result<Loaded<'a>> {
    let image = request.image;
    let bytes = image.len() as u64;
    Format::Firmware.rom(bytes)?;
    let low_bytes = bytes.min(layout::ROM_LOW_BYTES);
    let (_, low) = image.split_at(image.len() - low_bytes as usize);
    for (what, end, bytes) in [
        ("image", layout::ROM_END, image),
        ("bios", layout::FIRMWARE_END, low),
    ] {
        let memory_bytes = bytes.len() as u64;
        space.place(Part {
            what,
            gpa: end - memory_bytes,
            bytes: Cow::Borrowed(bytes),
            memory_bytes,
        })?;
    }
    Ok(Loaded {
        format: Format::Firmware,
        mode: Some(CpuMode::Real),
        protocol: Protocol::Plain,
        entry_gpa: layout::RESET_VECTOR,
        registers: StartRegisters::default(),
        parts: space.parts,
    })
}

fn payload(message: String) -> Error {
    Error::new(ErrorKind::Payload, message)
}
