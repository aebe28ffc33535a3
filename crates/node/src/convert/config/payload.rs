//! The guest program, converted from JavaScript's types to Rust's.

use std::borrow::Cow;

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use vmm::{CpuMode, Format, Payload, Privilege, Result};

use crate::convert::words::NativeFormat;
use crate::guests;

/// A guest program: an image of its own, or an embedded guest by name and mode.
#[napi(object)]
pub struct NativePayload {
    /// The image.
    pub image: Option<Uint8Array>,
    /// `'flat'`: bytes without headers. `'elf'`: ELF32 or ELF64. `'multiboot'`,
    /// `'multiboot2'`: with a header of version 1 or 2. `'pvh'`: an ELF kernel with a PVH entry.
    /// `'bzimage'`: a Linux kernel, boot protocol 2.06 or newer. `'firmware'`: a PC's ROM below 4
    /// GiB, which starts at the reset vector; a multiple of 64 KiB, up to 16 MiB, and its last 256
    /// KiB lie below 1 MiB, too. Default: determined by the content, which never says
    /// `'firmware'`.
    pub format: Option<NativeFormat>,
    /// The name of an embedded guest.
    pub guest: Option<String>,
    /// Guest physical address of a flat image's first byte, default 0. The whole image lies inside
    /// memory.
    pub load_gpa: f64,
    /// Guest physical address of the first instruction. Default: the image's own entry; for a flat
    /// image `loadGpa`. Below 1 MiB in real mode, below 4 GiB in 32 bits. Not for firmware.
    pub entry_gpa: Option<f64>,
    /// The command line, for all formats but flat and ELF. Default empty.
    pub cmdline: Option<String>,
    /// The initial RAM disk, for PVH and bzImage. It is copied.
    pub initrd: Option<Uint8Array>,
    /// For multiboot and multiboot 2.
    pub modules: Vec<NativeModule>,
    /// For firmware, with `pc: true`: up to 56 files of up to 16 MiB in all.
    pub files: Vec<NativeFile>,
}

/// What firmware finds by name in its configuration device.
#[napi(object)]
pub struct NativeFile {
    /// Up to 55 bytes.
    pub name: String,
    /// Its bytes. They are copied.
    pub bytes: Uint8Array,
}

/// A multiboot module.
#[napi(object)]
pub struct NativeModule {
    /// Its bytes. They are copied.
    pub image: Uint8Array,
    /// Its string, default empty.
    pub string: String,
}

impl NativePayload {
    pub(super) fn parse(&self, mode: Option<CpuMode>, privilege: Privilege) -> Result<Payload<'_>> {
        if let Some(guest) = &self.guest {
            return Ok(Payload {
                image: Cow::Borrowed(guests::find(guest, mode, privilege)?),
                ..Payload::default()
            });
        }
        let modules = self.modules.iter();
        Ok(Payload {
            image: Cow::Borrowed(self.image.as_deref().unwrap_or_default()),
            format: self.format.map(Format::from),
            load_gpa: self.load_gpa as u64,
            entry_gpa: self.entry_gpa.map(|gpa| gpa as u64),
            command_line: self.cmdline.clone().unwrap_or_default().into_bytes(),
            initrd: self.initrd.as_deref().map(Cow::Borrowed),
            modules: modules
                .map(|NativeModule { image, string }| {
                    (Cow::Borrowed(&**image), string.clone().into_bytes())
                })
                .collect(),
            files: self
                .files
                .iter()
                .map(|NativeFile { name, bytes }| (name.clone(), Cow::Borrowed(&**bytes)))
                .collect(),
        })
    }
}
