//! What a program cannot take more of, and what is its own.

use super::{Folder, bed, cat, failed, file, mount, save};
use crate::bed::Bed;
use linux::limits::{DEPTH, DESCRIPTORS, FILE_PAGES, HOST_FILES, LINKS, NODES, PAGE};
use linux::{Answer, Kernel, Setup, Source};
use linux_raw_sys::errno::*;
use linux_raw_sys::general::*;

/// Calls that go wrong at last: how often one went well, and why not further.
fn until(mut call: impl FnMut(usize) -> i64, most: usize) -> (usize, i64) {
    for count in 0..most {
        let value = call(count);
        if value < 0 {
            return (count, value);
        }
    }
    (most, 0)
}

#[test]
fn a_copy_of_a_kernel_has_files_of_its_own() {
    let mut bed = bed(&[file("/x", "first"), file("/gone", "kept")]);
    let open = bed.by_path(__NR_open, "/gone", &[0]) as u64;
    assert_eq!(bed.by_path(__NR_unlink, "/gone", &[]), 0);
    let saved: Kernel = bed.kernel.clone();
    assert!(saved == bed.kernel);
    assert_eq!(save(&mut bed, "/x", "second"), 6);
    assert_eq!(save(&mut bed, "/new", "n"), 1);
    assert_eq!(bed.value(__NR_close, &[open]), 0);
    assert!(saved != bed.kernel);
    let other = std::mem::replace(&mut bed.kernel, saved);
    assert_eq!(cat(&mut bed, "/x"), "first");
    assert_eq!(bed.by_path(__NR_open, "/new", &[0]), failed(ENOENT));
    assert_eq!(super::read(&mut bed, open as i64), b"kept");
    bed.kernel = other;
    assert_eq!(cat(&mut bed, "/x"), "second");
}

#[test]
fn files_of_memory_have_bounds_together_and_give_back_what_they_took() {
    let mut bed = bed(&[]);
    let fill = |bed: &mut Bed, path: &str| {
        let flags = u64::from(O_CREAT | O_RDWR);
        let file = bed.by_path(__NR_open, path, &[flags, 0o600]) as u64;
        let at = bed.pages(256);
        let (count, errno) = until(
            |_| bed.value(__NR_write, &[file, at, 256 * PAGE]),
            FILE_PAGES / 256 + 1,
        );
        bed.value(__NR_munmap, &[at, 256 * PAGE]);
        assert_eq!(bed.value(__NR_close, &[file]), 0);
        (count * 256, errno)
    };
    // Pages go back with the last name, with the last descriptor, and as they are cut off.
    for turn in 0..4 {
        let held = match turn {
            1 => bed.by_path(__NR_open, "/big", &[u64::from(O_CREAT), 0o600]),
            _ => -1,
        };
        assert_eq!(fill(&mut bed, "/big"), (FILE_PAGES, failed(ENOSPC)));
        assert_eq!(save(&mut bed, "/more", "x"), failed(ENOSPC));
        if turn == 0 {
            assert_eq!(bed.by_path(__NR_truncate, "/big", &[PAGE]), 0);
        } else {
            assert_eq!(bed.by_path(__NR_unlink, "/big", &[]), 0);
        }
        if let Ok(held) = u64::try_from(held) {
            assert_eq!(save(&mut bed, "/more", "x"), failed(ENOSPC), "it is open");
            assert_eq!(bed.value(__NR_close, &[held]), 0);
        }
        assert_eq!(save(&mut bed, "/more", "x"), 1);
        assert_eq!(bed.by_path(__NR_unlink, "/more", &[]), 0);
    }
}

#[test]
fn names_have_bounds_and_give_back_what_they_took() {
    let mut bed = bed(&[]);
    let (at, other) = (bed.path("/"), bed.path("/0"));
    let (made, errno) = until(
        |count| {
            bed.write(at, format!("/{count}\0").as_bytes());
            bed.value(__NR_mknod, &[at, S_IFREG.into()])
        },
        NODES + 1,
    );
    assert_eq!(errno, failed(ENOSPC));
    assert!(made > NODES - 8, "{made}");
    // Names of one file count, too, though it is one.
    let long = "n".repeat(240);
    let (links, errno) = until(
        |count| {
            bed.write(at, format!("/{long}{count}\0").as_bytes());
            bed.value(__NR_link, &[other, at])
        },
        NODES,
    );
    assert_eq!(errno, failed(ENOSPC));
    assert!(links > 10_000, "{links}");
    for count in 0..100 {
        bed.write(at, format!("/{count}\0").as_bytes());
        assert_eq!(bed.value(__NR_unlink, &[at]), 0);
    }
    assert_eq!(save(&mut bed, "/new", "x"), 1);
}

