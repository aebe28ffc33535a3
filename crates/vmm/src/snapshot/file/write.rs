//! Writing a snapshot's file: aside, and renamed when all of it is on the disk.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, ErrorCode, Result};
use crate::kvm::image::MemoryImage;
use crate::limits::PAGE_BYTES;
use crate::snapshot::file::format::{Header, Index, MOST_BYTES};

/// Pages that one call writes, if they lie in a row.
const RUN_PAGES: usize = 256;

/// Writes a file with this state and this memory, in the place of one that may be there.
///
/// # Errors
/// `Snapshot`, naming path and call, and what was there is as it was.
pub(crate) fn write(path: &Path, state: &[u8], image: &MemoryImage) -> Result<()> {
    let path = &target(path)?;
    let index = index_of(image).to_bytes();
    let image_bytes = image.layout().end() as u64 * PAGE_BYTES;
    let header = Header::new(state, &index, image_bytes);
    if header.pages_at > MOST_BYTES {
        return Err(Error::new(
            ErrorCode::Limit,
            format!(
                "{} needs {} bytes for the state, got a limit of {MOST_BYTES}; let the guest write less to volatile disks",
                path.display(),
                header.pages_at
            ),
        ));
    }
    check_limit(path, header.file_bytes)?;
    let aside = Aside::new(path)?;
    let failed = |call| move |error: io::Error| failure(path, call, &error);
    let file = &aside.file;
    file.set_len(header.file_bytes)
        .map_err(failed("ftruncate"))?;
    let mut parts = header.to_bytes();
    parts.resize(PAGE_BYTES as usize, 0);
    parts.extend_from_slice(state);
    parts.extend_from_slice(&index);
    file.write_all_at(&parts, 0).map_err(failed("pwrite"))?;
    let mut run = Run::new(file, header.pages_at);
    for page in image.used().iter() {
        run.push(page, &image.read(page))
            .map_err(failed("pwrite"))?;
    }
    run.flush().map_err(failed("pwrite"))?;
    file.sync_all().map_err(failed("fsync"))?;
    aside.rename_to(path).map_err(failed("rename"))
}

/// The file that is to be written, at the end of all links. What is there may be replaced only if
/// it is a file.
fn target(path: &Path) -> Result<PathBuf> {
    let Ok(there) = fs::canonicalize(path) else {
        return Ok(path.to_path_buf());
    };
    match fs::metadata(&there) {
        Ok(about) if !about.is_file() => Err(Error::new(
            ErrorCode::Snapshot,
            format!("{} is there, and is no ordinary file", path.display()),
        )),
        _ => Ok(there),
    }
}

/// What the pages are.
fn index_of(image: &MemoryImage) -> Index {
    let mut index = Index::default();
    for page in image.used().iter() {
        index.push(page as u64, crc32fast::hash(&image.read(page)));
    }
    index
}

/// Pages on their way into the file.
struct Run<'a> {
    file: &'a File,
    pages_at: u64,
    first: usize,
    bytes: Vec<u8>,
}

impl<'a> Run<'a> {
    fn new(file: &'a File, pages_at: u64) -> Self {
        Self {
            file,
            pages_at,
            first: 0,
            bytes: Vec::with_capacity(RUN_PAGES * PAGE_BYTES as usize),
        }
    }

    fn push(&mut self, page: usize, content: &[u8]) -> io::Result<()> {
        let pages = self.bytes.len() / PAGE_BYTES as usize;
        if page != self.first + pages || pages == RUN_PAGES {
            self.flush()?;
            self.first = page;
        }
        self.bytes.extend_from_slice(content);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let at = self.pages_at + self.first as u64 * PAGE_BYTES;
        self.file.write_all_at(&self.bytes, at)?;
        self.bytes.clear();
        Ok(())
    }
}

/// A file beside the one that it becomes, removed unless it does.
struct Aside {
    file: File,
    path: Option<PathBuf>,
}

impl Aside {
    fn new(path: &Path) -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = path.file_name().ok_or_else(|| {
            let what = format!(
                "the path of a snapshot must name a file, got {}",
                path.display()
            );
            Error::new(ErrorCode::InvalidOption, what)
        })?;
        loop {
            let mut aside = std::ffi::OsString::from(".");
            aside.push(name);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            aside.push(format!(".{}-{number}.tmp", std::process::id()));
            let aside = path.with_file_name(aside);
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            match options.open(&aside) {
                Ok(file) => {
                    return Ok(Self {
                        file,
                        path: Some(aside),
                    });
                }
                // Left by a process with this number that was killed.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failure(path, "open", &error)),
            }
        }
    }

    fn rename_to(mut self, path: &Path) -> io::Result<()> {
        if let Some(aside) = &self.path {
            fs::rename(aside, path)?;
        }
        self.path = None;
        // The name is on the disk, too.
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // There is nothing better to do with a failure: one is reported already.
            fs::remove_file(path).ok();
        }
    }
}

/// A file above the process's limit would end it by SIGXFSZ.
fn check_limit(path: &Path, bytes: u64) -> Result<()> {
    match MemoryImage::file_limit() {
        Some(limit) if bytes > limit => Err(Error::new(
            ErrorCode::Limit,
            format!(
                "{} needs {bytes} bytes, got a limit of {limit}; raise `ulimit -f`",
                path.display()
            ),
        )),
        _ => Ok(()),
    }
}

/// A failed call on a snapshot's file.
pub(crate) fn failure(path: &Path, call: &'static str, error: &io::Error) -> Error {
    Error {
        code: ErrorCode::Snapshot,
        message: format!("{}: {call} failed: {error}", path.display()),
        call: Some(call),
        errno: error.raw_os_error(),
    }
}
