//! Each path form there is, once.

use std::fs;
use std::os::unix::fs::symlink;

use linux::limits::PAGE;
use linux_raw_sys::errno::*;
use linux_raw_sys::general::*;

use super::calls::{ask, change, go};
use super::{Cell, HERE};
use crate::scratch::{Scratch, fifo};

fn failed(errno: u32) -> i64 {
    -i64::from(errno)
}

/// A root with links in it that want out.
fn furnished() -> Cell {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.at("a/b/c")).unwrap();
    fs::write(scratch.at("in"), "inside").unwrap();
    fs::write(scratch.at("a/b/c/in"), "inside").unwrap();
    let outside = scratch.outside("").display().to_string();
    let outside = outside.trim_end_matches('/').to_owned();
    let links = [
        ("absolute", format!("{outside}/secret")),
        ("slashed", format!("//{outside}//secret")),
        ("directory", outside.clone()),
        ("directory-slash", format!("{outside}/")),
        ("up", "..".into()),
        ("up-up", "../..".into()),
        ("many", "../".repeat(100)),
        ("beside", "../outside/secret".into()),
        ("a/b/beside", "../../../outside/secret".into()),
        ("a/b/c/up", "../../../../outside".into()),
        ("chain", "absolute".into()),
        ("chain-up", "up/up/outside/secret".into()),
        ("chain-directory", "directory/deep/..".into()),
        ("loop", "loop".into()),
        ("ping", "pong".into()),
        ("pong", "ping".into()),
        ("root", "/proc/self/root".into()),
        ("root-out", format!("/proc/self/root{outside}/secret")),
        ("cwd-out", "/proc/self/cwd/../outside/secret".into()),
        ("fd-out", format!("/proc/self/fd/0/..{outside}/secret")),
        ("init", "/proc/1/root".into()),
        ("mem", "/proc/self/mem".into()),
        ("dot", ".".into()),
    ];
    for (name, target) in links {
        symlink(target, scratch.at(name)).unwrap();
    }
    fifo(&scratch.at("fifo")).unwrap();
    symlink("fifo", scratch.at("to-fifo")).unwrap();
    Cell::new(scratch)
}

/// Paths that want out, or somewhere strange.
const FORMS: &str = "
    .. ../ ../.. /.. /../.. //.. /./.. /.//../outside/secret ../outside/secret
    a/../../outside/secret a/b/c/../../../../outside/secret a/b/../b/../../../outside
    a/b/c/in/.. in/.. in/../outside in/ in/. absolute absolute/ absolute/. slashed directory
    directory/ directory/secret directory/./secret directory/../outside/secret
    directory-slash directory-slash/secret up up/ up/outside/secret up/up/up/outside
    up-up/outside many manyoutside many/outside/secret beside a/b/beside a/b/c/up
    a/b/c/up/secret chain chain-up chain-directory chain-directory/secret loop loop/ loop/x
    ping pong/.. root root/.. root-out cwd-out fd-out init init/etc/passwd mem dot
    dot/dot/dot/.. fifo fifo/ fifo/.. to-fifo to-fifo/ missing missing/.. missing/../in ...
    .... a//b///c//..//..//..//.. /proc/self/root/../outside/secret
    /proc/self/root/etc/passwd /proc/1/root /proc/1/cwd /proc/1/environ /proc/2/root/..
    /proc/thread-self/root/.. /proc/self/task/2/root /proc/self/cwd/.. /proc/self/exe
    /proc/self/exe/.. /proc/self/fd /proc/self/fd/.. /proc/self/fd/3 /proc/self/fd/3/..
    /proc/self/fd/3/../outside/secret /proc/self/fd/03 /proc/self/fd/+3 /proc/self/fd/-1
    /proc/self/fd/4 /proc/self/fd/99999999999999999999 /proc/self/fdinfo/3
    /proc/self/map_files /proc/self/ns/mnt /proc/self/mem /proc/kcore /proc/sysrq-trigger
    /proc/sys/kernel/core_pattern /proc/../proc/1 /dev/fd/3 /dev/fd/3/..
    /dev/fd/../../outside /dev/mem /dev/kvm /dev/kmem /dev/port /dev/sda /dev/vda /dev/tty
    /dev/ptmx /dev/pts/0 /dev/shm /dev/shm/.. /dev/../outside /sys /sys/kernel
    /dev//..//..//outside %2e%2e/outside ..%2foutside ~ ~/../outside file:///etc/passwd
