//! What is done with what was opened by its path.

use super::{Folder, bed, cat, failed, file, ls, mount, read, save};
use crate::bed::Bed;
use linux::Source;
use linux_raw_sys::errno::*;
use linux_raw_sys::general::*;

const HERE: u64 = AT_FDCWD.cast_unsigned() as u64;

fn open(bed: &mut Bed, path: &str, flags: u32) -> u64 {
    let opened = bed.by_path(__NR_open, path, &[flags.into(), 0o666]);
    u64::try_from(opened).unwrap_or_else(|_| panic!("{path}: {opened}"))
}

#[test]
fn paths_begin_at_a_directory_or_where_the_program_is() {
    let mut bed = bed(&[file("/a/b/x", "x"), file("/y", "y")]);
    let directory = open(&mut bed, "/a", O_DIRECTORY);
    let (at, to) = (bed.path("b/x"), bed.pages(1));
    assert_eq!(bed.value(__NR_newfstatat, &[directory, at, to, 0]), 0);
    assert_eq!(bed.value(__NR_openat, &[HERE, at, 0]), failed(ENOENT));
    assert_eq!(bed.by_path(__NR_chdir, "/a/b/..", &[]), 0);
    assert!(bed.value(__NR_openat, &[HERE, at, 0]) > 0);
    assert_eq!(bed.value(__NR_getcwd, &[to, 3]), 3);
    assert_eq!(bed.text(to), "/a");
    assert_eq!(bed.value(__NR_getcwd, &[to, 2]), failed(ERANGE));
    assert_eq!(bed.by_path(__NR_chdir, "/y", &[]), failed(ENOTDIR));
    let file = open(&mut bed, "/y", 0);
    assert_eq!(bed.value(__NR_openat, &[file, at, 0]), failed(ENOTDIR));
    assert_eq!(bed.value(__NR_openat, &[99, at, 0]), failed(EBADF));
    let absolute = bed.path("/y");
    assert!(bed.value(__NR_openat, &[99, absolute, 0]) > 0);
    assert_eq!(bed.value(__NR_fchdir, &[file]), failed(ENOTDIR));
    let root = open(&mut bed, "/", O_PATH);
    assert_eq!(bed.value(__NR_fchdir, &[root]), 0);
    assert_eq!(cat(&mut bed, "y"), "y");
    assert_eq!(bed.value(__NR_getdents64, &[root, to, 100]), failed(EBADF));
    // A descriptor is its path: what has moved is no longer there.
    let moved = bed.path("/moved");
    assert_eq!(bed.by_path(__NR_rename, "/a", &[moved]), 0);
    assert_eq!(
        bed.value(__NR_newfstatat, &[directory, at, to, 0]),
        failed(ENOENT)
    );
}

#[test]
fn a_listing_begins_anew_at_its_start() {
    let mut bed = bed(&[file("/d/a", ""), file("/d/b", ""), file("/d/e/f", "")]);
    let (directory, at) = (open(&mut bed, "/d", 0), bed.pages(1));
    let whole = bed.value(__NR_getdents64, &[directory, at, 4096]);
    assert_eq!(whole, 24 * 5);
    assert_eq!(bed.value(__NR_getdents64, &[directory, at, 4096]), 0);
    assert_eq!(bed.value(__NR_lseek, &[directory, 0, 0]), 0);
    assert_eq!(
        bed.value(__NR_getdents64, &[directory, at, 23]),
        failed(EINVAL)
    );
    assert_eq!(bed.value(__NR_getdents64, &[directory, at, 24]), 24);
    assert_eq!(bed.word(at + 8), 1, "where the next one is");
    // Names that come meanwhile show in the next listing.
    assert_eq!(save(&mut bed, "/d/new", ""), 0);
    assert_eq!(bed.value(__NR_getdents64, &[directory, at, 4096]), 24 * 4);
    assert_eq!(bed.value(__NR_lseek, &[directory, 0, 0]), 0);
    assert_eq!(bed.value(__NR_getdents64, &[directory, at, 4096]), 24 * 6);
    assert_eq!(bed.value(__NR_lseek, &[directory, 0, 0]), 0);
    let old = bed.value(__NR_getdents, &[directory, at, 4096]);
    assert_eq!(old, 24 * 6);
    assert_eq!(bed.read(at + 18, 6), b".\0\0\0\0\x04");
    assert_eq!(bed.value(__NR_getdents64, &[directory, 0, 4096]), 0);
    assert_eq!(bed.value(__NR_read, &[directory, at, 10]), failed(EISDIR));
    let file = open(&mut bed, "/d/a", 0);
    assert_eq!(bed.value(__NR_getdents64, &[file, at, 99]), failed(ENOTDIR));
}

