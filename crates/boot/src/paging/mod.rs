//! What a processor makes of a linear address, in all forms of paging (Intel SDM vol. 3A §5.3 to
//! §5.5): a pure function over control registers and a reader of memory.
//!
//! It asks the tables in memory, never a processor: translations that a processor still has in its
//! TLB, and the four pointers that PAE paging loads with CR3, may differ from them.

mod form;

use kvm_bindings::{CpuId, kvm_sregs};

use crate::named::named;
pub use form::{PagingForm, TableLevel};

/// Leaf 0x80000001, EDX: pages of 1 GiB, and the no-execute flag.
const GIGABYTE_PAGES: u32 = 1 << 26;
const NO_EXECUTE: u32 = 1 << 20;
const FEATURES_LEAF: u32 = 0x8000_0001;
/// Leaf 0x80000008, EAX: how many bits a physical address has.
const ADDRESSES_LEAF: u32 = 0x8000_0008;
/// Leaf 0, EBX: how the names of the makers whose manual is AMD's begin.
const AMD_NAMES: [&[u8; 4]; 2] = [b"Auth", b"Hygo"];
const VENDOR_LEAF: u32 = 0;
/// Where there is no such leaf (§5.1.4), and the most that any processor has.
const DEFAULT_PHYS_BITS: u8 = 36;
const MOST_PHYS_BITS: u8 = 52;

/// A page-table entry's flags (§5.3 to §5.5), and the address in those of 64 bits.
const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
pub(crate) const PAGE_SIZE: u64 = 1 << 7;
pub(crate) const NO_EXECUTE_FLAG: u64 = 1 << 63;
pub(crate) const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// What of CPUID decides how entries are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PagingFeatures {
    /// MAXPHYADDR: bits of a physical address, up to 52.
    pub max_phys_bits: u8,
    /// Pages of 1 GiB.
    pub has_1gib: bool,
    /// The no-execute flag, which EFER.NXE enables.
    pub has_nx: bool,
    /// AMD's manual counts: it reserves one bit more (AMD APM vol. 2 §5.3.3).
    pub is_amd: bool,
}

impl PagingFeatures {
    /// Of a vCPU with this list.
    pub fn of(cpuid: &CpuId) -> Self {
        let leaf = |function| {
            let mut entries = cpuid.as_slice().iter();
            entries.find(|entry| entry.function == function)
        };
        let features = leaf(FEATURES_LEAF).map_or(0, |leaf| leaf.edx);
        let maker = leaf(VENDOR_LEAF).map_or(0, |leaf| leaf.ebx);
        let bits = leaf(ADDRESSES_LEAF).map_or(0, |leaf| leaf.eax as u8);
        Self {
            max_phys_bits: match bits {
                0 => DEFAULT_PHYS_BITS,
                bits => bits.min(MOST_PHYS_BITS),
            },
            has_1gib: features & GIGABYTE_PAGES != 0,
            has_nx: features & NO_EXECUTE != 0,
            is_amd: AMD_NAMES.contains(&&maker.to_le_bytes()),
        }
    }
}

/// The registers that decide how linear addresses are translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PagingState {
    /// CR0; PG turns paging on.
    pub cr0: u64,
    /// CR3, where the top table is.
    pub cr3: u64,
    /// CR4; PSE, PAE and LA57 choose the form.
    pub cr4: u64,
    /// EFER; LMA chooses the form, NXE enables the no-execute flag.
    pub efer: u64,
    /// Of the processor.
    pub features: PagingFeatures,
}

impl PagingState {
    /// Of a vCPU.
    pub const fn new(special: &kvm_sregs, features: PagingFeatures) -> Self {
        Self {
            cr0: special.cr0,
            cr3: special.cr3,
            cr4: special.cr4,
            efer: special.efer,
            features,
        }
    }
}

/// One table entry on the way from the top to the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The table's level.
    pub level: TableLevel,
    /// Where the entry is.
    pub gpa: u64,
    /// The entry, of 32 bits in 32-bit paging.
    pub entry: u64,
    /// P.
    pub present: bool,
    /// R/W; pointers of PAE paging have none and allow it.
    pub writable: bool,
    /// U/S; likewise.
    pub user: bool,
    /// Not XD, which counts only with EFER.NXE.
    pub executable: bool,
    /// The entry maps a page, and points to no further table.
    pub is_page: bool,
}

