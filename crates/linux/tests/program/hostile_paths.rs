//! Calls with paths and what they open, made to do harm: pointers, lengths, overlaps, descriptors.
//! Nothing panics, no more is held than the bounds say, and the host outside the program's
//! directories is as before. `VMEXIT_SOAK=1` tries a million.

use std::fs;
use std::os::unix::fs::symlink;

use linux::limits::{HOST_FILES, NODES, PAGE};
use linux::{Answer, Call, HostRoot, Mount, Setup, Source};
use linux_raw_sys::general::*;

use crate::bed::Bed;
use crate::hostile::{Chance, edge, turns};
use crate::scratch::{Scratch, fifo};

/// What takes a path, and what is done with what it opens.
const CALLS: [u32; 85] = [
    __NR_read,
    __NR_write,
    __NR_open,
    __NR_close,
    __NR_stat,
    __NR_fstat,
    __NR_lstat,
    __NR_lseek,
    __NR_ioctl,
    __NR_pread64,
    __NR_pwrite64,
    __NR_readv,
    __NR_writev,
    __NR_access,
    __NR_dup,
    __NR_dup2,
    __NR_sendfile,
    __NR_fcntl,
    __NR_flock,
    __NR_fsync,
    __NR_fdatasync,
    __NR_truncate,
    __NR_ftruncate,
    __NR_getdents,
    __NR_getcwd,
    __NR_chdir,
    __NR_fchdir,
    __NR_rename,
    __NR_mkdir,
    __NR_rmdir,
    __NR_creat,
    __NR_link,
    __NR_unlink,
    __NR_symlink,
    __NR_readlink,
    __NR_chmod,
    __NR_fchmod,
    __NR_chown,
    __NR_fchown,
    __NR_lchown,
    __NR_umask,
    __NR_utime,
    __NR_mknod,
    __NR_statfs,
    __NR_fstatfs,
    __NR_chroot,
    __NR_sync,
    __NR_mount,
    __NR_readahead,
    __NR_setxattr,
    __NR_getxattr,
    __NR_listxattr,
    __NR_fgetxattr,
    __NR_getdents64,
    __NR_fadvise64,
    __NR_utimes,
    __NR_openat,
    __NR_mkdirat,
    __NR_mknodat,
    __NR_fchownat,
    __NR_futimesat,
    __NR_newfstatat,
    __NR_unlinkat,
    __NR_renameat,
    __NR_linkat,
    __NR_symlinkat,
    __NR_readlinkat,
    __NR_fchmodat,
    __NR_faccessat,
    __NR_utimensat,
    __NR_fallocate,
    __NR_dup3,
    __NR_open_by_handle_at,
    __NR_syncfs,
    __NR_renameat2,
    __NR_memfd_create,
    __NR_execveat,
    __NR_copy_file_range,
    __NR_statx,
    __NR_openat2,
    __NR_faccessat2,
    __NR_close_range,
    __NR_fchmodat2,
    __NR_mmap,
    __NR_munmap,
];

/// What costs much more than the rest is asked for more seldom.
const DEAR: [u32; 7] = [
    __NR_sendfile,
    __NR_copy_file_range,
    __NR_fsync,
    __NR_fdatasync,
    __NR_mmap,
    __NR_getrandom,
    __NR_close_range,
];

#[rustfmt::skip]
const PATHS: [&str; 40] = [
    "", "/", ".", "..", "//", "/host", "/host/file", "/host/a", "/host/a/b", "/host/a/b/c",
    "/host/link", "/host/out", "/host/fifo", "/host/loop", "/host/new", "/host/a/new", "/ro",
    "/ro/file", "/ro/new", "/ro/a", "/fixed", "/m", "/m/new", "/m/a", "a", "a/b", "new",
    "../../../outside/secret", "/host/a/../../host/file", "/proc/self/fd/3", "/proc/self/fd",
    "/dev/fd/4", "/proc/self/root/host/file", "/proc/self/maps", "/proc/self/exe", "/dev/null",
    "/dev/zero", "/dev/full", "/dev/urandom", "/proc/self/cwd",
];

