//! What is to be loaded.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::limits::{MAX_COMMAND_LINE_BYTES, MAX_MODULES};
use crate::mode::CpuMode;
use crate::named::named;
use crate::screen::Screen;
use crate::slot::MemorySlot;

/// The format of an image, which determines where its bytes go and where it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Format {
    /// Bytes without headers, for the address that the caller names.
    Flat,
    /// ELF32 or ELF64 segments at their physical addresses.
    Elf,
    /// A multiboot 1 header, with address fields of its own or in an ELF image.
    Multiboot,
    /// A multiboot 2 header, with tags for addresses or in an ELF image.
    Multiboot2,
    /// An ELF image with the note `XEN_ELFNOTE_PHYS32_ENTRY`.
    Pvh,
    /// A Linux kernel of boot protocol 2.06 or newer.
    BzImage,
    /// ROM below 4 GiB, with the reset vector at its end.
    Firmware,
}

/// Hands every format and its name to a macro, after what is given.
#[macro_export]
macro_rules! each_format {
    ($call:ident $($given:tt)*) => {
        $call! {
            $($given)* {
                Flat = "flat", Elf = "elf", Multiboot = "multiboot", Multiboot2 = "multiboot2",
                Pvh = "pvh", BzImage = "bzimage", Firmware = "firmware"
            }
        }
    };
}
each_format!(named Format);

/// A multiboot module: bytes, and the string that goes with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module<'a> {
    /// What the module holds.
    pub bytes: &'a [u8],
    /// Its string, without the zero at its end.
    pub string: &'a [u8],
}

/// An image, its extras, and the memory that it goes into.
#[derive(Clone, Debug)]
pub struct LoadRequest<'a> {
    /// The image.
    pub image: &'a [u8],
    /// Its format; with `None` the content decides.
    pub format: Option<Format>,
    /// Where a flat image lies; 0 for the formats that say it themselves.
    pub load_gpa: u64,
    /// Where execution starts instead of where the image says (a flat image: at its first byte).
    pub entry_gpa: Option<u64>,
    /// For multiboot, PVH and bzImage, without the zero at its end.
    pub command_line: &'a [u8],
    /// For PVH and bzImage.
    pub initrd: Option<&'a [u8]>,
    /// For multiboot.
    pub modules: &'a [Module<'a>],
    /// The guest's memory. Whatever the image does not place itself goes into the slot at gpa 0.
    pub slots: &'a [MemorySlot],
    /// Addresses, with memory or without, that are reserved; the guest's memory map says so.
    pub reserved: &'a [Range<u64>],
    /// The ACPI root pointer, for the formats that pass it on.
    pub rsdp_gpa: Option<u64>,
    /// Its bytes, for multiboot 2, which passes on a copy.
    pub rsdp: &'a [u8],
    /// The mode that the caller wants, for an image that can start in several: a bzImage has a
    /// 16-bit entry, too.
    pub mode: Option<CpuMode>,
    /// The screen, for the formats that tell of one.
    pub screen: Option<Screen>,
}

impl LoadRequest<'_> {
    /// Checks what does not depend on the image's content, so that nothing that was asked for is
    /// silently left out.
    pub(super) fn check(&self, format: Format) -> Result<()> {
        if self.image.is_empty() {
            return Err(Error::new(
                ErrorKind::Payload,
                "payload.image must not be empty, got 0 bytes",
            ));
        }
        check_string("command line", self.command_line)?;
        for (index, module) in self.modules.iter().enumerate() {
            if module.bytes.is_empty() {
                return Err(Error::new(
                    ErrorKind::Payload,
                    format!("payload.modules[{index}].image must not be empty, got 0 bytes"),
                ));
            }
            check_string(&format!("modules[{index}].string"), module.string)?;
        }
        if self.modules.len() > MAX_MODULES {
            let got = self.modules.len();
            return Err(Error::new(
                ErrorKind::Limit,
                format!("modules: at most {MAX_MODULES}, got {got}"),
            ));
        }
        self.check_takers(format)
    }

    /// Refuses what a format has no use for.
    fn check_takers(&self, format: Format) -> Result<()> {
        let strange = [
            ("loadGpa", self.load_gpa != 0, &[Format::Flat][..]),
            (
                "entryGpa",
                self.entry_gpa.is_some(),
                &[
                    Format::Flat,
                    Format::Elf,
                    Format::Multiboot,
                    Format::Multiboot2,
                    Format::Pvh,
                    Format::BzImage,
                ][..],
            ),
            (
                "a command line",
                !self.command_line.is_empty(),
                &[
                    Format::Multiboot,
                    Format::Multiboot2,
                    Format::Pvh,
                    Format::BzImage,
                ][..],
            ),
            (
                "an initrd",
                self.initrd.is_some(),
                &[Format::Pvh, Format::BzImage][..],
            ),
            (
                "modules",
                !self.modules.is_empty(),
                &[Format::Multiboot, Format::Multiboot2][..],
            ),
        ];
        for (what, given, takers) in strange {
            if given && !takers.contains(&format) {
                let takers: Vec<_> = takers.iter().map(|taker| taker.name()).collect();
                return Err(Error::new(
                    ErrorKind::InvalidOption,
                    format!(
                        "payload: {what} goes with format {}, and this image is {}",
                        takers.join(" or "),
                        format.name()
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// A string that the guest reads up to its first zero.
fn check_string(name: &str, string: &[u8]) -> Result<()> {
    if let Some(index) = string.iter().position(|byte| *byte == 0) {
        return Err(Error::new(
            ErrorKind::InvalidOption,
            format!("{name} must have no zero byte, got one at index {index}"),
        ));
    }
    if string.len() > MAX_COMMAND_LINE_BYTES {
        let got = string.len();
        return Err(Error::new(
            ErrorKind::Limit,
            format!("{name}: at most {MAX_COMMAND_LINE_BYTES} bytes, got {got}"),
        ));
    }
    Ok(())
}