";

fn forms(cell: &Cell) -> Vec<Vec<u8>> {
    let outside = cell.scratch.outside("").display().to_string();
    let inside = cell.scratch.at("in").display().to_string();
    let mut forms: Vec<String> = FORMS.split_whitespace().map(String::from).collect();
    forms.extend([
        outside.clone(),
        format!("{outside}/secret"),
        format!("/proc/self/root{outside}/secret"),
        format!("/proc/self/cwd{outside}/secret"),
        format!("//{outside}/secret"),
        format!("a/..{outside}/secret"),
        inside.clone(),
        format!("{}in", "/".repeat(4000)),
        format!("{}outside/secret", "../".repeat(1000)),
        "a/../".repeat(800) + "../outside",
        format!("directory{}", "/.".repeat(1500)),
        "loop/".repeat(500),
        "dot/".repeat(39) + "in",
        "dot/".repeat(41) + "in",
    ]);
    let mut all: Vec<Vec<u8>> = forms.into_iter().map(String::into_bytes).collect();
    let odd: [&[u8]; 10] = [
        b". .",
        b"..\\",
        b"",
        b"\xff\xfe",
        b"..\xc0\xaf..",
        b"\xc0\xae\xc0\xae/outside",
        b"in\n",
        b" in",
        b"a\\..\\..\\outside",
        b"\x7f\x01\x02",
    ];
    all.extend(odd.map(<[u8]>::to_vec));
    all.push(vec![b'x'; 255]);
    all.push(vec![b'x'; 256]);
    all.push(vec![b'/'; 4095]);
    all
}

#[test]
fn no_spelling_of_a_path_reads_what_is_outside() {
    let mut cell = furnished();
    let before = cell.scratch.canary();
    let directory = cell.open(b"a/b", O_DIRECTORY);
    assert_eq!(directory, 3);
    for path in forms(&cell) {
        ask(&mut cell, HERE, &path);
        ask(&mut cell, 3, &path);
        go(&mut cell, &path);
    }
    assert_eq!(cell.scratch.canary(), before);
}

#[test]
fn no_spelling_of_a_path_changes_what_is_outside() {
    let others: [&[u8]; 6] = [
        b"new",
        b"../outside/new",
        b"directory/new",
        b"up/outside/new",
        b"absolute",
        b"/proc/self/root/../outside/new",
    ];
    // Each from an untouched root, as all of them change it.
    let paths = forms(&furnished());
    for (turn, other) in others.iter().enumerate() {
        let mut cell = furnished();
        for (number, path) in paths.iter().enumerate() {
            if number % 20 == turn {
                cell = furnished();
            }
            let before = cell.scratch.canary();
            change(&mut cell, HERE, path, other);
            assert_eq!(cell.scratch.canary(), before, "{path:?}");
        }
    }
}

#[test]
fn the_same_paths_within_the_root_work() {
    let mut cell = furnished();
    let same: [&[u8]; 10] = [
        b"in",
        b"/in",
        b"//in",
        b"../../in",
        b"a/b/c/../../../in",
        b"up/up/in",
        b"dot/dot/in",
        b"/proc/self/root/in",
        b"/proc/self/cwd/in",
        b"a//.//b/..//../in",
    ];
    for path in same {
        let file = cell.open(path, 0);
        assert!(file >= 3, "{path:?}: {file}");
        let (file, to) = (file.cast_unsigned(), cell.to);
        assert_eq!(cell.call(__NR_read, &[file, to, 100]), 6);
        assert_eq!(cell.bed.read(to, 6), b"inside");
        let again = format!("/proc/self/fd/{file}");
        let again = cell.open(again.as_bytes(), 0);
        assert_eq!(
            cell.call(__NR_pread64, &[again.cast_unsigned(), to, 3, 2]),
            3
        );
        assert_eq!(cell.bed.read(to, 3), b"sid");
        cell.close();
    }
}

