//! What a multiboot kernel is told: the information block and all that it points to (§3.3).

use crate::error::Result;
use crate::layout::{FRAMEBUFFER_START, TEXT_MEMORY};
use crate::limits::PAGE_BYTES;
use crate::loader::memory_map::{MapEntry, kib_from, memory_map};
use crate::loader::request::LoadRequest;
use crate::loader::space::{HIGH_MEMORY, Space};
use crate::screen::Screen;

/// The block with all of its optional fields; those that we do not give are zero.
const INFO_BYTES: usize = 120;

/// Bits of `flags` for the fields that we give: `mem_*`, `cmdline`, `mods_*`, `mmap_*`,
/// `boot_loader_name`.
const GIVEN: u32 = 1 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9;

/// Bit of `flags` for the `framebuffer_*` fields, and where these begin.
const FRAMEBUFFER: u64 = 1 << 12;
const FRAMEBUFFER_ADDR: usize = 88;

/// `framebuffer_type`: pixels of red, green and blue, and EGA text.
const RGB: u8 = 1;
const EGA_TEXT: u8 = 2;

/// A `mmap` entry without its own `size` field.
const MMAP_ENTRY_BYTES: u32 = 20;

/// `boot_loader_name`.
const NAME: &[u8] = b"vmexit\0";

/// Fields of words in the block or in one of its tables.
const WORD: u64 = 4;

/// Puts the block, the strings, the modules and the tables into free memory, and says where the
/// block lies.
pub(super) fn place_info<'a>(request: &LoadRequest<'a>, space: &mut Space<'a>) -> Result<u64> {
    let map = memory_map(request.slots, request.reserved)?;
    let mut list = Vec::new();
    for module in request.modules {
        // Low, since kernels map their first megabytes first, but above what PCs call conventional
        // memory.
        let start = space.place_low("module", module.bytes, PAGE_BYTES, HIGH_MEMORY)?;
        let string = space.place_low("module-string", terminated(module.string), 1, 0)?;
        list.extend([start, start + module.bytes.len() as u64, string, 0]);
    }
    let mods_addr = match list.as_slice() {
        [] => 0,
        words => space.place_low("module-list", bytes_of(words), WORD, 0)?,
    };
    let mmap = mmap_bytes(&map);
    let mmap_length = mmap.len() as u64;
    let mmap_addr = space.place_low("memory-map", mmap, WORD, 0)?;
    let cmdline = space.place_low("command-line", terminated(request.command_line), 1, 0)?;
    let name = space.place_low("loader-name", NAME, 1, 0)?;
    let (lower, upper) = (kib_from(0, &map), kib_from(HIGH_MEMORY, &map));
    let mut info = bytes_of(&[
        u64::from(GIVEN) | request.screen.map_or(0, |_| FRAMEBUFFER),
        lower,
        upper,
        0, // boot_device
        cmdline,
        request.modules.len() as u64,
        mods_addr,
        0, // syms, four words
        0,
        0,
        0,
        mmap_length,
        mmap_addr,
        0, // drives_length
        0, // drives_addr
        0, // config_table
        name,
    ]);
    info.resize(FRAMEBUFFER_ADDR, 0);
    if let Some(screen) = request.screen {
        let (fields, colours) = framebuffer(screen);
        info.extend([&fields, colours].concat());
    }
    info.resize(INFO_BYTES, 0);
    space.place_low("info", info, WORD, 0)
}

/// The `framebuffer_*` fields that both versions have, and those of the colours, as far as there
/// are any: position and size of red, green and blue.
pub fn framebuffer(screen: Screen) -> (Vec<u8>, &'static [u8]) {
    let (gpa, pitch, width, height, bits, kind) = match screen {
        Screen::Text => (TEXT_MEMORY.start, 160, 80, 25, 16, EGA_TEXT),
        Screen::Pixels { width, height } => {
            let bytes = Screen::PIXEL_BYTES;
            let bits = 8 * bytes as u8;
            (FRAMEBUFFER_START, width * bytes, width, height, bits, RGB)
        }
    };
    let mut fields = gpa.to_le_bytes().to_vec();
    fields.extend([pitch, width, height].map(u32::to_le_bytes).concat());
    fields.extend([bits, kind]);
    let colours: &[u8] = if kind == RGB {
        &[16, 8, 8, 8, 0, 8]
    } else {
        &[]
    };
    (fields, colours)
}

/// The memory map as the block's `mmap_addr` points to it.
fn mmap_bytes(map: &[MapEntry]) -> Vec<u8> {
    map.iter()
        .flat_map(|entry| {
            let mut bytes = MMAP_ENTRY_BYTES.to_le_bytes().to_vec();
            bytes.extend(entry.range.start.to_le_bytes());
            bytes.extend(entry.bytes().to_le_bytes());
            bytes.extend((entry.usage as u32).to_le_bytes());
            bytes
        })
        .collect()
}

/// Values below 4 GiB as 32-bit words: addresses that `Space` chose, sizes within its reach.
fn bytes_of(values: &[u64]) -> Vec<u8> {
    let word = |value: &u64| u32::try_from(*value).unwrap_or(u32::MAX).to_le_bytes();
    values.iter().flat_map(word).collect()
}

fn terminated(string: &[u8]) -> Vec<u8> {
    [string, &[0]].concat()
}
