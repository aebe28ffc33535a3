//! System calls with paths, and with what they open, at random from a running program: each comes
//! back, in time, and the host outside the program's directories is as before. `VMEXIT_SOAK=1`
//! tries a million.
#![allow(clippy::unwrap_used, clippy::panic)] // in helpers of tests a panic is the report

mod native;

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use native::random::{CALLS, Chance, DATA, TABLE, attempt, batches, prepare, results};
use native::{Code, TELL, image};
use vmm::{
    CpuMode, Machine, MachineConfig, UserConfig, UserFiles, UserMount, UserRoot, UserSource,
};

/// read to lseek, pread64, access, dup, truncate to renames and modes, times, and `at` forms.
#[rustfmt::skip]
const CALLS_WITH_PATHS: [u64; 57] = [
    0, 1, 2, 3, 4, 5, 6, 8, 17, 18, 21, 32, 40, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88,
    89, 90, 91, 92, 95, 132, 137, 138, 217, 235, 257, 258, 259, 260, 261, 262, 263, 264, 265, 266,
    267, 268, 269, 280, 285, 316, 326, 332, 437, 439, 452,
];
/// They lie from `DATA` on, each with so much room.
const SLOT: u64 = 64;
#[rustfmt::skip]
const PATHS: [&str; 20] = [
    "", "/", "..", "/host", "/host/file", "/host/new", "/host/a", "/host/a/new", "/host/out",
    "/host/../outside/secret", "/ro/file", "/ro/new", "/m", "/m/new", "/proc/self/fd/3",
    "/proc/self/root/host/file", "/dev/fd/4", "/dev/null", "/proc/self/maps", "../../outside",
];
const AT_FDCWD: u64 = 0xffff_ff9c;

/// Anything, and often a path.
fn argument(chance: &mut Chance) -> u64 {
    match chance.below(4) {
        0 => chance.argument(),
        1 => AT_FDCWD,
        _ => DATA + chance.below(PATHS.len() as u64) * SLOT,
    }
}

/// Mostly calls that take a path, or what they open.
fn batch(chance: &mut Chance) -> Vec<u8> {
    let mut words = Vec::new();
    for _ in 0..CALLS {
        let number = match chance.below(4) {
            0 => chance.below(470),
            _ => CALLS_WITH_PATHS[chance.below(CALLS_WITH_PATHS.len() as u64) as usize],
        };
        // Not those that end a program.
        let is_end = [60, 231].contains(&number);
        words.push(if is_end { 39 } else { number });
        words.extend([(); 6].map(|()| argument(chance)));
    }
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A directory of the host with one that is given, one that is read-only, and a canary.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("vmexit-hostile-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        for inner in ["host/a", "ro", "outside"] {
            fs::create_dir_all(path.join(inner)).unwrap();
        }
        for file in ["host/file", "ro/file", "outside/secret"] {
            fs::write(path.join(file), "same").unwrap();
        }
        symlink("../outside", path.join("host/out")).unwrap();
        Self(path)
    }

    fn mount(&self, name: &str, read_only: bool) -> UserMount {
        let root = UserRoot::open(&self.0.join(name), read_only).unwrap();
        UserMount {
            path: format!("/{name}").into_bytes(),
            source: UserSource::Host(root),
            read_only,
        }
    }

    /// What stands where no call may change it.
    fn fixed(&self) -> Vec<(u32, u64, i64, i64, Vec<u8>)> {
        let look = |path: &str| {
            let path = self.0.join(path);
            let status = fs::metadata(&path).unwrap();
            let times = (status.mtime_nsec(), status.ctime_nsec());
            let bytes = fs::read(&path).unwrap_or_default();
            (status.mode(), status.nlink(), times.0, times.1, bytes)
        };
        let all = ["ro", "ro/file", "outside", "outside/secret"];
        all.map(look).to_vec()
    }

    fn process(&self) -> Machine {
        let code = Code::new().call(TELL, &[]).0;
        let mut config = MachineConfig::new(CpuMode::Long, image(&code));
        config.memory_bytes = 32 << 20;
        let memory = |path: &str| UserMount {
            path: path.into(),
            source: UserSource::Memory,
            read_only: false,
        };
        let own = [self.mount("host", false), self.mount("ro", true)];
        let mounts = [memory("/"), memory("/m")].into_iter().chain(own);
        config.user = Some(UserConfig {
            files: Some(UserFiles {
                mounts: mounts.collect(),
                directory: b"/".to_vec(),
                ..UserFiles::default()
            }),
            ..UserConfig::default()
        });
        Machine::new(config).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Descriptors of this process that lead into a directory.
fn held(path: &Path) -> usize {
    let all = fs::read_dir("/proc/self/fd").unwrap();
    let targets = all.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    targets.filter(|target| target.starts_with(path)).count()
}

#[test]
fn calls_with_paths_at_random_come_back_and_stay_where_they_may() {
    let folder = Folder::new();
    let mut chance = Chance(0x9a75_5eed);
    let mut machine = folder.process();
    prepare(&mut machine);
    for (number, path) in PATHS.iter().enumerate() {
        let at = DATA + number as u64 * SLOT;
        machine.user_write(at, path.as_bytes()).unwrap();
    }
    let snapshot = machine.snapshot().unwrap();
    let (before, fixed) = (held(&folder.0), folder.fixed());
    let (mut finished, mut well) = (0_u64, 0_u64);
    for turn in 0..batches(25) {
        machine.restore(&snapshot).unwrap();
        // Only the two roots, however many files the last one has opened.
        assert_eq!(held(&folder.0), before, "batch {turn}");
        machine.user_write(TABLE, &batch(&mut chance)).unwrap();
        finished += u64::from(attempt(&mut machine));
        assert!(held(&folder.0) <= before + 256);
        assert_eq!(folder.fixed(), fixed, "batch {turn}");
        let results = results(&mut machine).unwrap_or_default();
        well += results.iter().filter(|value| **value >= 0).count() as u64;
    }
    println!("{finished} finished, {well} calls did something");
    assert!(
        finished > 0 && well > 100,
        "{finished} finished, {well} well"
    );
    drop((machine, snapshot));
    assert_eq!(held(&folder.0), 0);
}
