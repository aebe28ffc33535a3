//! Why a system call fails.

/// A number of `errno.h`, which is positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// Not that many: out of memory, or of page tables.
    pub const ENOMEM: Self = Self(12);
    /// A pointer to what is not mapped, or not so.
    pub const EFAULT: Self = Self(14);
    /// An argument that means nothing.
    pub const EINVAL: Self = Self(22);
}
