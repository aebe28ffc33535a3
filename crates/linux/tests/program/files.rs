//! Descriptors: memory files, and what is done with any.

use crate::bed::Bed;
use linux::Answer;
use linux::limits::{DESCRIPTORS, FILE_BYTES, FILE_PAGES, PAGE, TRANSFER_BYTES};
use linux_raw_sys::errno::{EBADF, EFAULT, EFBIG, EINVAL, EMFILE, ENOSPC, ENOTTY, ENXIO, EPERM};
use linux_raw_sys::general::*;
use linux_raw_sys::ioctl::{FIOCLEX, FIONBIO, FIONCLEX, FIONREAD, TCGETS};

pub fn failed(errno: u32) -> i64 {
    -i64::from(errno)
}

/// A descriptor of a new memory file.
fn file(bed: &mut Bed) -> u64 {
    let name = bed.pages(1);
    let number = bed.value(__NR_memfd_create, &[name, 0]);
    u64::try_from(number).unwrap()
}

/// `struct iovec`s.
fn buffers(bed: &mut Bed, at: u64, all: &[(u64, u64)]) {
    for (index, (base, length)) in (0..).zip(all) {
        bed.write(at + index * 16, &base.to_le_bytes());
        bed.write(at + index * 16 + 8, &length.to_le_bytes());
    }
}

#[test]
fn what_is_written_to_a_memory_file_is_read_at_any_position() {
    let mut bed = Bed::new();
    let (file, at) = (file(&mut bed), bed.pages(4));
    assert_eq!(file, 3);
    bed.write(at, b"one two three");
    assert_eq!(bed.value(__NR_write, &[file, at, 13]), 13);
    assert_eq!(bed.value(__NR_read, &[file, at, 100]), 0, "the end");
    assert_eq!(bed.value(__NR_lseek, &[file, 4, SEEK_SET.into()]), 4);
    assert_eq!(bed.value(__NR_read, &[file, at + PAGE, 3]), 3);
    assert_eq!(bed.read(at + PAGE, 3), b"two");
    assert_eq!(bed.value(__NR_pread64, &[file, at + PAGE, 100, 8]), 5);
    assert_eq!(bed.read(at + PAGE, 5), b"three");
    assert_eq!(bed.value(__NR_pwrite64, &[file, at, 3, 10_000]), 3);
    assert_eq!(bed.value(__NR_lseek, &[file, 0, SEEK_CUR.into()]), 7);
    assert_eq!(bed.value(__NR_lseek, &[file, 0, SEEK_END.into()]), 10_003);
    assert_eq!(
        bed.value(__NR_pread64, &[file, at + PAGE, 0x2000, 13]),
        0x2000
    );
    assert_eq!(bed.read(at + PAGE, 0x2000), vec![0; 0x2000], "a hole");
    buffers(&mut bed, at, &[(at + 100, 4), (0, 0), (at + 200, 9)]);
    assert_eq!(bed.value(__NR_preadv, &[file, at, 3, 0]), 13);
    assert_eq!(bed.read(at + 100, 4), b"one ");
    assert_eq!(bed.read(at + 200, 9), b"two three");
    assert_eq!(bed.value(__NR_lseek, &[file, 5, SEEK_SET.into()]), 5);
    assert_eq!(bed.value(__NR_writev, &[file, at, 3]), 13);
    assert_eq!(bed.value(__NR_pread64, &[file, at + 100, 18, 0]), 18);
    assert_eq!(bed.read(at + 100, 18), b"one tone two three");
}

