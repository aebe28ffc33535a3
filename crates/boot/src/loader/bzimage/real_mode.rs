//! The 16-bit entry of the Linux boot protocol (boot.rst, "Loading the rest of the kernel",
//! "Running the kernel"): the image's setup code runs in real mode, and asks a BIOS.
//!
//! ```text
//! 0x90000 ┌─────────────────────────┐ setup code, with the header; DS = ES = SS
//! 0x90200 │ entry, CS               │
//!         │ heap                    │
//! 0x9e000 ├─────────────────────────┤ SP
//!         │ command line            │
//! 0x9fc00 └─────────────────────────┘ EBDA
//! ```

use std::borrow::Cow;

use linux_loader::bootparam::{CAN_USE_HEAP, setup_header};
use vm_memory::ByteValued;

use super::header::{Code, LOADER_UNDEFINED, SETUP_HEADER, header_end};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{LINUX_SETUP, LINUX_SETUP_HEAP_END};
use crate::loader::image::Image;
use crate::loader::loaded::{Loaded, Part, StartRegisters};
use crate::loader::request::{Format, LoadRequest};
use crate::loader::space::{HIGH_MEMORY, Space};
use crate::mode::CpuMode;
use crate::state::Protocol;

/// The entry's distance from the setup code's first byte.
const ENTRY: u64 = 0x200;

/// `heap_end_ptr` counts from the end of the boot sector, and leaves that much for the stack.
const HEAP_END_PTR: u64 = LINUX_SETUP_HEAP_END - ENTRY;

/// `vid_mode`: as the screen is.
const NORMAL_VIDEO: u16 = 0xffff;

/// Puts setup code, kernel, command line and initrd where the protocol has them.
pub(super) fn load<'a>(
    request: &LoadRequest<'a>,
    image: &Image<'a>,
    mut header: setup_header,
    code: &Code<'a>,
    mut space: Space<'a>,
) -> Result<Loaded<'a>> {
    if let Some(entry) = request.entry_gpa {
        return Err(Error::new(
            ErrorKind::InvalidOption,
            format!(
                "payload.entryGpa does not go with the 16-bit entry of a Linux image, which is {:#x}, got {entry:#x}",
                LINUX_SETUP + ENTRY
            ),
        ));
    }
    let setup_bytes = code.setup_bytes;
    if setup_bytes > LINUX_SETUP_HEAP_END {
        return Err(image.unfit(format_args!(
            "its setup code of {setup_bytes} bytes leaves no heap below {LINUX_SETUP_HEAP_END:#x}"
        )));
    }
    space.place(Part {
        what: "kernel",
        gpa: HIGH_MEMORY,
        bytes: Cow::Borrowed(code.kernel),
        memory_bytes: code.kernel_bytes,
    })?;
    header.type_of_loader = LOADER_UNDEFINED;
    header.loadflags |= CAN_USE_HEAP;
    header.heap_end_ptr = HEAP_END_PTR as u16;
    header.vid_mode = NORMAL_VIDEO;
    header.setup_data = 0;
    if let Some(initrd) = request.initrd {
        let limit = u64::from(header.initrd_addr_max) + 1;
        header.ramdisk_image = space.place_high("initrd", initrd, limit)? as u32;
        header.ramdisk_size = initrd.len() as u32;
    }
    let line = LINUX_SETUP + LINUX_SETUP_HEAP_END;
    header.cmd_line_ptr = line as u32;
    space.place(Part {
        what: "command-line",
        gpa: line,
        bytes: [request.command_line, &[0]].concat().into(),
        memory_bytes: request.command_line.len() as u64 + 1,
    })?;
    let mut setup = image.slice("the setup code", 0, setup_bytes)?.to_vec();
    // What follows the image's own header is code.
    let own_bytes = (header_end(image)? - SETUP_HEADER) as usize;
    let own_header = setup.iter_mut().skip(SETUP_HEADER as usize).take(own_bytes);
    for (to, from) in own_header.zip(header.as_slice()) {
        *to = *from;
    }
    space.place(Part {
        what: "setup",
        gpa: LINUX_SETUP,
        bytes: setup.into(),
        memory_bytes: LINUX_SETUP_HEAP_END,
    })?;
    Ok(Loaded {
        format: Format::BzImage,
        mode: Some(CpuMode::Real),
        protocol: Protocol::LinuxReal,
        entry_gpa: LINUX_SETUP + ENTRY,
        registers: StartRegisters::default(),
        parts: space.parts,
    })
}