#[test]
fn a_file_is_mapped_as_a_copy_of_what_it_is() {
    let folder = Folder::new("map");
    let bytes: Vec<u8> = (0..600_000_u32).map(|at| (at / 7) as u8).collect();
    std::fs::write(folder.0.join("x"), &bytes).unwrap();
    let mut bed = bed(&[
        folder.mount("/host", true),
        mount("/x", Source::File(bytes.clone())),
    ]);
    for path in ["/host/x", "/x"] {
        let file = open(&mut bed, path, 0);
        let map = |bed: &mut Bed, flags: u32, rights: u64, offset: u64| {
            let size = 600_000 - offset + 8192;
            bed.value(__NR_mmap, &[0, size, rights, flags.into(), file, offset])
        };
        for (flags, rights, offset) in [(MAP_PRIVATE, 3, 0), (MAP_SHARED, 1, 8192)] {
            let at = map(&mut bed, flags, rights, offset) as u64;
            let rest = &bytes[offset as usize..];
            assert!(bed.read(at, rest.len()) == rest, "{path}");
            assert_eq!(bed.read(at + rest.len() as u64, 100), [0; 100]);
            bed.value(__NR_munmap, &[at, 700_000]);
        }
        assert_eq!(map(&mut bed, MAP_SHARED, 3, 0), failed(ENODEV));
        assert_eq!(map(&mut bed, MAP_PRIVATE, 1, 7), failed(EINVAL));
        let beyond = bed.value(__NR_mmap, &[0, 4096, 1, 2, file, 1 << 20]) as u64;
        assert_eq!(bed.read(beyond, 16), [0; 16]);
    }
    let directory = open(&mut bed, "/", 0);
    assert_eq!(
        bed.value(__NR_mmap, &[0, 4096, 1, 2, directory, 0]),
        failed(ENODEV)
    );
    let zero = open(&mut bed, "/dev/zero", O_RDWR);
    let at = bed.value(__NR_mmap, &[0, 4096, 3, 2, zero, 0]) as u64;
    assert_eq!(bed.read(at, 8), [0; 8]);
    let written = open(&mut bed, "/new", O_CREAT | O_WRONLY);
    assert_eq!(
        bed.value(__NR_mmap, &[0, 4096, 1, 2, written, 0]),
        failed(EACCES)
    );
}

#[test]
fn bytes_are_copied_from_file_to_file() {
    let mut bed = bed(&[file("/from", "0123456789")]);
    let (from, to) = (
        open(&mut bed, "/from", 0),
        open(&mut bed, "/to", O_CREAT | O_RDWR),
    );
    let at = bed.pages(1);
    bed.write(at, &4_u64.to_le_bytes());
    assert_eq!(bed.value(__NR_sendfile, &[to, from, at, 3]), 3);
    assert_eq!(bed.word(at), 7);
    assert_eq!(bed.value(__NR_sendfile, &[to, from, 0, 100]), 10);
    assert_eq!(bed.value(__NR_sendfile, &[to, from, 0, 100]), 0);
    assert_eq!(cat(&mut bed, "/to"), "4560123456789");
    bed.write(at, &[2_u64.to_le_bytes(), 0_u64.to_le_bytes()].concat());
    assert_eq!(
        bed.value(__NR_copy_file_range, &[from, at, to, at + 8, 2, 0]),
        2
    );
    assert_eq!((bed.word(at), bed.word(at + 8)), (4, 2));
    assert_eq!(cat(&mut bed, "/to"), "2360123456789");
    // C libraries then copy by themselves.
    assert_eq!(bed.value(__NR_sendfile, &[1, from, 0, 5]), failed(EINVAL));
    assert_eq!(
        bed.value(__NR_copy_file_range, &[0, 0, to, 0, 5, 0]),
        failed(EINVAL)
    );
    bed.write(at, &u64::MAX.to_le_bytes());
    assert_eq!(bed.value(__NR_sendfile, &[to, from, at, 3]), failed(EINVAL));
    assert_eq!(bed.value(__NR_sendfile, &[from, to, 0, 3]), failed(EBADF));
}

