//! How a linear address is translated, for TypeScript.

use napi::bindgen_prelude::BigInt;
use napi_derive::napi;
use vmm::{Miss, Page, Step, TableLevel, Walk};

use crate::convert::words::{NativeMissReason, NativeTableLevel};

/// An entry of the page tables on the way to a page.
#[napi(object)]
pub struct NativeWalkLevel {
    /// The level of its table.
    pub name: NativeTableLevel,
    /// Guest physical address of the entry.
    pub gpa: f64,
    /// The entry, 64 bits, or 32 in 32-bit paging.
    pub entry: BigInt,
    /// P: it says something.
    pub present: bool,
    /// R/W: the page may be written to, as far as this entry says. The pointers of PAE paging have
    /// no rights and allow everything.
    pub writable: bool,
    /// U/S: ring 3 may reach it.
    pub user: bool,
    /// Instructions may be fetched: XD is clear, or EFER.NXE is.
    pub executable: bool,
    /// PS, where it counts: a page begins here, and no further table.
    pub page_size: bool,
}

/// The page that a linear address lies in.
#[napi(object)]
pub struct NativePage {
    /// Guest physical address of the byte itself.
    pub gpa: f64,
    /// How large the page is: 4 KiB, 2 MiB, 4 MiB or 1 GiB; 4 KiB without paging.
    pub page_bytes: f64,
    /// Ring 3 may reach it: U/S is set on all levels.
    pub user: bool,
    /// It may be written to: R/W is set on all levels. With CR0.WP clear, rings 0 to 2 may anyway.
    pub writable: bool,
    /// Instructions may be fetched from it: XD is set on no level.
    pub executable: bool,
}

/// Why a linear address has no page.
#[napi(object)]
pub struct NativeMiss {
    /// The level at which the walk ended; `null` if no table was asked.
    #[napi(ts_type = "NativeTableLevel | null")]
    pub level: Option<NativeTableLevel>,
    /// What was wrong there.
    pub why: NativeMissReason,
}

/// How a linear address is translated.
#[napi(object)]
pub struct NativeWalk {
    /// The entries from the top table on, as far as the walk went; none without paging.
    pub levels: Vec<NativeWalkLevel>,
    /// What it found, or the next.
    pub page: Option<NativePage>,
    /// Why it found none.
    pub miss: Option<NativeMiss>,
}

impl From<Walk> for NativeWalk {
    fn from(walk: Walk) -> Self {
        Self {
            levels: walk.steps.into_iter().map(NativeWalkLevel::from).collect(),
            page: walk.result.ok().map(NativePage::from),
            miss: walk.result.err().map(NativeMiss::from),
        }
    }
}

impl From<Step> for NativeWalkLevel {
    fn from(step: Step) -> Self {
        Self {
            name: step.level.into(),
            gpa: step.gpa as f64,
            entry: step.entry.into(),
            present: step.present,
            writable: step.writable,
            user: step.user,
            executable: step.executable,
            page_size: step.is_page && step.level != TableLevel::Pt,
        }
    }
}

impl From<Page> for NativePage {
    fn from(page: Page) -> Self {
        Self {
            gpa: page.gpa as f64,
            page_bytes: page.page_bytes as f64,
            user: page.user,
            writable: page.writable,
            executable: page.executable,
        }
    }
}

impl From<Miss> for NativeMiss {
    fn from(miss: Miss) -> Self {
        Self {
            level: miss.level.map(NativeTableLevel::from),
            why: miss.why.into(),
        }
    }
}
