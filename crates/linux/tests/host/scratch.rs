//! A directory of the host for one test, with a root that is given and a canary that is not.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use linux::HostRoot;
use rustix::fs::{CWD, FileType, Mode, mknodat};

/// What the canary says; it stands nowhere else.
pub const SECRET: &[u8] = b"the secret outside";

pub struct Scratch {
    base: PathBuf,
}

/// What `stat` and `read` tell of everything below a directory.
type Picture = Vec<(PathBuf, u32, u64, i64, i64, Vec<u8>)>;

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("vmexit-host-{}-{number}", std::process::id());
        let base = std::env::temp_dir().join(name);
        fs::create_dir_all(base.join("root")).unwrap();
        fs::create_dir_all(base.join("outside/deep")).unwrap();
        fs::write(base.join("outside/secret"), SECRET).unwrap();
        fs::write(base.join("outside/deep/secret"), SECRET).unwrap();
        Self { base }
    }

    /// A path in the root.
    pub fn at(&self, path: &str) -> PathBuf {
        self.base.join("root").join(path)
    }

    /// A path outside of it.
    pub fn outside(&self, path: &str) -> PathBuf {
        self.base.join("outside").join(path)
    }

    pub fn open(&self, read_only: bool) -> HostRoot {
        HostRoot::open(&self.at(""), read_only).unwrap()
    }

    /// All of the canary; the time of access is left out, as this reads it.
    pub fn canary(&self) -> Picture {
        let mut picture = Vec::new();
        look(&self.outside(""), &mut picture);
        picture
    }
}

fn look(path: &Path, picture: &mut Picture) {
    let status = fs::symlink_metadata(path).unwrap();
    let bytes = match status.is_file() {
        true => fs::read(path).unwrap(),
        false => Vec::new(),
    };
    let times = (status.mtime_nsec() + status.mtime(), status.ctime_nsec());
    let path = path.to_owned();
    let is_directory = status.is_dir();
    picture.push((
        path.clone(),
        status.mode(),
        status.nlink(),
        times.0,
        times.1,
        bytes,
    ));
    if is_directory {
        let mut children: Vec<_> = fs::read_dir(path).unwrap().map(Result::unwrap).collect();
        children.sort_by_key(fs::DirEntry::file_name);
        for child in children {
            look(&child.path(), picture);
        }
    }
}

/// What a program has closed to its host's user could not be taken away.
fn make_accessible(path: &Path) {
    let rights = fs::Permissions::from_mode(0o700);
    let is_directory = fs::symlink_metadata(path).is_ok_and(|status| status.is_dir());
    if !is_directory || fs::set_permissions(path, rights).is_err() {
        return;
    }
    for child in fs::read_dir(path).into_iter().flatten().flatten() {
        make_accessible(&child.path());
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        make_accessible(&self.base);
        let _ = fs::remove_dir_all(&self.base);
    }
}

/// Makes a FIFO.
pub fn fifo(path: &Path) -> rustix::io::Result<()> {
    mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0)
}
