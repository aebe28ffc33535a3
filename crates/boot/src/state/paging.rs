//! Identity-mapping page tables (Intel SDM vol. 3A §5.3 for 32-bit, §5.5 for 4-level paging).

use super::config::Table;
use crate::layout::{self, DIRECTORY_SPAN};
use crate::limits::PAGE_BYTES;
use crate::mode::Privilege;

/// P, present.
pub const PRESENT: u64 = 1;
/// R/W, writable.
pub const WRITABLE: u64 = 1 << 1;
/// U/S, reachable from CPL 3; it counts only when set on every level.
pub const USER: u64 = 1 << 2;
/// PS, the entry maps a large page.
pub const LARGE: u64 = 1 << 7;

const PAGE_4_MIB: u64 = 4 << 20;
const PAGE_2_MIB: u64 = 2 << 20;
const ENTRIES_32: u64 = 1024;
const ENTRIES_64: u64 = 512;

/// The page directory of paged32: 1,024 pages of 4 MiB map all 4 GiB.
pub fn page_directory_32() -> Table {
    let entry = |index: u64| ((index * PAGE_4_MIB) | PRESENT | WRITABLE | LARGE) as u32;
    let bytes = (0..ENTRIES_32)
        .flat_map(|index| entry(index).to_le_bytes())
        .collect();
    Table {
        gpa: layout::TOP_TABLE,
        bytes,
    }
}

/// PML4, page-directory-pointer table and page directories of 2 MiB pages for everything below
/// `top` (at least 4 GiB).
pub fn long_mode_tables(top: u64, privilege: Privilege) -> Vec<Table> {
    let user = match privilege {
        Privilege::Kernel => 0,
        Privilege::User => USER,
    };
    let flags = PRESENT | WRITABLE | user;
    let directories = layout::directories(top);
    let pml4 = entries(layout::TOP_TABLE, std::iter::once(layout::PDPT | flags));
    let pdpt = entries(
        layout::PDPT,
        (0..directories).map(|index| (layout::DIRECTORIES + index * PAGE_BYTES) | flags),
    );
    let pages = directories * ENTRIES_64;
    // What the processor reads is not for ring 3, which could leave it by what it writes there.
    let system = layout::SYSTEM_START..layout::SYSTEM_LIMIT;
    let directory = entries(
        layout::DIRECTORIES,
        (0..pages).map(|index| {
            let gpa = index * PAGE_2_MIB;
            let flags = if system.contains(&gpa) {
                flags & !USER
            } else {
                flags
            };
            gpa | flags | LARGE
        }),
    );
    vec![pml4, pdpt, directory]
}

fn entries(gpa: u64, values: impl Iterator<Item = u64>) -> Table {
    Table {
        gpa,
        bytes: values.flat_map(u64::to_le_bytes).collect(),
    }
}

const _: () = {
    assert!(ENTRIES_64 * PAGE_2_MIB == DIRECTORY_SPAN);
    assert!(ENTRIES_32 * size_of::<u32>() as u64 == PAGE_BYTES);
    assert!(ENTRIES_64 * size_of::<u64>() as u64 == PAGE_BYTES);
};
