//! Every call that takes a path, with a path.

use linux::limits::PAGE;
use linux_raw_sys::general::*;

use super::{Cell, HERE};

/// Flags of `open` that change what it does.
pub const FLAGS: [u32; 12] = [
    O_RDONLY,
    O_WRONLY,
    O_RDWR | O_APPEND,
    O_RDWR | O_CREAT,
    O_RDWR | O_CREAT | O_EXCL,
    O_WRONLY | O_TRUNC,
    O_RDONLY | O_DIRECTORY,
    O_RDONLY | O_NOFOLLOW,
    O_PATH,
    O_PATH | O_NOFOLLOW,
    O_RDWR | O_TMPFILE,
    O_RDONLY | O_NONBLOCK,
];

/// What only asks.
pub fn ask(cell: &mut Cell, directory: u64, path: &[u8]) {
    let (at, to) = (cell.put(path), cell.to);
    let how = String::from_utf8_lossy(path).into_owned();
    for flags in [0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH] {
        let stat = [directory, at, to, flags.into()];
        if cell.call(__NR_newfstatat, &stat) == 0 {
            cell.check_status(&how);
        }
        cell.call(__NR_statx, &[directory, at, flags.into(), 0xfff, to]);
        cell.call(__NR_faccessat2, &[directory, at, 4, flags.into()]);
    }
    let count = cell.call(__NR_readlinkat, &[directory, at, to, PAGE]);
    assert!(count <= 4095, "{how}: {count}");
    for number in [__NR_statfs, __NR_getxattr, __NR_listxattr, __NR_access] {
        cell.call(number, &[at, to, to, 0]);
    }
    for flags in FLAGS {
        let file = cell.call(__NR_openat, &[directory, at, flags.into(), 0o600]);
        if file >= 0 {
            cell.look_at(file, path);
            cell.call(__NR_close, &[file.cast_unsigned()]);
            cell.put(path);
        }
    }
}

/// What changes something, at one path and from it to another.
pub fn change(cell: &mut Cell, directory: u64, path: &[u8], other: &[u8]) {
    let (at, with, to) = (cell.put(path), cell.put_other(other), cell.to);
    cell.bed.write(to, b"changed from inside");
    let changes: [(u32, [u64; 5]); 24] = [
        (__NR_chmod, [at, 0o777, 0, 0, 0]),
        (__NR_fchmodat2, [directory, at, 0o7777, 0, 0]),
        (__NR_fchownat, [directory, at, 0, 0, 0]),
        (__NR_lchown, [at, 1000, 1000, 0, 0]),
        (__NR_truncate, [at, 1, 0, 0, 0]),
        (__NR_utimensat, [directory, at, 0, 0, 0]),
        (__NR_utime, [at, 0, 0, 0, 0]),
        (__NR_utimes, [at, 0, 0, 0, 0]),
        (__NR_futimesat, [directory, at, 0, 0, 0]),
        (__NR_setxattr, [at, with, to, 4, 0]),
        (__NR_removexattr, [at, with, 0, 0, 0]),
        (__NR_mkdirat, [directory, at, 0o700, 0, 0]),
        (
            __NR_mknodat,
            [directory, at, u64::from(S_IFREG | 0o600), 0, 0],
        ),
        (
            __NR_mknodat,
            [directory, at, u64::from(S_IFIFO | 0o600), 0, 0],
        ),
        (__NR_symlinkat, [with, directory, at, 0, 0]),
        (__NR_linkat, [directory, at, directory, with, 0]),
        (__NR_linkat, [directory, at, directory, with, 0x400]),
        (__NR_linkat, [directory, with, directory, at, 0x400]),
        (__NR_renameat2, [directory, at, directory, with, 0]),
        (__NR_renameat2, [directory, at, directory, with, 1]),
        (__NR_renameat2, [directory, with, directory, at, 2]),
        (__NR_creat, [at, 0o600, 0, 0, 0]),
        (__NR_unlinkat, [directory, at, 0, 0, 0]),
        (__NR_unlinkat, [directory, at, AT_REMOVEDIR.into(), 0, 0]),
    ];
    for (number, arguments) in changes {
        let made = cell.call(number, &arguments);
        if number == __NR_creat && made >= 0 {
            cell.call(__NR_write, &[made.cast_unsigned(), to, 10]);
            cell.call(__NR_ftruncate, &[made.cast_unsigned(), 5]);
        }
    }
    let writable = u64::from(O_WRONLY | O_APPEND | O_CREAT);
    let file = cell.call(__NR_openat, &[directory, at, writable, 0o600]);
    if file >= 0 {
        let file = file.cast_unsigned();
        cell.call(__NR_write, &[file, to, 10]);
        cell.call(__NR_pwrite64, &[file, to, 10, 0]);
        cell.call(__NR_ftruncate, &[file, 3]);
        cell.call(__NR_fchmod, &[file, 0o777]);
        cell.call(__NR_utimensat, &[file, 0, 0, 0]);
        cell.call(__NR_fallocate, &[file, 0, 0, 100]);
    }
    cell.close();
}

/// What makes another place the current one, and asks from there.
pub fn go(cell: &mut Cell, path: &[u8]) {
    let at = cell.put(path);
    if cell.call(__NR_chdir, &[at]) == 0 {
        for inner in [
            b".".as_slice(),
            b"..",
            b"secret",
            b"../secret",
            b"deep/secret",
        ] {
            ask(cell, HERE, inner);
        }
        // The host may have put something else there.
        if cell.call(__NR_getcwd, &[cell.to, PAGE]) > 0 {
            let text = cell.bed.text(cell.to);
            let host = cell.scratch.at("").display().to_string();
            let is_inside = text.starts_with('/') && !text.contains(&host);
            assert!(is_inside, "{text}");
        }
    }
    let at = cell.put(b"/");
    assert_eq!(cell.call(__NR_chdir, &[at]), 0);
}
