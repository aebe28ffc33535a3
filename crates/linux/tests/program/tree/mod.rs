//! Files by path: those in memory, the host's, and the engine's own.

mod bounds;
mod descriptors;
mod host;
mod model;
mod opening;
mod rights;

use crate::bed::Bed;
use linux::limits::PAGE;
use linux::{HostRoot, Mount, Setup, Source};
use linux_raw_sys::general::*;

pub fn failed(errno: u32) -> i64 {
    -i64::from(errno)
}

pub fn mount(path: &str, source: Source) -> Mount {
    Mount {
        path: path.into(),
        source,
        read_only: false,
    }
}

pub fn file(path: &str, text: &str) -> Mount {
    mount(path, Source::File(text.into()))
}

/// A writable root with files in it.
pub fn bed(mounts: &[Mount]) -> Bed {
    let root = mount("/", Source::Memory);
    Bed::with_tree(Setup {
        mounts: [root].iter().chain(mounts).cloned().collect(),
        program: b"/bin/test".to_vec(),
        arguments: vec![b"test".to_vec(), b"-v".to_vec()],
        environment: vec![b"HOME=/".to_vec()],
        directory: Vec::new(),
    })
}

/// What a descriptor has from its position on.
pub fn read(bed: &mut Bed, descriptor: i64) -> Vec<u8> {
    let at = bed.pages(16);
    let mut all = Vec::new();
    loop {
        let count = bed.value(__NR_read, &[descriptor as u64, at, 16 * PAGE]);
        assert!(count >= 0, "read: {count}");
        if count == 0 {
            bed.value(__NR_munmap, &[at, 16 * PAGE]);
            return all;
        }
        all.extend(bed.read(at, count as usize));
    }
}

/// All of a file.
pub fn cat(bed: &mut Bed, path: &str) -> String {
    let file = bed.by_path(__NR_open, path, &[0]);
    assert!(file >= 0, "{path}: {file}");
    let bytes = read(bed, file);
    assert_eq!(bed.value(__NR_close, &[file as u64]), 0);
    String::from_utf8(bytes).unwrap()
}

/// Makes a file, or replaces what it says.
pub fn save(bed: &mut Bed, path: &str, text: &str) -> i64 {
    let flags = u64::from(O_CREAT | O_TRUNC | O_WRONLY);
    let file = bed.by_path(__NR_open, path, &[flags, 0o666]);
    if file < 0 {
        return file;
    }
    let at = bed.path(text);
    let count = bed.value(__NR_write, &[file as u64, at, text.len() as u64]);
    bed.value(__NR_munmap, &[at, 2 * PAGE]);
    assert_eq!(bed.value(__NR_close, &[file as u64]), 0);
    count
}

/// The names in a directory, sorted, each with its `d_type`.
pub fn names(bed: &mut Bed, path: &str) -> Vec<(String, u8)> {
    let flags = u64::from(O_DIRECTORY);
    let directory = bed.by_path(__NR_open, path, &[flags]);
    assert!(directory >= 0, "{path}: {directory}");
    let at = bed.pages(1);
    let mut all = Vec::new();
    loop {
        let count = bed.value(__NR_getdents64, &[directory as u64, at, 256]);
        assert!(count >= 0, "getdents64: {count}");
        if count == 0 {
            break;
        }
        let bytes = bed.read(at, count as usize);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let length = usize::from(u16::from_le_bytes([rest[16], rest[17]]));
            let name = rest[19..length].split(|byte| *byte == 0).next().unwrap();
            all.push((String::from_utf8(name.to_vec()).unwrap(), rest[18]));
            rest = &rest[length..];
        }
    }
    assert_eq!(bed.value(__NR_close, &[directory as u64]), 0);
    all.sort();
    all
}

/// The names alone, in one line, without `.` and `..`.
pub fn ls(bed: &mut Bed, path: &str) -> String {
    let names = names(bed, path).into_iter().map(|(name, _)| name);
    let names: Vec<String> = names.filter(|name| name != "." && name != "..").collect();
    names.join(" ")
}

/// `st_mode` and `st_size`.
pub fn stat_of(bed: &mut Bed, path: &str) -> Result<(u32, u64), i64> {
    let at = bed.pages(1);
    let value = bed.by_path(__NR_lstat, path, &[at]);
    if value < 0 {
        return Err(value);
    }
    let mode = bed.word(at + 24) as u32;
    Ok((mode, bed.word(at + 48)))
}

/// A directory of the host that goes away with the test.
pub struct Folder(pub std::path::PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("vmexit-tree-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn mount(&self, path: &str, read_only: bool) -> Mount {
        mount(
            path,
            Source::Host(HostRoot::open(&self.0, read_only).unwrap()),
        )
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