/// Bytes between the paths in memory.
const SLOT: u64 = 64;
const PAGES: u64 = 16;

struct Cell {
    bed: Bed,
    scratch: Scratch,
    /// The paths, and the pages after them, of which the last is followed by nothing.
    pages: u64,
}

impl Cell {
    fn new() -> Self {
        let scratch = Scratch::new();
        fs::create_dir_all(scratch.at("rw/a/b")).unwrap();
        fs::create_dir_all(scratch.at("ro/a")).unwrap();
        for path in ["rw/file", "rw/a/b/c", "ro/file", "ro/a/file"] {
            fs::write(scratch.at(path), "same").unwrap();
        }
        symlink("a/b", scratch.at("rw/link")).unwrap();
        symlink(scratch.outside("secret"), scratch.at("rw/out")).unwrap();
        symlink("loop", scratch.at("rw/loop")).unwrap();
        fifo(&scratch.at("rw/fifo")).unwrap();
        let host = |path, read_only| Source::Host(HostRoot::open(path, read_only).unwrap());
        let mounts = [
            ("/", Source::Memory, false),
            ("/host", host(&scratch.at("rw"), false), false),
            ("/ro", host(&scratch.at("ro"), true), false),
            ("/fixed", Source::File(b"fixed".to_vec()), true),
            ("/m", Source::Memory, false),
        ];
        let mounts = mounts.map(|(path, source, read_only)| Mount {
            path: path.into(),
            source,
            read_only,
        });
        let mut bed = Bed::with_tree(Setup {
            mounts: mounts.into(),
            program: b"/fixed".to_vec(),
            ..Setup::default()
        });
        let pages = bed.pages(PAGES);
        let mut cell = Self {
            bed,
            scratch,
            pages,
        };
        cell.put_paths();
        cell
    }

    fn put_paths(&mut self) {
        for (number, path) in PATHS.iter().enumerate() {
            let at = self.pages + number as u64 * SLOT;
            let _ = self.bed.space.write(&self.bed.ram, at, &[0; SLOT as usize]);
            let _ = self.bed.space.write(&self.bed.ram, at, path.as_bytes());
        }
    }

    fn argument(&self, chance: &mut Chance) -> u64 {
        match chance.below(16) {
            0 => chance.next(),
            1 => edge(chance),
            2 => u64::MAX - chance.below(200),
            3 => AT_FDCWD.cast_unsigned().into(),
            4 => 1 << chance.below(64),
            5 => chance.below(1 << 20),
            6 => self.pages + PAGES * PAGE - chance.below(32),
            7 => self.pages + chance.below(PAGES * PAGE),
            8..=10 => chance.below(12),
            _ => self.pages + chance.below(PATHS.len() as u64) * SLOT,
        }
    }

    /// Where one of the paths lies.
    fn place(&self, path: &str) -> u64 {
        let place = PATHS.iter().position(|listed| *listed == path).unwrap();
        self.pages + place as u64 * SLOT
    }

    /// What the program has taken from itself it gets back: memory, rights, room for descriptors.
    fn repair(&mut self) {
        let rights = linux::Protection::READ_WRITE;
        let all = PAGES * PAGE;
        let space = &mut self.bed.space;
        space
            .map(self.pages, all, rights, linux::Commit::Now)
            .unwrap();
        self.put_paths();
        for path in ["/", "/host", "/host/a", "/m"] {
            let at = self.place(path);
            self.bed.answer(__NR_chmod, &[at, 0o777]);
        }
        self.bed.answer(__NR_close_range, &[3, u32::MAX.into(), 0]);
    }

