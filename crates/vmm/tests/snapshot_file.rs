//! A snapshot in a file: what is written comes back, and what anybody else has written is refused.
#![allow(clippy::unwrap_used)]

#[macro_use]
mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use common::{FLAT, LONG, exit_code, machine, port, read, read_vec, run, set};
use vmm::{ErrorCode, LoadOptions, Machine, RouteTarget, Snapshot};

/// Writes EAX to ESI pages from EDI on.
const FILL: &str = "
    89 07             ; mov %eax,(%rdi)
    81 c7 00 10 00 00 ; add $0x1000,%edi
    ff ce             ; dec %esi
    75 f4             ; jnz .-10
    e6 f4             ; out %al,$0xf4
    eb f0             ; jmp .-14
";

const PAGE: u64 = 4096;
const MEMORY: usize = 2 << 20;

const MAPPED: LoadOptions = LoadOptions {
    verify: false,
    copy: false,
};
const VERIFIED: LoadOptions = LoadOptions {
    verify: true,
    ..MAPPED
};
const COPIED: LoadOptions = LoadOptions {
    copy: true,
    ..MAPPED
};

/// A folder of one test, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("vmexit-snapshot-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap();
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        names.map(|entry| name(entry.unwrap())).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A machine whose guest has written pages.
fn filled(cpu: common::Cpu) -> Machine {
    let mut machine = machine(cpu, FILL, &[port(0xf4, 1, RouteTarget::Stop)]);
    fill(&mut machine, 0x10_0000, 20, 7);
    machine
}

fn fill(machine: &mut Machine, gpa: u64, pages: u64, value: u8) {
    set(machine, |regs| {
        (regs.rdi, regs.rsi, regs.rax) = (gpa, pages, u64::from(value) * 0x0101_0101);
    });
    assert_eq!(exit_code(&run(machine)), u32::from(value));
}

fn load(path: &Path, options: LoadOptions) -> Result<Snapshot, vmm::Error> {
    Snapshot::read_from(path, options).map(|(snapshot, _)| snapshot)
}

#[test]
fn a_machine_of_a_file_goes_on_as_the_first_one() {
    require!(LONG);
    let folder = Folder::new();
    for cpu in FLAT {
        if common::missing(&[cpu]).is_some() {
            continue;
        }
        let mut first = filled(cpu);
        let path = folder.file("machine.snapshot");
        let snapshot = first.snapshot().unwrap();
        snapshot.write_to(&path, b"a note").unwrap();
        assert_eq!(folder.names(), ["machine.snapshot"]);
        for options in [MAPPED, VERIFIED, COPIED] {
            let (loaded, note) = Snapshot::read_from(&path, options).unwrap();
            assert_eq!(note, b"a note");
            assert_eq!(loaded.registers(), snapshot.registers());
            assert_eq!(snapshot.diff(&loaded).unwrap().count(), 0);
            let mut further = Machine::from_snapshot(&loaded, &[]).unwrap();
            assert_eq!(further.registers().unwrap(), first.registers().unwrap());
            let whole = |machine: &Machine| read_vec(machine, 0, MEMORY);
            assert_eq!(whole(&further), whole(&first));
            fill(&mut further, 0x18_0000, 3, 9);
            assert_eq!(read(&further, 0x18_0000 + 2 * PAGE), [9; 4]);
            // Back in place, the first machine too: it is the same state.
            further.restore(&loaded).unwrap();
            first.restore(&loaded).unwrap();
            assert_eq!(whole(&further), whole(&first));
        }
        // What a machine of a file writes is its own.
        assert!(load(&path, VERIFIED).is_ok());
    }
}

#[test]
fn a_file_has_holes_where_memory_has_nothing() {
    require!(LONG);
    let folder = Folder::new();
    let path = folder.file("sparse");
    filled(LONG)
        .snapshot()
        .unwrap()
        .write_to(&path, &[])
        .unwrap();
    let about = fs::metadata(&path).unwrap();
    let blocks = std::os::unix::fs::MetadataExt::blocks(&about);
    assert!(about.len() > MEMORY as u64);
    // Some file systems have no holes.
    if blocks * 512 >= about.len() {
        skip!("the file system of temporary files keeps no holes");
    }
}

