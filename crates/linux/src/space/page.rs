//! Pages.

/// The bits of an address within its page.
pub(super) const PAGE_SHIFT: u32 = 12;
/// Bytes of a page.
pub(super) const PAGE: u64 = 1 << PAGE_SHIFT;