#[test]
fn a_transfer_goes_as_far_as_the_pointers_hold() {
    let mut bed = Bed::new();
    let (file, at) = (file(&mut bed), bed.pages(8));
    bed.write(at, &[3; 0x8000]);
    assert_eq!(bed.value(__NR_munmap, &[at + 5 * PAGE, PAGE]), 0);
    assert_eq!(
        bed.value(__NR_write, &[file, at + 100, 0x8000]),
        5 * 4096 - 100
    );
    assert_eq!(
        bed.value(__NR_write, &[file, at + 5 * PAGE, 1]),
        failed(EFAULT)
    );
    assert_eq!(bed.value(__NR_write, &[file, u64::MAX, 1]), failed(EFAULT));
    assert_eq!(
        bed.value(__NR_write, &[file, 0xfe00_0000, 1]),
        failed(EFAULT)
    );
    assert_eq!(
        bed.value(__NR_write, &[file, 0xffff_8000_0000_0000, 1]),
        failed(EFAULT)
    );
    assert_eq!(bed.value(__NR_lseek, &[file, 0, SEEK_SET.into()]), 0);
    bed.value(__NR_mprotect, &[at + PAGE, PAGE, 1]);
    assert_eq!(bed.value(__NR_read, &[file, at, 0x8000]), 4096);
    assert_eq!(bed.value(__NR_read, &[file, at + PAGE, 1]), failed(EFAULT));
    buffers(&mut bed, at, &[(at + 64, 8), (at + 5 * PAGE, 8)]);
    assert_eq!(bed.value(__NR_writev, &[file, at, 2]), 8);
    buffers(&mut bed, at, &[(at, 1), (at, u64::MAX)]);
    assert_eq!(bed.value(__NR_writev, &[file, at, 2]), failed(EINVAL));
    buffers(
        &mut bed,
        at,
        &[(at, i64::MAX as u64), (at, i64::MAX as u64)],
    );
    assert_eq!(bed.value(__NR_writev, &[file, at, 2]), failed(EINVAL));
    let none = bed.pages(5);
    assert_eq!(bed.value(__NR_writev, &[file, none, 1024]), 0);
    assert_eq!(bed.value(__NR_writev, &[file, none, 1025]), failed(EINVAL));
    assert_eq!(
        bed.value(__NR_writev, &[file, u64::MAX - 7, 1]),
        failed(EFAULT)
    );
    assert_eq!(
        bed.value(__NR_pread64, &[file, at, 1, u64::MAX]),
        failed(EINVAL)
    );
    assert_eq!(bed.value(__NR_read, &[99, at, 1]), failed(EBADF));
    assert_eq!(bed.value(__NR_read, &[u64::MAX, at, 1]), failed(EBADF));
}

#[test]
fn one_call_moves_a_bounded_number_of_bytes() {
    let mut bed = Bed::new();
    let (file, at) = (file(&mut bed), bed.pages((TRANSFER_BYTES >> 12) + 2));
    let most = TRANSFER_BYTES.cast_signed();
    assert_eq!(bed.value(__NR_write, &[file, at, TRANSFER_BYTES + 5]), most);
    buffers(&mut bed, at, &[(at, 16), (at, TRANSFER_BYTES)]);
    assert_eq!(bed.value(__NR_writev, &[file, at, 2]), most);
    assert_eq!(bed.value(__NR_lseek, &[file, 0, SEEK_SET.into()]), 0);
    assert_eq!(bed.value(__NR_read, &[file, at, u64::MAX >> 1]), most);
}

#[test]
fn memory_files_have_bounds_together_and_give_back_what_they_took() {
    let mut bed = Bed::new();
    let (one, two, at) = (file(&mut bed), file(&mut bed), bed.pages(1024));
    let pages = FILE_PAGES as u64;
    let fill = |bed: &mut Bed, file: u64| {
        (0..)
            .map(|turn| bed.value(__NR_pwrite64, &[file, at, 4 << 20, turn << 22]))
            .find(|count| *count != 4 << 20)
            .unwrap()
    };
    assert_eq!(fill(&mut bed, one), failed(ENOSPC));
    assert_eq!(bed.value(__NR_pwrite64, &[two, at, 1, 0]), failed(ENOSPC));
    assert_eq!(bed.value(__NR_ftruncate, &[one, (pages - 1) * PAGE]), 0);
    assert_eq!(bed.value(__NR_pwrite64, &[two, at, 5000, 0]), 4096);
    assert_eq!(bed.value(__NR_close, &[one]), 0);
    assert_eq!(fill(&mut bed, two), failed(ENOSPC));
    assert_eq!(bed.value(__NR_ftruncate, &[two, 0]), 0);
    assert_eq!(
        bed.value(__NR_ftruncate, &[two, FILE_BYTES]),
        0,
        "holes cost nothing"
    );
    assert_eq!(
        bed.value(__NR_ftruncate, &[two, FILE_BYTES + 1]),
        failed(EFBIG)
    );
    assert_eq!(bed.value(__NR_ftruncate, &[two, u64::MAX]), failed(EINVAL));
    assert_eq!(bed.value(__NR_pwrite64, &[two, at, 2, FILE_BYTES - 1]), 1);
    assert_eq!(
        bed.value(__NR_pwrite64, &[two, at, 2, FILE_BYTES]),
        failed(EFBIG)
    );
    let end = bed.value(__NR_lseek, &[two, 0, SEEK_END.into()]);
    assert_eq!(end.cast_unsigned(), FILE_BYTES);
}

