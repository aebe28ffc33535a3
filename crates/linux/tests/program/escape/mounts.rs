//! Mounts in a directory of the host that can be written to: they stay where they are.

use std::fs;

use linux::{Mount, Source};
use linux_raw_sys::errno::*;
use linux_raw_sys::general::*;

use super::calls::{ask, change, go};
use super::{Cell, HERE, host};
use crate::scratch::Scratch;

/// `/a/b/fixed` is read-only and over a file of the host, `/a/own` in memory, `/a/box` a
/// directory of the host that is the canary's neighbour.
fn furnished() -> (Cell, Scratch) {
    let (scratch, other) = (Scratch::new(), Scratch::new());
    fs::create_dir_all(scratch.at("a/b")).unwrap();
    fs::create_dir_all(scratch.at("x/y")).unwrap();
    fs::write(scratch.at("a/b/fixed"), "the host's own").unwrap();
    fs::create_dir(scratch.at("a/box")).unwrap();
    fs::write(scratch.at("a/box/hidden"), "under a mount").unwrap();
    fs::write(other.at("file"), "in the box").unwrap();
    let mounts = vec![
        host("/", scratch.open(false), false),
        Mount {
            path: b"/a/b/fixed".to_vec(),
            source: Source::File(b"what is fixed".to_vec()),
            read_only: true,
        },
        Mount {
            path: b"/a/own".to_vec(),
            source: Source::Memory,
            read_only: false,
        },
        host("/a/box", other.open(true), false),
    ];
    (Cell::with(scratch, mounts), other)
}

fn read(cell: &mut Cell, path: &[u8]) -> Vec<u8> {
    let file = cell.open(path, 0);
    assert!(file >= 0, "{}: {file}", String::from_utf8_lossy(path));
    let (file, to) = (file.cast_unsigned(), cell.to);
    let count = cell.call(__NR_read, &[file, to, 100]);
    let bytes = cell.bed.read(to, usize::try_from(count).unwrap());
    cell.call(__NR_close, &[file]);
    bytes
}

#[test]
fn what_is_on_the_way_to_a_mount_is_not_moved_or_removed() {
    let (mut cell, _other) = furnished();
    let ways: [&[u8]; 12] = [
        b"/a",
        b"/a/b",
        b"/a/b/fixed",
        b"/a/own",
        b"/a/box",
        b"/a/",
        b"/a/b/../b",
        b"/x/../a",
        b"/proc/self/root/a",
        b"/proc/self/cwd/a/b",
        b"//a//b",
        b"/a/box/../b",
    ];
    for way in ways {
        for other in [b"/x/z".as_slice(), b"/x/y", b"/z", b"/x"] {
            let (at, with) = (cell.put(way), cell.put_other(other));
            for (number, arguments) in [
                (__NR_renameat2, [HERE, at, HERE, with, 0]),
                (__NR_renameat2, [HERE, at, HERE, with, 1]),
                (__NR_renameat2, [HERE, at, HERE, with, 2]),
                (__NR_renameat2, [HERE, with, HERE, at, 0]),
                (__NR_renameat2, [HERE, with, HERE, at, 2]),
                (__NR_unlinkat, [HERE, at, 0, 0, 0]),
                (__NR_unlinkat, [HERE, at, AT_REMOVEDIR.into(), 0, 0]),
            ] {
                let value = cell.call(number, &arguments);
                assert!(value < 0, "{way:?} {other:?} {number} {arguments:x?}");
            }
        }
    }
    assert_eq!(read(&mut cell, b"/a/b/fixed"), b"what is fixed");
    assert_eq!(read(&mut cell, b"/a/box/file"), b"in the box");
    let host = fs::read(cell.scratch.at("a/b/fixed")).unwrap();
    assert_eq!(host, b"the host's own");
}

