//! The setup header of a bzImage, and what follows it in the file.

use linux_loader::bootparam::{LOADED_HIGH, setup_header};
use vm_memory::ByteValued;

use crate::error::Result;
use crate::loader::image::Image;

/// Where the setup header begins, in the file and in `boot_params`.
pub const SETUP_HEADER: u64 = 0x1f1;
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
/// `loadflags`.
const LOADFLAGS: u64 = 0x211;
/// The end of `cmdline_size`: a header of version 2.06 reaches at least to here.
const SHORTEST_HEADER_END: u64 = 0x23c;
/// One past the last byte that a header may take in `boot_params`.
const LONGEST_HEADER_END: u64 = 0x290;
/// Setup code comes in sectors, the kernel in paragraphs.
const SECTOR_BYTES: u64 = 512;
const PARAGRAPH_BYTES: u64 = 16;
/// What `setup_sects` means when it is zero.
const DEFAULT_SETUP_SECTS: u64 = 4;
/// `type_of_loader` for loaders without a number of their own.
pub const LOADER_UNDEFINED: u8 = 0xff;

/// Whether the image has the magic number of a setup header.
pub fn has_header(bytes: &[u8]) -> bool {
    let (offset, magic) = HEADER;
    let found = bytes.get(offset as usize..);
    found.is_some_and(|found| found.starts_with(magic))
}

/// One past the image's own header.
pub fn header_end(image: &Image) -> Result<u64> {
    Ok(HEADER.0 + u64::from(image.u8("jump", JUMP_DISTANCE)?))
}

/// The setup header, checked as far as its fields stand for themselves; what its version does not
/// know is zero.
pub fn read_header(image: &Image) -> Result<setup_header> {
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
    let end = header_end(image)?;
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

/// What follows the header: the setup code's size, and the kernel.
#[derive(Debug)]
pub struct Code<'a> {
    pub setup_bytes: u64,
    pub kernel: &'a [u8],
    /// With padding that the file may lack.
    pub kernel_bytes: u64,
}

pub fn read_code<'a>(image: &Image<'a>, header: &setup_header) -> Result<Code<'a>> {
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
    Ok(Code {
        setup_bytes: start,
        kernel: bytes,
        kernel_bytes: length,
    })
}