/// Where a linear address lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The physical address of the byte itself.
    pub gpa: u64,
    /// How large its page is; 4 KiB without paging.
    pub page_bytes: u64,
    /// Ring 3 may reach it: U/S on all levels.
    pub user: bool,
    /// It may be written to: R/W on all levels. With CR0.WP clear, rings 0 to 2 may do so anyway.
    pub writable: bool,
    /// Instructions may be fetched from it: XD on no level.
    pub executable: bool,
}

/// Why there is no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissReason {
    /// P is clear.
    NotPresent,
    /// A bit is set that must be zero.
    Reserved,
    /// The entry maps a page of 1 GiB, which this processor does not have.
    NoGigabytePage,
    /// The entry lies where there is no memory.
    NoMemory,
    /// The address has more bits than the form of paging translates.
    NonCanonical,
}

/// As `each_mode`, with every reason.
#[macro_export]
macro_rules! each_miss_reason {
    ($call:ident $($given:tt)*) => {
        $call! {
            $($given)* {
                NotPresent = "not-present",
                Reserved = "reserved",
                NoGigabytePage = "no-gigabyte-page",
                NoMemory = "no-memory",
                NonCanonical = "non-canonical"
            }
        }
    };
}
each_miss_reason!(named MissReason);

/// Where a walk ends without a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Miss {
    /// At which table; none if no table was asked.
    pub level: Option<TableLevel>,
    /// What was wrong there.
    pub why: MissReason,
}

/// The way to a page, entry by entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// From the top table on, as far as the walk went; without paging there are none.
    pub steps: Vec<Step>,
    /// What it found.
    pub result: Result<Page, Miss>,
}

/// Translates a linear address. `read` fills bytes from physical memory, or returns false.
pub fn walk(state: &PagingState, linear: u64, read: impl Fn(u64, &mut [u8]) -> bool) -> Walk {
    let mut steps = Vec::new();
    let result = descend(state, linear, read, &mut steps);
    Walk { steps, result }
}

fn descend(
    state: &PagingState,
    linear: u64,
    read: impl Fn(u64, &mut [u8]) -> bool,
    steps: &mut Vec<Step>,
) -> Result<Page, Miss> {
    let form = PagingForm::of(state);
    if !form.is_canonical(linear) {
        return Err(Miss {
            level: None,
            why: MissReason::NonCanonical,
        });
    }
    let mut page = Page {
        gpa: linear,
        page_bytes: 1 << 12,
        user: true,
        writable: true,
        executable: true,
    };
    let mut table = form.top_table(state.cr3);
    for &level in form.levels() {
        let miss = |why| {
            let level = Some(level);
            Err(Miss { level, why })
        };
        let gpa = table + form.index(level, linear) * form.entry_bytes();
        let mut bytes = [0; 8];
        let (entry, _) = bytes.split_at_mut(form.entry_bytes() as usize);
        if !read(gpa, entry) {
            return miss(MissReason::NoMemory);
        }
        let step = step(form, state, level, gpa, u64::from_le_bytes(bytes));
        steps.push(step);
        if !step.present {
            return miss(MissReason::NotPresent);
        }
        if step.is_page && level == TableLevel::Pdpt && !state.features.has_1gib {
            return miss(MissReason::NoGigabytePage);
        }
        if step.entry & form.reserved(level, step.is_page, state) != 0 {
            return miss(MissReason::Reserved);
        }
        page.user &= step.user;
        page.writable &= step.writable;
        page.executable &= step.executable;
        if step.is_page {
            page.page_bytes = 1 << form.shift(level);
            page.gpa = form.page_base(level, step.entry) | linear & (page.page_bytes - 1);
            break;
        }
        table = step.entry & ADDRESS;
    }
    Ok(page)
}

fn step(form: PagingForm, state: &PagingState, level: TableLevel, gpa: u64, entry: u64) -> Step {
    let has_rights = form.has_rights(level);
    let large = entry & PAGE_SIZE != 0 && form.may_be_page(level, state);
    Step {
        level,
        gpa,
        entry,
        present: entry & PRESENT != 0,
        writable: !has_rights || entry & WRITABLE != 0,
        user: !has_rights || entry & USER != 0,
        executable: !(form.has_no_execute(state) && has_rights && entry & NO_EXECUTE_FLAG != 0),
        is_page: level == TableLevel::Pt || large,
    }
}

#[cfg(test)]
mod tests;
