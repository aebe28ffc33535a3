//! What a multiboot 2 kernel is told: the boot information, a list of tags (§3.4).

use crate::error::Result;
use crate::limits::PAGE_BYTES;
use crate::loader::memory_map::{MapEntry, kib_from, memory_map};
use crate::loader::multiboot::info::framebuffer;
use crate::loader::request::LoadRequest;
use crate::loader::space::{HIGH_MEMORY, Space};

/// Tags lie on multiples of this, in the header, too.
pub const ALIGNMENT: u64 = 8;

/// `boot_loader_name`.
const NAME: &[u8] = b"vmexit\0";

/// A memory map entry, and its version.
const MAP_ENTRY: [u32; 2] = [24, 0];

/// Types of tags.
mod kind {
    pub const END: u32 = 0;
    pub const COMMAND_LINE: u32 = 1;
    pub const LOADER_NAME: u32 = 2;
    pub const MODULE: u32 = 3;
    pub const BASIC_MEMORY: u32 = 4;
    pub const MEMORY_MAP: u32 = 6;
    pub const FRAMEBUFFER: u32 = 8;
    pub const OLD_RSDP: u32 = 14;
    pub const NEW_RSDP: u32 = 15;
    pub const LOAD_BASE: u32 = 21;
}

/// Bytes of the root pointer as ACPI 1.0 had it.
const OLD_RSDP_BYTES: usize = 20;

/// Puts the modules and the information into free memory, and says where that lies.
pub(super) fn place_info<'a>(
    request: &LoadRequest<'a>,
    base: Option<u64>,
    space: &mut Space<'a>,
) -> Result<u64> {
    let map = memory_map(request.slots, request.reserved)?;
    let mut info = Information::default();
    info.tag(kind::COMMAND_LINE, &[request.command_line, &[0]]);
    info.tag(kind::LOADER_NAME, &[NAME]);
    for module in request.modules {
        let start = space.place_low("module", module.bytes, PAGE_BYTES, HIGH_MEMORY)?;
        let end = start + module.bytes.len() as u64;
        let range = words(&[start as u32, end as u32]);
        info.tag(kind::MODULE, &[&range, module.string, &[0]]);
    }
    let (lower, upper) = (kib_from(0, &map), kib_from(HIGH_MEMORY, &map));
    info.tag(kind::BASIC_MEMORY, &[&words(&[lower as u32, upper as u32])]);
    let entries = map.iter().flat_map(entry_bytes).collect::<Vec<_>>();
    info.tag(kind::MEMORY_MAP, &[&words(&MAP_ENTRY), &entries]);
    if let Some(screen) = request.screen {
        let (fields, colours) = framebuffer(screen);
        info.tag(kind::FRAMEBUFFER, &[&fields, &[0; 2], colours]);
    }
    if let Some(old) = request.rsdp.get(..OLD_RSDP_BYTES) {
        info.tag(kind::OLD_RSDP, &[old]);
        info.tag(kind::NEW_RSDP, &[request.rsdp]);
    }
    if let Some(base) = base {
        info.tag(kind::LOAD_BASE, &[&words(&[base as u32])]);
    }
    info.tag(kind::END, &[]);
    space.place_low("info", info.finish(), ALIGNMENT, 0)
}

/// Tags one after the other.
#[derive(Debug, Default)]
struct Information {
    tags: Vec<u8>,
}

impl Information {
    fn tag(&mut self, kind: u32, content: &[&[u8]]) {
        let content = content.concat();
        self.tags.extend(words(&[kind, 8 + content.len() as u32]));
        self.tags.extend(content);
        let end = self.tags.len().next_multiple_of(ALIGNMENT as usize);
        self.tags.resize(end, 0);
    }

    /// All of it, after its size and a word that is zero.
    fn finish(self) -> Vec<u8> {
        let total = 8 + self.tags.len() as u32;
        [words(&[total, 0]), self.tags].concat()
    }
}

fn entry_bytes(entry: &MapEntry) -> Vec<u8> {
    let mut bytes = entry.range.start.to_le_bytes().to_vec();
    bytes.extend(entry.bytes().to_le_bytes());
    bytes.extend(words(&[entry.usage as u32, 0]));
    bytes
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