#[test]
fn what_is_under_a_mount_is_not_reached() {
    let (mut cell, other) = furnished();
    let before = (cell.scratch.canary(), other.canary());
    let paths: [&[u8]; 12] = [
        b"/a/box/hidden",
        b"/a/box/../box/hidden",
        b"/a/box/../outside/secret",
        b"/a/box/../../outside/secret",
        b"/a/box/..",
        b"/a/own/..",
        b"/a/own/../box/hidden",
        b"/a/own/../../outside/secret",
        b"/a/b/fixed",
        b"/a/b/fixed/..",
        b"/a/b/../box/./hidden",
        b"/proc/self/root/a/box/hidden",
    ];
    for path in paths {
        ask(&mut cell, HERE, path);
        go(&mut cell, path);
        let file = cell.open(path, 0);
        if file >= 0 {
            let to = cell.to;
            let count = cell.call(__NR_read, &[file.cast_unsigned(), to, 100]);
            if count > 0 {
                let bytes = cell.bed.read(to, count as usize);
                assert_eq!(bytes, b"what is fixed", "{path:?}");
            }
        }
        change(&mut cell, HERE, path, b"/a/own/new");
        change(&mut cell, HERE, path, b"/a/box/new");
    }
    assert_eq!((cell.scratch.canary(), other.canary()), before);
    let under = fs::read(cell.scratch.at("a/box/hidden")).unwrap();
    assert_eq!(under, b"under a mount");
    let fixed = fs::read(cell.scratch.at("a/b/fixed")).unwrap();
    assert_eq!(fixed, b"the host's own");
    assert_eq!(fs::read(other.at("file")).unwrap(), b"in the box");
    assert_eq!(fs::read_dir(other.at("")).unwrap().count(), 1);
}

#[test]
fn a_link_into_a_mount_obeys_the_mount() {
    let (mut cell, other) = furnished();
    for (target, name) in [
        (b"/a/box".as_slice(), b"/to-box".as_slice()),
        (b"a/b/fixed", b"/to-fixed"),
        (b"/a/own", b"/to-own"),
        (b"../../a/box/file", b"/x/to-file"),
    ] {
        let (at, with) = (cell.put(target), cell.put_other(name));
        assert_eq!(cell.call(__NR_symlink, &[at, with]), 0);
    }
    assert_eq!(read(&mut cell, b"/to-fixed"), b"what is fixed");
    assert_eq!(read(&mut cell, b"/to-box/file"), b"in the box");
    assert_eq!(read(&mut cell, b"/x/to-file"), b"in the box");
    let erofs = -i64::from(EROFS);
    for path in [
        b"/to-fixed".as_slice(),
        b"/to-box/file",
        b"/x/to-file",
        b"/to-box/new",
    ] {
        let value = cell.open(path, O_WRONLY | O_CREAT);
        assert_eq!(value, erofs, "{}", String::from_utf8_lossy(path));
    }
    assert_eq!(cell.open(b"/to-own/new", O_WRONLY | O_CREAT), 3);
    assert!(!cell.scratch.at("a/own").exists());
    assert_eq!(fs::read_dir(other.at("")).unwrap().count(), 1);
}

/// Ways that go through several directories of the host at once, and then back.
#[test]
fn a_way_back_from_far_is_the_way_that_was_come() {
    let (mut cell, _other) = furnished();
    fs::create_dir_all(cell.scratch.at("p/q/r/s")).unwrap();
    fs::write(cell.scratch.at("p/q/up"), "one up").unwrap();
    fs::write(cell.scratch.at("p/top"), "the top").unwrap();
    let links = [
        ("../up", "p/q/r/one"),
        ("../../../top", "p/q/r/s/three"),
        ("../../../../a/b/fixed", "p/q/r/s/mount"),
        ("../../../../../../../p/top", "p/q/r/s/many"),
        ("..", "p/q/r/s/dots"),
        ("/p/q/r/s", "p/q/r/s/itself"),
    ];
    for (target, name) in links {
        std::os::unix::fs::symlink(target, cell.scratch.at(name)).unwrap();
    }
    let cases: [(&[u8], &[u8]); 8] = [
        (b"/p/q/r/one", b"one up"),
        (b"/p/q/r/s/three", b"the top"),
        (b"/p/q/r/s/mount", b"what is fixed"),
        (b"/p/q/r/s/many", b"the top"),
        (b"/p/q/r/s/dots/one", b"one up"),
        (b"/p/q/r/s/itself/dots/s/three", b"the top"),
        (b"/p/q/r/s/itself/itself/dots/../up", b"one up"),
        (b"/a/b/fixed", b"what is fixed"),
    ];
    for (path, text) in cases {
        assert_eq!(read(&mut cell, path), text, "{path:?}");
    }
    let at = cell.put(b"/p/q/r/s/dots");
    assert_eq!(cell.call(__NR_chdir, &[at]), 0);
    assert!(cell.call(__NR_getcwd, &[cell.to, 4096]) > 0);
    assert_eq!(cell.bed.text(cell.to), "/p/q/r");
    assert_eq!(read(&mut cell, b"../up"), b"one up");
    assert_eq!(read(&mut cell, b"s/../../../../a/box/file"), b"in the box");
}
