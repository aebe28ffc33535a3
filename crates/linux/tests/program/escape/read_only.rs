//! What is read-only is not changed by any call, path or descriptor.

use std::fs;
use std::os::unix::fs::MetadataExt;

use linux_raw_sys::errno::*;
use linux_raw_sys::general::*;

use super::calls::{ask, change, go};
use super::{Cell, HERE, host};
use crate::scratch::Scratch;

/// All that `stat` and `read` tell of the root.
fn picture(scratch: &Scratch) -> Vec<(u32, u64, i64, i64, i64, Vec<u8>)> {
    ["", "file", "sub", "sub/file"]
        .map(|path| {
            let path = scratch.at(path);
            let status = fs::metadata(&path).unwrap();
            let bytes = match status.is_file() {
                true => fs::read(&path).unwrap(),
                false => Vec::new(),
            };
            (
                status.mode(),
                status.nlink(),
                status.mtime(),
                status.mtime_nsec(),
                status.ctime_nsec(),
                bytes,
            )
        })
        .to_vec()
}

fn furnished() -> Scratch {
    let scratch = Scratch::new();
    fs::create_dir(scratch.at("sub")).unwrap();
    fs::write(scratch.at("file"), "same").unwrap();
    fs::write(scratch.at("sub/file"), "same").unwrap();
    std::os::unix::fs::symlink("file", scratch.at("link")).unwrap();
    scratch
}

/// By the root's word, by the mount's, and by both.
fn cells() -> [Cell; 3] {
    [(true, false), (false, true), (true, true)].map(|(root, mount)| {
        let scratch = furnished();
        let mount = host("/", scratch.open(root), mount);
        Cell::with(scratch, vec![mount])
    })
}

#[test]
fn no_call_with_a_path_changes_what_is_read_only() {
    for mut cell in cells() {
        let before = picture(&cell.scratch);
        let others: [&[u8]; 3] = [b"new", b"sub/new", b"sub"];
        for path in [
            b"file".as_slice(),
            b"link",
            b"sub",
            b"sub/file",
            b"new",
            b"sub/new",
            b"/",
            b".",
            b"sub/..",
            b"/proc/self/cwd/file",
            b"/proc/self/root/sub/file",
        ] {
            ask(&mut cell, HERE, path);
            go(&mut cell, path);
            for other in others {
                change(&mut cell, HERE, path, other);
            }
        }
        assert_eq!(picture(&cell.scratch), before);
        assert_eq!(fs::read_dir(cell.scratch.at("")).unwrap().count(), 3);
        assert_eq!(fs::read_dir(cell.scratch.at("sub")).unwrap().count(), 1);
    }
}

#[test]
fn no_call_with_a_descriptor_changes_what_is_read_only() {
    for mut cell in cells() {
        let before = picture(&cell.scratch);
        for flags in [O_RDONLY, O_PATH] {
            let file = cell.open(b"file", flags).cast_unsigned();
            let to = cell.to;
            cell.bed.write(to, b"changed");
            let changes: [(u32, [u64; 4]); 9] = [
                (__NR_write, [file, to, 7, 0]),
                (__NR_pwrite64, [file, to, 7, 0]),
                (__NR_ftruncate, [file, 0, 0, 0]),
                (__NR_fallocate, [file, 0, 0, 1000]),
                (__NR_fchmod, [file, 0o777, 0, 0]),
                (__NR_fchown, [file, 7, 7, 0]),
                (__NR_utimensat, [file, 0, 0, 0]),
                (__NR_futimesat, [file, 0, 0, 0]),
                (__NR_fsetxattr, [file, to, to, 7]),
            ];
            for (number, arguments) in changes {
                let value = cell.call(number, &arguments);
                assert!(value < 0, "{number}: {value}");
            }
            let shared = [0, 4096, 3, MAP_SHARED.into(), file, 0];
            assert!(cell.call(__NR_mmap, &shared) < 0);
            // The same file once more, by its descriptor.
            for spelling in ["/proc/self/fd", "/dev/fd"] {
                let again = format!("{spelling}/{file}");
                for flags in [O_RDWR, O_WRONLY, O_RDWR | O_APPEND, O_WRONLY | O_TRUNC] {
                    let value = cell.open(again.as_bytes(), flags);
                    assert!(value < 0, "{again} {flags:x}: {value}");
                }
                for other in [b"new".as_slice(), b"sub/new"] {
                    change(&mut cell, HERE, again.as_bytes(), other);
                    assert_eq!(cell.open(b"file", flags).cast_unsigned(), file);
                }
            }
            // A private copy is the program's own.
            let private = [0, 4096, 3, MAP_PRIVATE.into(), file, 0];
            let copy = cell.call(__NR_mmap, &private);
            if copy > 0 {
                cell.bed.write(copy.cast_unsigned(), b"mine");
            }
            cell.close();
        }
        assert_eq!(picture(&cell.scratch), before);
    }
}

#[test]
fn nothing_is_linked_or_moved_out_of_what_is_read_only() {
    let scratch = furnished();
    let other = Scratch::new();
    let mounts = vec![
        host("/", other.open(false), false),
        host("/fixed", scratch.open(true), false),
        host("/same", scratch.open(false), true),
    ];
    let before = picture(&scratch);
    let mut cell = Cell::with(other, mounts);
    for from in ["/fixed/file", "/same/file", "/fixed/sub", "/same/link"] {
        for to in ["/mine", "/fixed/mine", "/same/mine"] {
            let (at, with) = (cell.put(from.as_bytes()), cell.put_other(to.as_bytes()));
            for flags in [0, 0x400] {
                assert!(cell.call(__NR_linkat, &[HERE, at, HERE, with, flags]) < 0);
            }
            for flags in [0, 1, 2] {
                let value = cell.call(__NR_renameat2, &[HERE, at, HERE, with, flags]);
                assert!(value < 0, "{from} {to} {flags}");
            }
        }
    }
    assert_eq!(cell.open(b"/mine", O_CREAT | O_WRONLY), 3);
    assert_eq!(
        cell.open(b"/fixed/x", O_CREAT | O_WRONLY),
        -i64::from(EROFS)
    );
    assert_eq!(picture(&scratch), before);
}
