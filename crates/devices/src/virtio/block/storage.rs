//! Where the bytes of a native disk are.

use std::fmt::Debug;
use std::io;

use vm_memory::VolatileSlice;
use vm_memory::bitmap::BitmapSlice;

/// The bytes of a disk. Ranges lie within it, and are whole sectors.
pub trait Storage: Debug + Send {
    /// Fills guest memory with bytes from `offset` on.
    ///
    /// # Errors
    /// Those of the host; what was filled is then not said.
    fn read<B: BitmapSlice>(
        &mut self,
        offset: u64,
        into: &[VolatileSlice<'_, B>],
    ) -> io::Result<()>;

    /// Fills an array.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn read_bytes(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()>;

    /// Stores bytes of guest memory from `offset` on.
    ///
    /// # Errors
    /// Those of the host; what was stored is then not said.
    fn write<B: BitmapSlice>(
        &mut self,
        offset: u64,
        from: &[VolatileSlice<'_, B>],
    ) -> io::Result<()>;

    /// Makes what was written last.
    ///
    /// # Errors
    /// Those of the host.
    fn flush(&mut self) -> io::Result<()>;

    /// A range is not needed any more: what it reads as does not matter.
    ///
    /// # Errors
    /// Those of the host.
    fn discard(&mut self, offset: u64, length: u64) -> io::Result<()>;

    /// A range reads as zeros; with `unmap` its space may be given back.
    ///
    /// # Errors
    /// Those of the host.
    fn write_zeroes(&mut self, offset: u64, length: u64, unmap: bool) -> io::Result<()>;
}