    /// At random, or so that they could be meant: a path, a directory and a path, a descriptor.
    fn arguments(&self, number: u32, chance: &mut Chance) -> [u64; 6] {
        let [a, b, c, d, e, f] = [(); 6].map(|()| self.argument(chance));
        let path = |chance: &mut Chance| self.pages + chance.below(PATHS.len() as u64) * SLOT;
        let here = u64::from(AT_FDCWD.cast_unsigned());
        let flags = [
            0, 1, 2, 0x40, 0x41, 0x42, 0x242, 0x1_0000, 0x100, 0x200, 0o777,
        ];
        let flags = chance.one_of(&flags);
        let room = self.pages + chance.below((PAGES - 1) * PAGE);
        let form = match number {
            __NR_openat..=__NR_faccessat | __NR_utimensat | __NR_renameat2..=__NR_statx => 0,
            __NR_openat2 | __NR_faccessat2 | __NR_fchmodat2 => 0,
            __NR_open | __NR_stat | __NR_lstat | __NR_access | __NR_truncate => 1,
            __NR_getcwd..=__NR_chdir | __NR_rename..=__NR_chmod | __NR_chown | __NR_statfs => 1,
            _ => 2,
        };
        match (form, chance.below(4)) {
            (_, 0) => [a, b, c, d, e, f],
            (0, 1) => [here, path(chance), flags, 0o777, e, f],
            (0, 2) => [chance.below(12), path(chance), room, PAGE, flags, f],
            (0, _) => [here, path(chance), here, path(chance), 0, f],
            (1, 1) => [path(chance), flags, 0o777, d, e, f],
            (1, 2) => [path(chance), room, PAGE, d, e, f],
            (1, _) => [path(chance), path(chance), flags, d, e, f],
            _ => {
                let (descriptor, offset) = (chance.below(12), chance.below(10_000));
                [descriptor, room, chance.below(PAGE), offset, e, f]
            }
        }
    }

    fn call(&mut self, chance: &mut Chance) -> (Call, Answer) {
        let number = match chance.below(16) {
            0 => chance.below(470) as u32,
            _ => chance.one_of(&CALLS),
        };
        let number = match DEAR.contains(&number) && chance.below(16) != 0 {
            true => __NR_openat,
            false => number,
        };
        let call = Call {
            number: number.into(),
            arguments: self.arguments(number, chance),
        };
        (call, self.bed.call(&call))
    }

    /// Descriptors of this process that lead into the scratch directory.
    fn held(&self) -> usize {
        let base = self.scratch.at("");
        let all = fs::read_dir("/proc/self/fd").unwrap();
        let targets = all.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        targets.filter(|target| target.starts_with(&base)).count()
    }
}

#[test]
fn no_call_with_a_path_panics_or_takes_more_than_its_share() {
    let mut chance = Chance(0x9a7_5eed);
    let mut cell = Cell::new();
    let (mut canary, mut fixed) = (cell.scratch.canary(), read_only(&cell.scratch));
    let (mut well, mut asked, mut is_over) = (0_u64, 0_u64, false);
    for turn in 0..turns(30_000) {
        if turn % 5_000 == 4_999 || is_over {
            is_over = false;
            check(&mut cell);
            assert_eq!(cell.scratch.canary(), canary);
            assert_eq!(read_only(&cell.scratch), fixed);
            cell = Cell::new();
            (canary, fixed) = (cell.scratch.canary(), read_only(&cell.scratch));
        }
        if chance.below(4) == 0 {
            // Words that a structure could hold, or a path without an end.
            let word = cell.argument(&mut chance).to_le_bytes();
            let at = cell.pages + chance.below(PAGES * PAGE - 8);
            let _ = cell.bed.space.write(&cell.bed.ram, at, &word);
        } else if chance.below(50) == 0 {
            cell.repair();
        }
        let (call, answer) = cell.call(&mut chance);
        match answer {
            Answer::Value(value) => {
                let value = value.cast_signed();
                assert!(value > -4096, "{call:x?}: {value}");
                well += u64::from(value >= 0);
            }
            Answer::Exit { .. } | Answer::Killed { .. } => is_over = true,
            Answer::Ask | Answer::Return => asked += 1,
        }
        assert_eq!(cell.bed.space.protection(0xfe00_0000), None, "{call:x?}");
    }
    check(&mut cell);
    assert_eq!(cell.scratch.canary(), canary);
    assert!(well > 1000, "{well} did something, {asked} asked");
    println!("{well} did something, {asked} asked");
}

