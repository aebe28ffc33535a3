//! The guest program of a machine.

use std::borrow::Cow;

use boot::firmware::fw_cfg;
use boot::{Format, MemorySlot, layout};

use crate::error::{Error, ErrorCode, Result};

/// The guest program, where it goes, and what goes with it.
#[derive(Clone, Debug, Default)]
pub struct Payload<'a> {
    /// The image.
    pub image: Cow<'a, [u8]>,
    /// Its format; with `None` the content decides.
    pub format: Option<Format>,
    /// Where the first byte of a flat image lies.
    pub load_gpa: u64,
    /// Where execution starts; by default at the image's entry, for a flat image its first byte.
    pub entry_gpa: Option<u64>,
    /// For multiboot, PVH and bzImage.
    pub command_line: Vec<u8>,
    /// For PVH and bzImage.
    pub initrd: Option<Cow<'a, [u8]>>,
    /// For multiboot: bytes and string of each module.
    pub modules: Vec<(Cow<'a, [u8]>, Vec<u8>)>,
    /// For firmware: what it finds by name in its configuration device.
    pub files: Vec<(String, Cow<'a, [u8]>)>,
}

impl Payload<'_> {
    /// The read-only memory that comes with the image.
    ///
    /// # Errors
    /// `Payload` for firmware of a size that no ROM has.
    pub(super) fn rom(&self) -> Result<Option<MemorySlot>> {
        let bytes = self.image.len() as u64;
        let rom = self.format.map(|format| format.rom(bytes)).transpose()?;
        Ok(rom.flatten())
    }

    /// Firmware is a ROM, and its end lies below 1 MiB, too.
    ///
    /// # Errors
    /// `Payload` for its size, `InvalidOption` for that of the machine's memory.
    pub(super) fn check_firmware(&self, memory_bytes: u64) -> Result<()> {
        self.rom()?;
        let least = layout::FIRMWARE_END;
        if memory_bytes >= least {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::InvalidOption,
            format!(
                "memoryBytes must be at least {least} with firmware, which runs below 1 MiB, got {memory_bytes}"
            ),
        ))
    }

    /// Only the firmware of a PC has a device that gives it files.
    ///
    /// # Errors
    /// `InvalidOption`, `Limit`.
    pub(super) fn check_files(&self, format: Format, pc: bool) -> Result<()> {
        if format == Format::Firmware && pc {
            return Ok(fw_cfg::check(&self.files)?);
        }
        if self.files.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::InvalidOption,
            "payload.files needs format 'firmware' and pc: true, whose firmware reads them",
        ))
    }
}
