//! Rights, owners and times of files.

use super::{Folder, bed, failed, file, save, stat_of};
use crate::bed::Bed;
use linux_raw_sys::errno::*;
use linux_raw_sys::general::*;

const HERE: u64 = AT_FDCWD.cast_unsigned() as u64;

fn open(bed: &mut Bed, path: &str, flags: u32) -> i64 {
    bed.by_path(__NR_open, path, &[flags.into(), 0o777])
}

#[test]
fn the_owners_bits_count_for_what_is_in_memory() {
    let mut bed = bed(&[file("/a/x", "text")]);
    for (mode, flags, errno) in [
        (0o400, O_RDONLY, None),
        (0o400, O_WRONLY, Some(EACCES)),
        (0o200, O_WRONLY, None),
        (0o200, O_RDONLY, Some(EACCES)),
        (0o377, O_RDWR, Some(EACCES)),
        (0o400, O_TRUNC, Some(EACCES)),
    ] {
        assert_eq!(bed.by_path(__NR_chmod, "/a/x", &[mode]), 0);
        let opened = open(&mut bed, "/a/x", flags);
        match errno {
            Some(errno) => assert_eq!(opened, failed(errno), "{mode:o}"),
            None => assert!(opened >= 0, "{mode:o}: {opened}"),
        }
    }
    assert_eq!(bed.by_path(__NR_access, "/a/x", &[4]), 0);
    assert_eq!(bed.by_path(__NR_access, "/a/x", &[1]), failed(EACCES));
    assert_eq!(bed.by_path(__NR_access, "/a/x", &[8]), failed(EINVAL));
    // Without x no name is found, without w none is changed.
    for (mode, found, made) in [
        (0o700, 0, 0),
        (0o600, failed(EACCES), failed(EACCES)),
        (0o500, 0, failed(EACCES)),
    ] {
        assert_eq!(bed.by_path(__NR_chmod, "/a", &[mode]), 0);
        assert_eq!(bed.by_path(__NR_access, "/a/x", &[0]), found, "{mode:o}");
        let new = format!("/a/{mode:o}");
        assert_eq!(bed.by_path(__NR_mkdir, &new, &[0o700]), made, "{mode:o}");
    }
}

#[test]
fn new_files_get_what_the_mask_leaves() {
    let mut bed = bed(&[]);
    assert_eq!(bed.value(__NR_umask, &[0o077]), 0o022);
    assert_eq!(save(&mut bed, "/x", ""), 0);
    assert_eq!(stat_of(&mut bed, "/x").unwrap().0, S_IFREG | 0o600);
    assert_eq!(bed.value(__NR_umask, &[0o7000]), 0o077);
    assert_eq!(bed.by_path(__NR_mkdir, "/d", &[0o7777]), 0);
    assert_eq!(stat_of(&mut bed, "/d").unwrap().0, S_IFDIR | 0o1777);
    assert_eq!(
        bed.by_path(__NR_mknod, "/n", &[u64::from(S_IFREG | 0o640)]),
        0
    );
    assert_eq!(stat_of(&mut bed, "/n").unwrap().0, S_IFREG | 0o640);
    for kind in [S_IFIFO, S_IFCHR, S_IFBLK, S_IFSOCK] {
        assert_eq!(bed.by_path(__NR_mknod, "/p", &[kind.into()]), failed(EPERM));
    }
    let file = open(&mut bed, "/x", O_RDONLY) as u64;
    assert_eq!(bed.value(__NR_fchmod, &[file, 0o4711]), 0);
    assert_eq!(stat_of(&mut bed, "/x").unwrap().0, S_IFREG | 0o4711);
}

#[test]
fn everything_belongs_to_the_program_and_stays_so() {
    let mut bed = bed(&[file("/x", "")]);
    let keep = u64::from(u32::MAX);
    for (user, group, result) in [
        (1000, 1000, 0),
        (keep, keep, 0),
        (keep, 1000, 0),
        (0, 1000, failed(EPERM)),
        (1000, 0, failed(EPERM)),
    ] {
        assert_eq!(bed.by_path(__NR_chown, "/x", &[user, group]), result);
        assert_eq!(bed.by_path(__NR_lchown, "/x", &[user, group]), result);
    }
    assert_eq!(bed.by_path(__NR_chown, "/y", &[1000, 1000]), failed(ENOENT));
    assert_eq!(bed.value(__NR_fchown, &[77, 1000, 1000]), failed(EBADF));
}