#[test]
fn a_file_that_cannot_be_written_leaves_the_one_that_was_there() {
    require!(LONG);
    let folder = Folder::new();
    let snapshot = filled(LONG).snapshot().unwrap();
    let path = folder.file("taken");
    fs::create_dir(&path).unwrap();
    for there in [&path, Path::new("/dev/null")] {
        let error = snapshot.write_to(there, &[]).unwrap_err();
        assert_eq!((error.code, error.call), (ErrorCode::Snapshot, None));
    }
    assert_eq!(folder.names(), ["taken"]);
    let error = snapshot
        .write_to(&folder.file("none/file"), &[])
        .unwrap_err();
    assert_eq!((error.code, error.errno), (ErrorCode::Snapshot, Some(2)));
    let link = folder.file("link");
    std::os::unix::fs::symlink(folder.file("target"), &link).unwrap();
    fs::write(folder.file("target"), "before").unwrap();
    snapshot.write_to(&link, &[]).unwrap();
    assert!(link.is_symlink() && load(&folder.file("target"), VERIFIED).is_ok());
}

#[test]
fn what_is_no_file_of_a_snapshot_is_refused() {
    require!(LONG);
    let folder = Folder::new();
    let refused = |path: &Path| {
        let error = load(path, MAPPED).unwrap_err();
        assert_eq!(error.code, ErrorCode::Snapshot, "{error}");
        error.message
    };
    assert!(refused(&folder.file("none")).contains("open"));
    assert!(refused(&folder.0).contains("ordinary"));
    for size in [0, 1, 4095, 4096, 100_000] {
        let path = folder.file("zeros");
        fs::write(&path, vec![0; size]).unwrap();
        refused(&path);
    }
}

#[test]
fn a_file_that_ends_early_or_is_damaged_is_refused() {
    require!(LONG);
    let folder = Folder::new();
    let path = folder.file("machine");
    let mut machine = filled(LONG);
    machine
        .snapshot()
        .unwrap()
        .write_to(&path, b"note")
        .unwrap();
    let sound = fs::read(&path).unwrap();
    let changed = folder.file("changed");
    let refused = |bytes: &[u8], options| {
        fs::write(&changed, bytes).unwrap();
        match load(&changed, options) {
            Err(error) => {
                assert_eq!(error.code, ErrorCode::Snapshot, "{error}");
                true
            }
            Ok(_) => false,
        }
    };
    for length in [1, 50, 4095, 4096, 5000, sound.len() - 4096, sound.len() - 1] {
        assert!(refused(&sound[..length], MAPPED), "{length}");
    }
    assert!(refused(&[&sound[..], &[0; 4096]].concat(), MAPPED));
    // Every byte of the header that means something.
    for at in 0..60 {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x10;
        assert!(refused(&bytes, MAPPED), "{at}");
    }
    // State and index have a checksum, the pages only if they are looked at.
    let pages_at = sound.len() - (sound.len() - 4096) / 4096 * 4096;
    assert_eq!(pages_at, 4096);
    let last = sound.iter().rposition(|byte| *byte != 0).unwrap();
    for at in [4096, 4100, 5000] {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        assert!(refused(&bytes, MAPPED), "{at}");
    }
    for at in [last, sound.len() - 1] {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        assert!(
            !refused(&bytes, MAPPED) && refused(&bytes, VERIFIED),
            "{at}"
        );
    }
}

/// The decoder itself, which damage reaches only with a checksum that is right.
#[test]
fn a_state_that_is_damaged_under_a_right_checksum_is_refused_or_another_state() {
    require!(LONG);
    let folder = Folder::new();
    let path = folder.file("machine");
    filled(LONG)
        .snapshot()
        .unwrap()
        .write_to(&path, b"note")
        .unwrap();
    let sound = fs::read(&path).unwrap();
    let number = |at: usize| u64::from_le_bytes(sound[at..at + 8].try_into().unwrap()) as usize;
    let (state_bytes, index_bytes) = (number(20), number(28));
    let mut seed = 12_345_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % below
    };
    let (changed, mut refused) = (folder.file("changed"), 0);
    for _ in 0..300 {
        let mut bytes = sound.clone();
        for _ in 0..=random(3) {
            // Most of it is the extended state, of which any is sound.
            let at = random(state_bytes.min(1500));
            bytes[4096 + at] = random(256) as u8;
        }
        let parts = crc32(&bytes[4096..4096 + state_bytes + index_bytes]);
        bytes[52..56].copy_from_slice(&parts.to_le_bytes());
        let header = crc32(&bytes[..56]);
        bytes[56..60].copy_from_slice(&header.to_le_bytes());
        fs::write(&changed, &bytes).unwrap();
        match load(&changed, MAPPED).and_then(|it| Machine::from_snapshot(&it, &[])) {
            Ok(_) => {}
            Err(error) => {
                refused += 1;
                assert_ne!(error.code, ErrorCode::Internal, "{error}");
            }
        }
    }
    assert!(refused > 20, "{refused}");
}

/// CRC-32 as in a file (IEEE 802.3).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(sum & 1))
        })
    })
}
