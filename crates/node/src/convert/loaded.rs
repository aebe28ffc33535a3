//! What was put where, converted from Rust's types to JavaScript's.

use napi::Either;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use vmm::{Error, Format, Placement};

use crate::convert::failure::Failure;
use crate::convert::words::{NativeFormat, NativeMode};

/// An image in memory.
#[napi(object)]
pub struct NativeLoaded {
    /// The image's format, as given or found.
    pub format: NativeFormat,
    /// The mode of the first instruction.
    pub mode: NativeMode,
    /// Guest physical address of the first instruction.
    pub entry_gpa: f64,
    /// In the order of placing.
    pub parts: Vec<NativePart>,
}

/// One thing in memory.
#[napi(object)]
pub struct NativePart {
    /// Its role: `image`, `segment`, `bss`, `kernel`, `initrd`, `module`, `command-line`,
    /// `boot-params`, …
    pub what: String,
    /// Guest physical address of its first byte.
    pub gpa: f64,
    /// Bytes that were written.
    pub bytes: f64,
    /// All of its memory, at least `bytes`; the rest is zero.
    pub memory_bytes: f64,
}

impl From<&Placement> for NativeLoaded {
    fn from(placement: &Placement) -> Self {
        let parts = placement.parts.iter();
        Self {
            format: placement.format.into(),
            mode: placement.mode.into(),
            entry_gpa: placement.entry_gpa as f64,
            parts: parts
                .map(|part| NativePart {
                    what: part.what.clone().into_owned(),
                    gpa: part.gpa as f64,
                    bytes: part.bytes as f64,
                    memory_bytes: part.memory_bytes as f64,
                })
                .collect(),
        }
    }
}

/// The format of an image by its content, as `NativePayload.format` names it.
#[napi(ts_return_type = "NativeFormat | Failure")]
pub fn image_format(image: Uint8Array) -> Either<NativeFormat, Failure> {
    match Format::of(&image) {
        Ok(format) => Either::A(format.into()),
        Err(error) => Either::B(Error::from(error).into()),
    }
}