#[test]
fn what_is_wrong_with_a_path_is_said_as_linux_says_it() {
    let mut cell = furnished();
    let long = vec![b'x'; 256];
    let cases: [(&[u8], u32); 15] = [
        (b"", ENOENT),
        (b"loop", ELOOP),
        (b"ping/x", ELOOP),
        (b"in/", ENOTDIR),
        (b"in/..", ENOTDIR),
        (b"in/x", ENOTDIR),
        (b"missing", ENOENT),
        (b"missing/..", ENOENT),
        (b"absolute", ENOENT),
        (b"beside", ENOENT),
        (b"fifo", EACCES),
        (b"to-fifo", EACCES),
        (b"fifo/x", EACCES),
        (&long, ENAMETOOLONG),
        (b"/dev/tty", ENXIO),
    ];
    for (path, errno) in cases {
        assert_eq!(cell.open(path, 0), failed(errno), "{path:?}");
    }
    let slashes = vec![b'/'; 4096];
    assert_eq!(cell.open(&slashes, 0), failed(ENAMETOOLONG));
    assert_eq!(cell.open(&slashes[1..], O_DIRECTORY), 3);
    cell.close();
    // A path that ends with the page, and one that does not end.
    let page = cell.bed.pages(1);
    cell.bed.write(page + PAGE - 3, b"in\0");
    assert_eq!(cell.call(__NR_open, &[page + PAGE - 3, 0]), 3);
    cell.bed.write(page + PAGE - 3, b"in/");
    let unending = cell.call(__NR_open, &[page + PAGE - 3, 0]);
    assert!(unending < 0, "{unending}");
    for wrong in [0, 1, 0xfe00_0000, 1 << 47, 1 << 63, u64::MAX] {
        assert_eq!(cell.call(__NR_open, &[wrong, 0]), failed(EFAULT));
    }
}

#[test]
fn an_empty_path_is_the_descriptors_own() {
    let mut cell = furnished();
    let before = cell.scratch.canary();
    for (path, flags) in [
        (b"in".as_slice(), O_RDONLY),
        (b"a", O_DIRECTORY),
        (b"in", O_PATH),
        (b"absolute", O_PATH | O_NOFOLLOW),
        (b"/dev/null", O_RDWR),
        (b"/proc/self/maps", 0),
    ] {
        let file = cell.open(path, flags);
        assert!(file >= 3, "{path:?}: {file}");
        let file = file.cast_unsigned();
        let (at, to) = (cell.put(b""), cell.to);
        let empty = AT_EMPTY_PATH.into();
        let value = cell.call(__NR_newfstatat, &[file, at, to, empty]);
        assert_eq!(value, 0, "{path:?}");
        cell.check_status("empty");
        assert!(cell.call(__NR_openat, &[file, at, 0]) < 0);
        cell.call(__NR_fchmodat2, &[file, at, 0o777, empty]);
        cell.call(__NR_utimensat, &[file, at, 0, empty]);
        cell.call(__NR_fchownat, &[file, at, 1000, 1000, empty]);
        let with = cell.put_other(b"linked");
        cell.call(__NR_linkat, &[file, at, HERE, with, empty]);
        ask(&mut cell, file, b"");
        ask(&mut cell, file, b"..");
        ask(&mut cell, file, b"../outside/secret");
        cell.close();
    }
    assert_eq!(cell.scratch.canary(), before);
}
