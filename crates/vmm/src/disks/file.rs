//! Files as disks.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::config::{DiskConfig, check_size};
use super::medium::Medium;
use crate::error::{Error, ErrorCode, Result};
use crate::kvm::disk_file;

/// A file that is open, and locked.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub file: File,
    pub bytes: u64,
    pub medium: Arc<Medium>,
}

/// By what a file is known not to have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Stamp {
    bytes: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Stamp {
    fn of(about: &Metadata) -> Self {
        Self {
            bytes: about.len(),
            seconds: about.mtime(),
            nanoseconds: about.mtime_nsec(),
        }
    }

    /// Of a file as it is now, if there is one.
    pub fn now(path: &Path) -> Option<Self> {
        look(path).map(|(_, stamp)| stamp)
    }
}

/// What a path leads to, if anything.
pub(super) fn look(path: &Path) -> Option<(Arc<Medium>, Stamp)> {
    let about = fs::metadata(path).ok()?;
    Some((
        Medium::of_file((about.dev(), about.ino())),
        Stamp::of(&about),
    ))
}

/// Opens a file for a disk.
///
/// # Errors
/// `InvalidOption`, with the call that failed.
pub(super) fn open(name: &str, path: &Path, config: &DiskConfig) -> Result<OpenFile> {
    let writes = config.is_lasting();
    let failed = |call, what: &str, error: &io::Error, remedy: &str| Error {
        code: ErrorCode::InvalidOption,
        message: format!("{name} ({}) {what}: {error}{remedy}", path.display()),
        call: Some(call),
        errno: error.raw_os_error(),
    };
    let about = fs::metadata(path)
        .map_err(|error| failed("stat", "cannot be used", &error, create_first(&error)))?;
    let kind = about.file_type();
    if !kind.is_file() && !kind.is_block_device() {
        let got = if kind.is_dir() {
            "a directory"
        } else {
            "another kind of file"
        };
        let what = format!(
            "{name} must be a file or a block device, got {got} ({})",
            path.display()
        );
        return Err(Error::new(ErrorCode::InvalidOption, what));
    }
    // What took its place meanwhile may be a pipe, whose other end is not waited for.
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(writes)
        .custom_flags(libc::O_NONBLOCK);
    let mut file = options.open(path).map_err(|error| match writes {
        true => {
            let remedy = "; give readOnly: true, or volatile: true for a guest that writes";
            failed("open", "cannot be opened for writing", &error, remedy)
        }
        false => failed("open", "cannot be opened", &error, ""),
    })?;
    let bytes = file
        .seek(SeekFrom::End(0))
        .map_err(|error| failed("lseek", "has no size", &error, ""))?;
    check_size(&format!("the size of {name} ({})", path.display()), bytes)
        .map_err(|error| error.hint("`truncate -s %512 FILE` rounds a file up"))?;
    let is_ours = disk_file::lock(&file, writes)
        .map_err(|error| failed("flock", "cannot be locked", &error, ""))?;
    if !is_ours {
        return Err(in_use(name, path, writes));
    }
    let about = file
        .metadata()
        .map_err(|error| failed("fstat", "cannot be used", &error, ""))?;
    Ok(OpenFile {
        file,
        bytes,
        medium: Medium::of_file((about.dev(), about.ino())),
    })
}

fn create_first(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "; `truncate -s 1G FILE` makes an empty one",
        _ => "",
    }
}

fn in_use(name: &str, path: &Path, writes: bool) -> Error {
    let (by, remedy) = if writes {
        (
            "another machine or program",
            "give volatile: true if that one only reads",
        )
    } else {
        ("a machine or program that writes to it", "give a copy")
    };
    Error {
        code: ErrorCode::InvalidOption,
        message: format!(
            "{name} ({}) is in use by {by}; close that, or {remedy}",
            path.display()
        ),
        call: Some("flock"),
        errno: Some(libc::EBUSY),
    }
}