#[test]
fn vectors_go_to_a_position_or_where_the_last_ones_ended() {
    let mut bed = bed(&[file("/x", "0123456789")]);
    let (file, at) = (open(&mut bed, "/x", O_RDWR), bed.pages(1));
    bed.write(at, &[at + 64, 4].map(u64::to_le_bytes).concat());
    assert_eq!(bed.value(__NR_preadv2, &[file, at, 1, 2, 0, 0]), 4);
    assert_eq!(bed.read(at + 64, 4), b"2345");
    assert_eq!(bed.value(__NR_preadv2, &[file, at, 1, u64::MAX, 0, 0]), 4);
    assert_eq!(bed.value(__NR_pwritev2, &[file, at, 1, u64::MAX, 0, 0]), 4);
    assert_eq!(cat(&mut bed, "/x"), "0123012389");
    assert_eq!(
        bed.value(__NR_preadv2, &[file, at, 1, 0, 0, 8]),
        failed(EOPNOTSUPP)
    );
}

#[test]
fn locks_are_had_by_the_only_one_that_asks() {
    let mut bed = bed(&[file("/x", "x")]);
    let (reads, writes) = (open(&mut bed, "/x", 0), open(&mut bed, "/x", O_WRONLY));
    let at = bed.pages(1);
    let lock = |bed: &mut Bed, file: u64, command: u32, kind: u32| {
        bed.write(at, &kind.to_le_bytes()[..2]);
        bed.value(__NR_fcntl, &[file, command.into(), at])
    };
    for (file, kind, result) in [
        (reads, F_RDLCK, 0),
        (reads, F_WRLCK, failed(EBADF)),
        (writes, F_WRLCK, 0),
        (writes, F_RDLCK, failed(EBADF)),
        (writes, F_UNLCK, 0),
        (writes, 7, failed(EINVAL)),
    ] {
        assert_eq!(lock(&mut bed, file, F_SETLK, kind), result);
        assert_eq!(lock(&mut bed, file, F_OFD_SETLKW, kind), result);
    }
    assert_eq!(lock(&mut bed, reads, F_GETLK, F_WRLCK), 0);
    assert_eq!(bed.read(at, 2), [F_UNLCK as u8, 0]);
    assert_eq!(
        bed.value(__NR_fcntl, &[reads, F_SETLK.into(), 0]),
        failed(EFAULT)
    );
    assert_eq!(
        bed.value(__NR_flock, &[reads, (LOCK_EX | LOCK_NB).into()]),
        0
    );
    assert_eq!(bed.value(__NR_flock, &[reads, 3]), failed(EINVAL));
}

#[test]
fn descriptors_in_a_row_are_closed() {
    let mut bed = bed(&[file("/x", "x")]);
    for _ in 0..8 {
        open(&mut bed, "/x", 0);
    }
    assert_eq!(bed.value(__NR_close_range, &[5, 6, 0]), 0);
    assert_eq!(bed.value(__NR_close_range, &[9, u32::MAX.into(), 4]), 0);
    assert_eq!(bed.value(__NR_fcntl, &[10, F_GETFD.into()]), 1);
    assert_eq!(ls(&mut bed, "/proc/self/fd"), "0 1 10 2 3 4 5 7 8 9");
    assert_eq!(bed.value(__NR_close_range, &[3, u64::MAX, 0]), 0);
    assert_eq!(ls(&mut bed, "/proc/self/fd"), "0 1 2 3");
    assert_eq!(bed.value(__NR_close_range, &[6, 5, 0]), failed(EINVAL));
    assert_eq!(bed.value(__NR_close_range, &[5, 6, 8]), failed(EINVAL));
}

#[test]
fn what_is_open_is_opened_again_by_its_descriptor() {
    let mut bed = bed(&[file("/x", "text")]);
    let file = open(&mut bed, "/x", 0);
    assert_eq!(bed.by_path(__NR_unlink, "/x", &[]), 0);
    assert_eq!(read(&mut bed, file as i64), b"text");
    let path = format!("/dev/fd/{file}");
    assert_eq!(cat(&mut bed, &path), "text", "from its start");
    let writes = open(&mut bed, &path, O_WRONLY | O_APPEND);
    let at = bed.path(" more");
    assert_eq!(bed.value(__NR_write, &[writes, at, 5]), 5);
    assert_eq!(cat(&mut bed, &path), "text more");
    let directory = open(&mut bed, "/dev", 0);
    let inside = format!("/proc/self/fd/{directory}/null");
    assert_eq!(cat(&mut bed, &inside), "");
    assert_eq!(
        bed.by_path(__NR_open, &path, &[O_DIRECTORY.into()]),
        failed(ENOTDIR)
    );
    assert_eq!(bed.by_path(__NR_open, "/dev/fd/99", &[0]), failed(ENOENT));
    assert_eq!(bed.by_path(__NR_open, "/dev/fd/03", &[0]), failed(ENOENT));
    // A file without a name is there as long as it is open.
    let flags = O_TMPFILE | O_RDWR;
    let nameless = open(&mut bed, "/", flags);
    assert_eq!(bed.value(__NR_write, &[nameless, at, 5]), 5);
    assert_eq!(ls(&mut bed, "/"), "dev proc");
    assert_eq!(
        bed.by_path(__NR_open, "/proc", &[flags.into()]),
        failed(EROFS)
    );
}