#[test]
fn what_is_cut_off_a_file_is_zeros_when_it_grows_again() {
    let mut bed = Bed::new();
    let (file, at) = (file(&mut bed), bed.pages(2));
    bed.write(at, &[9; 0x2000]);
    assert_eq!(bed.value(__NR_write, &[file, at, 0x2000]), 0x2000);
    assert_eq!(bed.value(__NR_ftruncate, &[file, 10]), 0);
    assert_eq!(bed.value(__NR_ftruncate, &[file, 0x2000]), 0);
    assert_eq!(bed.value(__NR_pread64, &[file, at, 0x2000, 0]), 0x2000);
    let bytes = bed.read(at, 0x2000);
    assert!(bytes[..10].iter().all(|byte| *byte == 9));
    assert!(bytes[10..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_position_is_sought_from_start_end_and_data() {
    let mut bed = Bed::new();
    let file = file(&mut bed);
    assert_eq!(bed.value(__NR_ftruncate, &[file, 100]), 0);
    let seek = |bed: &mut Bed, offset: i64, from: u32| {
        bed.value(__NR_lseek, &[file, offset.cast_unsigned(), from.into()])
    };
    assert_eq!(seek(&mut bed, -10, SEEK_END), 90);
    assert_eq!(seek(&mut bed, -90, SEEK_CUR), 0);
    assert_eq!(seek(&mut bed, -1, SEEK_CUR), failed(EINVAL));
    assert_eq!(seek(&mut bed, i64::MAX, SEEK_END), -75);
    assert_eq!(seek(&mut bed, i64::MAX, SEEK_SET), i64::MAX);
    assert_eq!(seek(&mut bed, i64::MIN, SEEK_END), failed(EINVAL));
    assert_eq!(seek(&mut bed, 7, SEEK_DATA), 7);
    assert_eq!(seek(&mut bed, 7, SEEK_HOLE), 100);
    assert_eq!(seek(&mut bed, 100, SEEK_DATA), failed(ENXIO));
    assert_eq!(seek(&mut bed, 0, 9), failed(EINVAL));
}

#[test]
fn duplicates_share_a_position_and_the_last_one_closes() {
    let mut bed = Bed::new();
    let (file, at) = (file(&mut bed), bed.pages(1));
    let close = |bed: &mut Bed, file: u64| bed.value(__NR_close, &[file]);
    assert_eq!(bed.value(__NR_dup, &[file]), 4);
    assert_eq!(bed.value(__NR_dup2, &[file, 9]), 9);
    assert_eq!(bed.value(__NR_dup3, &[file, 10, O_CLOEXEC.into()]), 10);
    assert_eq!(bed.value(__NR_dup3, &[file, file, 0]), failed(EINVAL));
    assert_eq!(bed.value(__NR_dup3, &[file, 11, 1]), failed(EINVAL));
    assert_eq!(bed.value(__NR_dup2, &[file, file]), 3);
    assert_eq!(bed.value(__NR_dup2, &[99, 99]), failed(EBADF));
    assert_eq!(
        bed.value(__NR_dup2, &[file, DESCRIPTORS as u64]),
        failed(EBADF)
    );
    assert_eq!(bed.value(__NR_dup2, &[file, u64::MAX]), failed(EBADF));
    assert_eq!(bed.value(__NR_fcntl, &[file, F_DUPFD.into(), 20]), 20);
    assert_eq!(
        bed.value(__NR_fcntl, &[file, F_DUPFD_CLOEXEC.into(), 20]),
        21
    );
    assert_eq!(
        bed.value(__NR_fcntl, &[file, F_DUPFD.into(), 1 << 40]),
        failed(EINVAL)
    );
    let flags = [3, 9, 10, 20, 21].map(|number| bed.value(__NR_fcntl, &[number, F_GETFD.into()]));
    assert_eq!(flags, [0, 0, 1, 0, 1]);
    assert_eq!(bed.value(__NR_write, &[4, at, 7]), 7);
    for number in [3, 4, 9, 10, 20] {
        assert_eq!(close(&mut bed, number), 0);
        assert_eq!(close(&mut bed, number), failed(EBADF));
    }
    assert_eq!(bed.value(__NR_lseek, &[21, 0, SEEK_CUR.into()]), 7);
    // A new one takes the lowest number.
    assert_eq!(bed.value(__NR_dup, &[21]), 3);
}

#[test]
fn descriptors_have_a_bound() {
    let mut bed = Bed::new();
    let file = file(&mut bed);
    let name = bed.pages(1);
    let made = (0..)
        .take_while(|_| bed.value(__NR_dup, &[file]) >= 0)
        .count();
    assert_eq!(made, DESCRIPTORS - 4);
    assert_eq!(bed.value(__NR_dup, &[file]), failed(EMFILE));
    assert_eq!(bed.value(__NR_memfd_create, &[name, 0]), failed(EMFILE));
    assert_eq!(bed.value(__NR_pipe, &[name]), failed(EMFILE));
    assert_eq!(bed.value(__NR_close, &[500]), 0);
    assert_eq!(
        bed.value(__NR_pipe, &[name]),
        failed(EMFILE),
        "half a pipe is taken back"
    );
    assert_eq!(bed.value(__NR_memfd_create, &[name, 0]), 500);
    // Each of its own.
    for number in 3..DESCRIPTORS as u64 {
        assert_eq!(bed.value(__NR_close, &[number]), 0);
    }
    let made = (0..)
        .take_while(|_| bed.value(__NR_pipe, &[name]) == 0)
        .count();
    assert_eq!(made, (DESCRIPTORS - 3) / 2);
}

#[test]
fn names_of_memory_files_are_strings_of_bounded_length() {
    let mut bed = Bed::new();
    let at = bed.pages(1);
    let create =
        |bed: &mut Bed, at: u64, flags: u32| bed.value(__NR_memfd_create, &[at, flags.into()]);
    bed.write(at, &[b'x'; 4096]);
    assert_eq!(create(&mut bed, at, 0), failed(EINVAL));
    assert_eq!(
        create(&mut bed, at + 4000, 0),
        failed(EFAULT),
        "it has no end"
    );
    assert_eq!(create(&mut bed, 8, 0), failed(EFAULT));
    bed.write(at + 249, &[0]);
    assert_eq!(create(&mut bed, at, MFD_HUGETLB), failed(EINVAL));
    assert_eq!(create(&mut bed, at, MFD_CLOEXEC | MFD_ALLOW_SEALING), 3);
    assert_eq!(bed.value(__NR_fcntl, &[3, F_GETFD.into()]), 1);
    bed.write(at + 4095, &[0]);
    assert_eq!(create(&mut bed, at + 4000, 0), 4);
}

#[test]
fn flags_and_controls_of_a_descriptor() {
    let mut bed = Bed::new();
    let (file, at) = (file(&mut bed), bed.pages(1));
    let control = |bed: &mut Bed, command: u32, value: u32| {
        bed.value(__NR_fcntl, &[file, command.into(), value.into()])
    };
    let io = |bed: &mut Bed, request: u32| bed.value(__NR_ioctl, &[file, request.into(), at]);
    assert_eq!(control(&mut bed, F_GETFL, 0), O_RDWR.into());
    assert_eq!(control(&mut bed, F_SETFL, O_APPEND | O_CREAT | O_WRONLY), 0);
    assert_eq!(control(&mut bed, F_GETFL, 0), (O_RDWR | O_APPEND).into());
    assert_eq!(bed.value(__NR_write, &[file, at, 5]), 5);
    assert_eq!(bed.value(__NR_lseek, &[file, 0, SEEK_SET.into()]), 0);
    assert_eq!(io(&mut bed, FIONREAD), 0);
    assert_eq!(bed.word(at), 5);
    assert_eq!(bed.value(__NR_write, &[file, at, 5]), 5);
    assert_eq!(bed.value(__NR_lseek, &[file, 0, SEEK_CUR.into()]), 10);
    assert_eq!(io(&mut bed, FIOCLEX), 0);
    assert_eq!(control(&mut bed, F_GETFD, 0), 1);
    assert_eq!(io(&mut bed, FIONCLEX), 0);
    assert_eq!(control(&mut bed, F_GETFD, 0), 0);
    assert_eq!(io(&mut bed, FIONBIO), 0);
    assert_eq!(
        control(&mut bed, F_GETFL, 0),
        (O_RDWR | O_APPEND | O_NONBLOCK).into()
    );
    assert_eq!(io(&mut bed, TCGETS), failed(ENOTTY));
    assert_eq!(control(&mut bed, F_GETLK, 0), failed(EFAULT));
    assert_eq!(control(&mut bed, F_SETPIPE_SZ, 1), failed(EBADF));
    assert_eq!(bed.value(__NR_fsync, &[file]), 0);
    bed.value(__NR_pipe, &[at]);
    let size = bed.value(__NR_fcntl, &[4, F_GETPIPE_SZ.into()]);
    assert_eq!(size, 65536);
    assert_eq!(
        bed.value(__NR_fcntl, &[4, F_SETPIPE_SZ.into(), 1 << 20]),
        failed(EPERM)
    );
    assert_eq!(bed.value(__NR_fsync, &[4]), failed(EINVAL));
    assert_eq!(
        bed.answer(__NR_fcntl, &[1, F_GETLK.into(), at]),
        Answer::Ask
    );
    assert_eq!(bed.value(__NR_fcntl, &[1, F_GETFL.into()]), O_WRONLY.into());
}

#[test]
fn the_status_of_a_descriptor_tells_files_from_pipes() {
    let mut bed = Bed::new();
    let (file, at) = (file(&mut bed), bed.pages(1));
    bed.value(__NR_pwrite64, &[file, at, 10, 9000]);
    bed.value(__NR_pipe, &[at]);
    let status = |bed: &mut Bed, number: u64| {
        assert_eq!(bed.value(__NR_fstat, &[number, at]), 0);
        let mode = u32::from_le_bytes(bed.read(at + 24, 4).try_into().unwrap());
        (mode & S_IFMT, bed.word(at + 48), bed.word(at + 64))
    };
    assert_eq!(status(&mut bed, file), (S_IFREG, 9010, 8));
    for number in [0, 1, 2, 4, 5] {
        assert_eq!(status(&mut bed, number).0, S_IFIFO, "{number}");
    }
    assert_eq!(bed.value(__NR_fstat, &[77, at]), failed(EBADF));
    assert_eq!(bed.value(__NR_fstat, &[file, 0x10]), failed(EFAULT));
    let empty = u64::from(AT_EMPTY_PATH);
    bed.write(at, b"x\0");
    assert_eq!(
        bed.answer(__NR_newfstatat, &[file, at, at, empty]),
        Answer::Ask
    );
    assert_eq!(
        bed.answer(__NR_newfstatat, &[file, at + 1, at, 0]),
        Answer::Ask
    );
    assert_eq!(bed.value(__NR_newfstatat, &[file, at + 1, at, empty]), 0);
    assert_eq!(
        bed.value(__NR_newfstatat, &[file, 7, at, empty]),
        failed(EFAULT)
    );
    assert_eq!(bed.word(at + 48), 9010);
}

#[test]
fn what_the_host_has_opened_is_a_descriptor_like_others() {
    let mut bed = Bed::new();
    let at = bed.pages(1);
    let number = bed.kernel.open_host(70, O_RDWR, true).unwrap();
    assert_eq!(number, 3);
    assert_eq!(bed.kernel.host_of(3), Some(70));
    assert_eq!(bed.value(__NR_dup2, &[3, 8]), 8);
    assert_eq!(bed.kernel.host_of(8), Some(70));
    for number in [__NR_read, __NR_fstat, __NR_ioctl, __NR_pwrite64] {
        assert_eq!(bed.answer(number, &[8, at, at]), Answer::Ask, "{number}");
    }
    assert_eq!(bed.value(__NR_close, &[3]), 0);
    assert_eq!(bed.kernel.take_closed(), []);
    assert_eq!(bed.value(__NR_dup2, &[1, 8]), 8);
    assert_eq!(bed.kernel.take_closed(), [70]);
    assert_eq!(bed.kernel.take_closed(), []);
    assert_eq!(bed.kernel.host_of(8), Some(1));
    assert_eq!(bed.kernel.host_of(3), None);
}