/// What a program must not change, of what it was given.
fn read_only(scratch: &Scratch) -> Vec<Vec<u8>> {
    let names = fs::read_dir(scratch.at("ro")).unwrap().count();
    let files = ["ro/file", "ro/a/file"].map(|path| fs::read(scratch.at(path)).unwrap());
    [vec![names as u8], files.concat()].into()
}

/// The bounds, and that a copy is the same and goes its own way.
fn check(cell: &mut Cell) {
    assert!(cell.bed.kernel.host_files().len() <= HOST_FILES);
    // The two roots are held, too.
    assert!(cell.held() <= HOST_FILES + 2, "{}", cell.held());
    let copy = cell.bed.kernel.clone();
    assert!(copy == cell.bed.kernel);
    drop(copy);
    // The standard streams, too: they may have become files.
    cell.bed.answer(__NR_close_range, &[0, u32::MAX.into(), 0]);
    assert_eq!(cell.bed.kernel.host_files().len(), 0);
    assert_eq!(cell.held(), 2);
    cell.repair();
    let (at, to) = (cell.place("/m"), cell.pages + PAGES * PAGE - PAGE);
    // Nodes in memory, as `statfs` of /m counts them.
    cell.bed.answer(__NR_statfs, &[at, to]);
    let (all, free) = (cell.bed.word(to + 40), cell.bed.word(to + 48));
    assert!(
        all > 0 && all <= NODES as u64 && free <= all,
        "{free} of {all}"
    );
}

#[test]
fn all_host_files_at_once_are_a_bound_and_are_given_back() {
    let mut cell = Cell::new();
    let at = cell.place("/host/file");
    for turn in 0..2 {
        let opened = (0..)
            .take_while(|_| cell.bed.value(__NR_open, &[at, 0]) >= 0)
            .count();
        assert_eq!(opened, HOST_FILES, "{turn}");
        let emfile = -i64::from(linux_raw_sys::errno::EMFILE);
        assert_eq!(cell.bed.value(__NR_open, &[at, 0]), emfile);
        assert_eq!(cell.held(), HOST_FILES + 2);
        // Nothing is made or cut that can then not be open.
        let [file, new, directory] =
            ["/host/file", "/host/new", "/host/a"].map(|path| cell.place(path));
        let made = u64::from(O_CREAT | O_WRONLY);
        assert_eq!(cell.bed.value(__NR_open, &[new, made, 0o600]), emfile);
        let cut = u64::from(O_TRUNC | O_WRONLY);
        assert_eq!(cell.bed.value(__NR_open, &[file, cut]), emfile);
        assert!(!cell.scratch.at("rw/new").exists());
        assert_eq!(fs::read(cell.scratch.at("rw/file")).unwrap(), b"same");
        assert!(cell.bed.value(__NR_open, &[directory, 0]) >= 0);
        // Files in memory have their own bound.
        let memory = cell.place("/m/new");
        let flags = u64::from(O_CREAT | O_RDWR);
        assert!(cell.bed.value(__NR_open, &[memory, flags, 0o600]) >= 0);
        // A duplicate holds nothing more.
        assert!(cell.bed.value(__NR_dup, &[3]) >= 0);
        assert_eq!(cell.held(), HOST_FILES + 2);
        let all = [3, u32::MAX.into(), 0];
        assert_eq!(cell.bed.value(__NR_close_range, &all), 0);
        assert_eq!(cell.held(), 2);
    }
}
