//! The forms of paging: how many tables there are, what an entry of each may say.

use super::{ADDRESS, NO_EXECUTE_FLAG, PAGE_SIZE, PagingState};
use crate::named::named;
use crate::state::{CR0_PG, CR4_LA57, CR4_PAE, CR4_PSE, EFER_LMA, EFER_NXE};

/// How a processor translates linear addresses (Intel SDM vol. 3A §5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PagingForm {
    /// Not at all: they are physical.
    None,
    /// Two levels of 32-bit entries.
    Bits32,
    /// Three levels of 64-bit entries for addresses of 32 bits.
    Pae,
    /// Four levels, for addresses of 48 bits.
    FourLevel,
    /// Five levels, for addresses of 57 bits.
    FiveLevel,
}

/// A level of page tables, from the last to the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableLevel {
    /// Page table.
    Pt = 1,
    /// Page directory.
    Pd,
    /// Page-directory-pointer table.
    Pdpt,
    /// Page-map level 4.
    Pml4,
    /// Page-map level 5.
    Pml5,
}

use TableLevel::{Pd, Pdpt, Pml4, Pml5, Pt};

/// Of 32-bit paging: where a page of 4 MiB has the address bits from 32 on, and how many it may
/// have (§5.3, PSE-36).
const PSE36_AT: u32 = 13;
const PSE36_TO: u8 = 40;

/// As `each_mode`, with every level, by the manuals' words.
#[macro_export]
macro_rules! each_table_level {
    ($call:ident $($given:tt)*) => {
        $call! { $($given)* { Pml5 = "PML5", Pml4 = "PML4", Pdpt = "PDPT", Pd = "PD", Pt = "PT" } }
    };
}
each_table_level!(named TableLevel);

/// The bits from one to another, both of them included; none if they are in the wrong order.
const fn bits(from: u32, to: u32) -> u64 {
    if from > to {
        return 0;
    }
    (u64::MAX >> (63 - to)) & (u64::MAX << from)
}

impl PagingForm {
    /// What the registers choose.
    pub const fn of(state: &PagingState) -> Self {
        match state {
            _ if state.cr0 & CR0_PG == 0 => Self::None,
            _ if state.efer & EFER_LMA != 0 && state.cr4 & CR4_LA57 != 0 => Self::FiveLevel,
            _ if state.efer & EFER_LMA != 0 => Self::FourLevel,
            _ if state.cr4 & CR4_PAE != 0 => Self::Pae,
            _ => Self::Bits32,
        }
    }

    /// Its tables, the top one first.
    pub const fn levels(self) -> &'static [TableLevel] {
        match self {
            Self::None => &[],
            Self::Bits32 => &[Pd, Pt],
            Self::Pae => &[Pdpt, Pd, Pt],
            Self::FourLevel => &[Pml4, Pdpt, Pd, Pt],
            Self::FiveLevel => &[Pml5, Pml4, Pdpt, Pd, Pt],
        }
    }

    /// Whether an address is one that it translates (vol. 1 §3.3.7.1).
    pub(super) const fn is_canonical(self, linear: u64) -> bool {
        let unused = match self {
            Self::None | Self::Bits32 | Self::Pae => return linear >> 32 == 0,
            Self::FourLevel => 16,
            Self::FiveLevel => 7,
        };
        ((linear as i64) << unused) >> unused == linear as i64
    }

    pub(super) const fn top_table(self, cr3: u64) -> u64 {
        match self {
            Self::None => 0,
            Self::Bits32 => cr3 & 0xffff_f000,
            // Four pointers, aligned to as many bytes as they have.
            Self::Pae => cr3 & 0xffff_ffe0,
            Self::FourLevel | Self::FiveLevel => cr3 & ADDRESS,
        }
    }

    pub(super) const fn entry_bytes(self) -> u64 {
        match self {
            Self::Bits32 => 4,
            _ => 8,
        }
    }

    const fn index_bits(self) -> u32 {
        match self {
            Self::Bits32 => 10,
            _ => 9,
        }
    }

    pub(super) const fn shift(self, level: TableLevel) -> u32 {
        12 + self.index_bits() * (level as u32 - 1)
    }

    /// Which entry of a table is an address's.
    pub(super) const fn index(self, level: TableLevel, linear: u64) -> u64 {
        (linear >> self.shift(level)) & bits(0, self.index_bits() - 1)
    }

    /// Whether PS makes an entry of a level a page.
    pub(super) const fn may_be_page(self, level: TableLevel, state: &PagingState) -> bool {
        match self {
            Self::None => false,
            Self::Bits32 => matches!(level, Pd) && state.cr4 & CR4_PSE != 0,
            Self::Pae => matches!(level, Pd),
            Self::FourLevel | Self::FiveLevel => matches!(level, Pd | Pdpt),
        }
    }

    /// Whether entries of a level have R/W, U/S and XD: all but the pointers of PAE paging.
    pub(super) const fn has_rights(self, level: TableLevel) -> bool {
        !matches!((self, level), (Self::Pae, Pdpt))
    }

    /// Whether XD counts.
    pub(super) const fn has_no_execute(self, state: &PagingState) -> bool {
        !matches!(self, Self::None | Self::Bits32) && state.efer & EFER_NXE != 0
    }

    /// Where the page of an entry begins.
    pub(super) const fn page_base(self, level: TableLevel, entry: u64) -> u64 {
        let base = entry & ADDRESS & !bits(0, self.shift(level) - 1);
        match (self, level) {
            (Self::Bits32, Pd) => base | ((entry >> PSE36_AT) & 0xff) << 32,
            _ => base,
        }
    }

    /// The bits of a present entry that must be zero (§5.3 table 5-4, §5.4.2 tables 5-8 to 5-11,
    /// §5.5.4 tables 5-15 to 5-20; AMD APM vol. 2 §5.3.3).
    pub(super) fn reserved(self, level: TableLevel, is_page: bool, state: &PagingState) -> u64 {
        let max = u32::from(state.features.max_phys_bits);
        if self == Self::Bits32 {
            let high = u32::from(state.features.max_phys_bits.clamp(32, PSE36_TO)) - 32;
            let is_large = is_page && level == Pd;
            return if is_large {
                bits(PSE36_AT + high, 21)
            } else {
                0
            };
        }
        let high = match self {
            Self::Pae => bits(max, 62),
            _ => bits(max, 51),
        };
        let no_execute = if self.has_no_execute(state) && self.has_rights(level) {
            0
        } else {
            NO_EXECUTE_FLAG
        };
        let own = match level {
            // An emulated AMD processor sets the accessed flag, bit 5, in pointers, too.
            Pdpt if self == Self::Pae && state.features.is_amd => bits(1, 2) | bits(6, 8),
            Pdpt if self == Self::Pae => bits(1, 2) | bits(5, 8),
            Pml4 | Pml5 if state.features.is_amd => bits(7, 8),
            Pml4 | Pml5 => PAGE_SIZE,
            Pd | Pdpt if is_page => bits(13, self.shift(level) - 1),
            Pt | Pd | Pdpt => 0,
        };
        high | no_execute | own
    }
}