#[test]
fn files_of_the_host_have_a_bound() {
    let folder = Folder::new("many");
    std::fs::write(folder.0.join("x"), "x").unwrap();
    let mut bed = bed(&[folder.mount("/host", true)]);
    let at = bed.path("/host/x");
    let (count, errno) = until(|_| bed.value(__NR_open, &[at, 0]), DESCRIPTORS);
    assert_eq!((count, errno), (HOST_FILES, failed(EMFILE)));
    assert_eq!(bed.value(__NR_close, &[100]), 0);
    assert_eq!(bed.value(__NR_open, &[at, 0]), 100);
    // Directories hold nothing of the host.
    let directory = bed.path("/host");
    let (count, errno) = until(|_| bed.value(__NR_open, &[directory, 0]), DESCRIPTORS);
    assert_eq!(errno, failed(EMFILE));
    assert_eq!(count, DESCRIPTORS - HOST_FILES - 3);
}

#[test]
fn what_is_held_of_directories_has_a_bound() {
    let folder = Folder::new("held");
    let name = "n".repeat(200);
    for count in 0..2000 {
        std::fs::write(folder.0.join(format!("{name}{count}")), "").unwrap();
    }
    let mut bed = bed(&[folder.mount("/host", true)]);
    let (at, to) = (bed.path("/host"), bed.pages(1));
    let list = |bed: &mut Bed| {
        let directory = bed.value(__NR_open, &[at, 0]);
        assert!(directory >= 0);
        bed.value(__NR_getdents64, &[directory as u64, to, PAGE])
    };
    let (count, errno) = until(|_| list(&mut bed), DESCRIPTORS - 3);
    assert_eq!(errno, failed(ENOMEM));
    assert!((40..200).contains(&count), "{count}");
    assert_eq!(bed.value(__NR_close, &[3]), 0);
    assert!(list(&mut bed) > 0);
}

#[test]
fn paths_have_bounds() {
    let mut bed = bed(&[]);
    let at = bed.pages(4);
    let mut open = |path: &[u8]| {
        bed.write(at, path);
        bed.write(at + path.len() as u64, &[0]);
        bed.value(__NR_open, &[at, 0])
    };
    assert_eq!(open(&[b'a'; 255]), failed(ENOENT));
    assert_eq!(open(&[b'a'; 256]), failed(ENAMETOOLONG));
    assert!(open(&[b'/'; 4095]) >= 0);
    assert_eq!(open(&[b'/'; 4096]), failed(ENAMETOOLONG));
    for depth in 0..=DEPTH {
        let path = "/d".repeat(depth + 1);
        let made = bed.by_path(__NR_mkdir, &path, &[0o700]);
        let reached = bed.by_path(__NR_access, &path, &[0]);
        assert_eq!(
            made,
            if depth <= DEPTH {
                0
            } else {
                failed(ENAMETOOLONG)
            }
        );
        assert_eq!(
            reached,
            if depth < DEPTH {
                0
            } else {
                failed(ENAMETOOLONG)
            }
        );
    }
    assert_eq!(bed.by_path(__NR_symlink, "/d", &[at]), failed(ENAMETOOLONG));
    save(&mut bed, "/l0", "end");
    for count in 0..=LINKS {
        let (target, path) = (format!("l{count}"), format!("/l{}", count + 1));
        let path = bed.path(&path);
        assert_eq!(bed.by_path(__NR_symlink, &target, &[path]), 0);
    }
    assert_eq!(cat(&mut bed, "/l40"), "end");
    assert_eq!(bed.by_path(__NR_open, "/l41", &[0]), failed(ELOOP));
}

#[test]
fn a_program_without_a_tree_asks_the_host_for_paths() {
    let mut bed = Bed::new();
    let at = bed.path("/");
    for number in [__NR_open, __NR_stat, __NR_mkdir, __NR_getcwd, __NR_access] {
        assert_eq!(bed.answer(number, &[at, 0, 0]), Answer::Ask);
    }
    let mut bed = Bed::with_tree(Setup {
        mounts: vec![mount("/a/b", Source::Memory)],
        directory: b"/a".to_vec(),
        ..Setup::default()
    });
    assert_eq!(save(&mut bed, "b/x", "made"), 4);
    assert_eq!(save(&mut bed, "x", ""), failed(EROFS));
    assert_eq!(bed.by_path(__NR_mkdir, "/c", &[0]), failed(EROFS));
    assert_eq!(bed.by_path(__NR_rmdir, "/a/b", &[]), failed(EROFS));
}
