//! A file as a disk: its bytes go from the kernel to guest memory and back without a copy of ours.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use devices::virtio::block::Storage;
use vm_memory::VolatileSlice;
use vm_memory::bitmap::BitmapSlice;
use vmm_sys_util::fallocate::{FallocateMode, fallocate};

/// Pieces of memory that one system call takes (`UIO_MAXIOV`).
const MOST_PIECES: usize = 1024;

/// Zeros that are written at a time where the file system has no faster way.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The bytes of a file.
#[derive(Debug)]
pub(crate) struct DiskFile(File);

impl DiskFile {
    /// A file that is open for what is to be done with it, and as long as the disk.
    pub const fn new(file: File) -> Self {
        Self(file)
    }

    /// Moves bytes between the file and memory until all are moved, as far as each call does.
    fn transfer<B: BitmapSlice>(
        &self,
        mut offset: u64,
        slices: &[VolatileSlice<'_, B>],
        call: Transfer,
    ) -> io::Result<()> {
        let guards: Vec<_> = slices.iter().map(VolatileSlice::ptr_guard_mut).collect();
        let piece = |guard: &vm_memory::volatile_memory::PtrGuardMut| libc::iovec {
            iov_base: guard.as_ptr().cast(),
            iov_len: guard.len(),
        };
        let mut pieces: Vec<_> = guards.iter().map(piece).collect();
        let mut rest = pieces.as_mut_slice();
        while !rest.is_empty() {
            let count = rest.len().min(MOST_PIECES);
            let at = i64::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
            // SAFETY: the pieces are guest memory, which is mapped for as long as the slices live,
            // is accessed by value only, and may change at any time.
            let moved =
                unsafe { call(self.0.as_raw_fd(), rest.as_ptr(), count as libc::c_int, at) };
            match usize::try_from(moved) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(moved) => {
                    offset += moved as u64;
                    rest = after(rest, moved);
                }
                Err(_) => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    fn write_zeros(&self, mut offset: u64, mut length: u64) -> io::Result<()> {
        while length > 0 {
            let count = length.min(ZEROS.len() as u64);
            let zeros = ZEROS.get(..count as usize).unwrap_or_default();
            self.0.write_all_at(zeros, offset)?;
            (offset, length) = (offset + count, length - count);
        }
        Ok(())
    }

    fn allocate(&self, mode: FallocateMode, offset: u64, length: u64) -> io::Result<()> {
        let done = fallocate(&self.0, mode, true, offset, length);
        done.map_err(|error| io::Error::from_raw_os_error(error.errno()))
    }
}

/// preadv(2) or pwritev(2).
type Transfer = unsafe extern "C" fn(
    libc::c_int,
    *const libc::iovec,
    libc::c_int,
    libc::off_t,
) -> libc::ssize_t;

/// What is left of the pieces after so many bytes.
fn after(mut pieces: &mut [libc::iovec], mut moved: usize) -> &mut [libc::iovec] {
    while let Some((first, _)) = pieces.split_first_mut() {
        if first.iov_len > moved {
            first.iov_base = first.iov_base.wrapping_byte_add(moved);
            first.iov_len -= moved;
            break;
        }
        moved -= first.iov_len;
        pieces = pieces.get_mut(1..).unwrap_or_default();
    }
    pieces
}

impl Storage for DiskFile {
    fn read<B: BitmapSlice>(
        &mut self,
        offset: u64,
        into: &[VolatileSlice<'_, B>],
    ) -> io::Result<()> {
        let done = self.transfer(offset, into, libc::preadv);
        for slice in into {
            slice.bitmap().mark_dirty(0, slice.len());
        }
        done
    }

    fn read_bytes(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(into, offset)
    }

    fn write<B: BitmapSlice>(
        &mut self,
        offset: u64,
        from: &[VolatileSlice<'_, B>],
    ) -> io::Result<()> {
        self.transfer(offset, from, libc::pwritev)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn discard(&mut self, offset: u64, length: u64) -> io::Result<()> {
        match self.allocate(FallocateMode::PunchHole, offset, length) {
            Err(error) if is_missing(&error) => Ok(()),
            done => done,
        }
    }

    fn write_zeroes(&mut self, offset: u64, length: u64, unmap: bool) -> io::Result<()> {
        if length == 0 {
            return Ok(());
        }
        let mode = if unmap {
            FallocateMode::PunchHole
        } else {
            FallocateMode::ZeroRange
        };
        match self.allocate(mode, offset, length) {
            Err(error) if is_missing(&error) => self.write_zeros(offset, length),
            done => done,
        }
    }
}

/// The file system has no such operation.
fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::ENODEV)
    )
}

/// Locks a file for a disk that writes, against all others; for one that only reads, against those
/// that write. The lock goes with the file. `false` when somebody else has it.
///
/// # Errors
/// Those of flock(2).
pub(crate) fn lock(file: &File, writes: bool) -> io::Result<bool> {
    let kind = if writes { libc::LOCK_EX } else { libc::LOCK_SH };
    // SAFETY: no memory is involved.
    if unsafe { libc::flock(file.as_raw_fd(), kind | libc::LOCK_NB) } == 0 {
        return Ok(true);
    }
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};
    use vmm_sys_util::tempfile::TempFile;

    use super::*;

    const SECTOR: usize = 512;

    fn disk(bytes: &[u8]) -> (DiskFile, TempFile) {
        let temporary = TempFile::new().unwrap();
        temporary.as_file().write_all_at(bytes, 0).unwrap();
        let file = File::options()
            .read(true)
            .write(true)
            .open(temporary.as_path());
        (DiskFile::new(file.unwrap()), temporary)
    }

    fn memory() -> GuestMemoryMmap {
        GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 4 << 20)]).unwrap()
    }

    #[test]
    fn bytes_go_to_and_from_more_pieces_than_one_call_takes() {
        let bytes: Vec<u8> = (0..3000 * 7).map(|at| (at % 251) as u8).collect();
        let (mut disk, file) = disk(&bytes);
        let memory = memory();
        let pieces: Vec<_> = (0..3000)
            .map(|index| memory.get_slice(GuestAddress(index * 16), 7).unwrap())
            .collect();
        disk.read(0, &pieces).unwrap();
        for (index, expected) in bytes.chunks(7).enumerate() {
            let mut piece = [0; 16];
            let at = GuestAddress(index as u64 * 16);
            memory.read_slice(&mut piece, at).unwrap();
            assert_eq!((&piece[..7], &piece[7..]), (expected, &[0; 9][..]));
        }
        file.as_file().set_len(0).unwrap();
        disk.write(0, &pieces).unwrap();
        assert_eq!(std::fs::read(file.as_path()).unwrap(), bytes);
    }

    #[test]
    fn what_is_left_after_a_part_was_moved() {
        let mut bytes = [0_u8; 10];
        let start = bytes.as_mut_ptr();
        let piece = |at: usize, iov_len| libc::iovec {
            iov_base: start.wrapping_add(at).cast(),
            iov_len,
        };
        let mut pieces = [piece(0, 4), piece(4, 6)];
        let rest = after(&mut pieces, 5);
        assert_eq!((rest.len(), rest[0].iov_len), (1, 5));
        assert_eq!(rest[0].iov_base.cast(), start.wrapping_add(5));
        assert!(after(&mut [piece(0, 4)], 4).is_empty());
    }

    #[test]
    fn a_file_that_was_cut_is_an_error() {
        let (mut disk, _file) = disk(&[1; SECTOR]);
        let memory = memory();
        let into = [memory.get_slice(GuestAddress(0), 2 * SECTOR).unwrap()];
        assert!(disk.read(0, &into).is_err());
        assert!(disk.read(u64::MAX - 100, &into).is_err());
    }

    #[test]
    fn ranges_become_zeros() {
        let (mut disk, file) = disk(&[7; 4096 * 40]);
        disk.write_zeroes(4096, 512, false).unwrap();
        disk.write_zeroes(8192, 4096, true).unwrap();
        disk.write_zeros(16384, 100_000).unwrap();
        disk.discard(150_000, 512).unwrap();
        let bytes = std::fs::read(file.as_path()).unwrap();
        assert_eq!(bytes.len(), 4096 * 40);
        for range in [4096..4608, 8192..12288, 16384..116_384] {
            assert!(bytes[range].iter().all(|byte| *byte == 0));
        }
        for kept in [0..4096, 4608..8192, 12288..16384, 116_384..150_000] {
            assert!(bytes[kept].iter().all(|byte| *byte == 7));
        }
        disk.flush().unwrap();
    }

    #[test]
    fn one_writes_or_many_read() {
        let (_, file) = disk(&[]);
        let open = || File::open(file.as_path()).unwrap();
        let (one, two, three) = (open(), open(), open());
        assert!(lock(&one, false).unwrap() && lock(&two, false).unwrap());
        assert!(!lock(&three, true).unwrap());
        drop((one, two));
        assert!(lock(&three, true).unwrap());
        assert!(!lock(&open(), false).unwrap());
    }
}