/// Seconds and nanoseconds of the last access and of the last change.
fn times(bed: &mut Bed, path: &str) -> [u64; 4] {
    let at = bed.pages(1);
    assert_eq!(bed.by_path(__NR_lstat, path, &[at]), 0);
    [72, 80, 88, 96].map(|field| bed.word(at + field))
}

#[test]
fn times_are_set_left_and_taken_from_the_clock() {
    let folder = Folder::new("times");
    std::fs::write(folder.0.join("x"), "").unwrap();
    let mut bed = bed(&[file("/x", ""), folder.mount("/host", false)]);
    for path in ["/x", "/host/x"] {
        let set = |bed: &mut Bed, words: [u64; 4]| {
            let (at, path) = (bed.pages(1), bed.path(path));
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            bed.write(at, &bytes);
            bed.value(__NR_utimensat, &[HERE, path, at, 0])
        };
        let (now, omit) = (u64::from(UTIME_NOW), u64::from(UTIME_OMIT));
        assert_eq!(set(&mut bed, [5, 6, 7, 8]), 0);
        assert_eq!(times(&mut bed, path), [5, 6, 7, 8]);
        assert_eq!(set(&mut bed, [1, omit, 9, 10]), 0);
        assert_eq!(times(&mut bed, path), [5, 6, 9, 10]);
        assert_eq!(set(&mut bed, [1, omit, 1, now]), 0);
        let [5, 6, seconds, _] = times(&mut bed, path) else {
            panic!("the access has changed")
        };
        assert!(seconds > 1_600_000_000, "{seconds}");
        assert_eq!(set(&mut bed, [0, 1_000_000_000, 0, 0]), failed(EINVAL));
        assert_eq!(bed.by_path(__NR_utime, path, &[0]), 0);
        let file = open(&mut bed, path, O_RDONLY) as u64;
        let at = bed.pages(1);
        bed.write(at, &3_u64.to_le_bytes());
        assert_eq!(bed.value(__NR_futimesat, &[file, 0, at]), 0);
        assert_eq!(times(&mut bed, path), [3, 0, 0, 0]);
    }
    assert_eq!(bed.by_path(__NR_utime, "/none", &[0]), failed(ENOENT));
    assert_eq!(bed.by_path(__NR_utime, "/proc/stat", &[0]), failed(EPERM));
}

#[test]
fn what_is_open_is_not_opened_again_with_more_rights() {
    let mut bed = bed(&[
        file("/x", "text"),
        linux::Mount {
            read_only: true,
            ..file("/ro", "text")
        },
    ]);
    assert_eq!(bed.by_path(__NR_chmod, "/x", &[0o400]), 0);
    for (path, errno) in [("/x", EACCES), ("/ro", EROFS)] {
        let file = open(&mut bed, path, O_RDONLY);
        let again = format!("/dev/fd/{file}");
        assert!(open(&mut bed, &again, O_RDONLY) > 0);
        assert_eq!(open(&mut bed, &again, O_RDWR), failed(errno), "{path}");
        assert_eq!(open(&mut bed, &again, O_TRUNC), failed(errno), "{path}");
    }
}

#[test]
fn nothing_moves_from_mount_to_mount() {
    let memory = |path| super::mount(path, linux::Source::Memory);
    let mut bed = bed(&[memory("/a"), memory("/b"), file("/a/x", "text")]);
    let (at, same) = (bed.path("/b/x"), bed.path("/a/y"));
    for number in [__NR_link, __NR_rename] {
        assert_eq!(bed.by_path(number, "/a/x", &[at]), failed(EXDEV));
        assert_eq!(bed.by_path(number, "/a/x", &[same]), 0);
    }
}