#[test]
fn room_is_told_and_kept() {
    let folder = Folder::new("room");
    std::fs::write(folder.0.join("x"), "x").unwrap();
    let mut bed = bed(&[file("/x", "x"), folder.mount("/host", false)]);
    let at = bed.pages(1);
    for (path, magic) in [
        ("/x", TMPFS_MAGIC),
        ("/host", 0xef53),
        ("/proc", PROC_SUPER_MAGIC),
    ] {
        assert_eq!(bed.by_path(__NR_statfs, path, &[at]), 0);
        assert_eq!(bed.word(at), u64::from(magic), "{path}");
    }
    for path in ["/x", "/host/x"] {
        let file = open(&mut bed, path, O_RDWR);
        assert_eq!(bed.value(__NR_fallocate, &[file, 0, 100, 50]), 0);
        assert_eq!(bed.value(__NR_lseek, &[file, 0, SEEK_END.into()]), 150);
        let keeps = u64::from(FALLOC_FL_KEEP_SIZE);
        assert_eq!(bed.value(__NR_fallocate, &[file, keeps, 0, 5000]), 0);
        assert_eq!(bed.value(__NR_lseek, &[file, 0, SEEK_END.into()]), 150);
        assert_eq!(bed.value(__NR_fallocate, &[file, 0, 0, 0]), failed(EINVAL));
        let punches = u64::from(FALLOC_FL_PUNCH_HOLE);
        assert_eq!(
            bed.value(__NR_fallocate, &[file, punches, 0, 1]),
            failed(EOPNOTSUPP)
        );
        assert_eq!(bed.value(__NR_fsync, &[file]), 0);
        assert_eq!(bed.value(__NR_fstatfs, &[file, at]), 0);
        assert_eq!(bed.value(__NR_fadvise64, &[file, 0, 0, 0]), 0);
        assert_eq!(
            bed.by_path(__NR_getxattr, path, &[at, at, 10]),
            failed(EOPNOTSUPP)
        );
        assert_eq!(bed.by_path(__NR_listxattr, path, &[at, 10]), 0);
    }
    let directory = open(&mut bed, "/host", 0);
    assert_eq!(bed.value(__NR_fsync, &[directory]), 0);
    assert_eq!(bed.value(__NR_fadvise64, &[1, 0, 0, 0]), failed(ESPIPE));
}

#[test]
fn statx_tells_what_stat_tells() {
    let mut bed = bed(&[file("/x", "hello")]);
    let (path, empty) = (bed.path("/x"), bed.path(""));
    let at = bed.pages(1);
    let file = open(&mut bed, "/x", 0);
    for arguments in [
        [HERE, path, 0, 0x7ff, at],
        [file, empty, AT_EMPTY_PATH.into(), 0x7ff, at],
        [file, 0, AT_EMPTY_PATH.into(), 0, at],
    ] {
        bed.write(at, &[0xff; 256]);
        assert_eq!(bed.value(__NR_statx, &arguments), 0);
        assert_eq!(bed.word(at) as u32, STATX_BASIC_STATS);
        assert_eq!(bed.word(at + 40), 5, "the size");
        let mode = bed.word(at + 24) >> 32;
        assert_eq!(mode as u16, (S_IFREG | 0o644) as u16);
    }
    let reserved = u64::from(STATX__RESERVED);
    assert_eq!(
        bed.value(__NR_statx, &[HERE, path, 0, reserved, at]),
        failed(EINVAL)
    );
    assert_eq!(
        bed.value(__NR_statx, &[HERE, path, 8, 0, at]),
        failed(EINVAL)
    );
    assert_eq!(
        bed.value(__NR_statx, &[HERE, empty, 0, 0, at]),
        failed(ENOENT)
    );
    assert_eq!(bed.value(__NR_stat, &[path, 1 << 47]), failed(EFAULT));
}
