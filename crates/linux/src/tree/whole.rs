//! A program's tree, and how it is put together.

use linux_raw_sys::general::O_RDONLY;

use super::building::build;
use super::ground::Ground;
use super::nodes::Body;
use super::place::{Descriptors, Entry, NoDescriptors, Place, Step};
use super::setup::{Setup, TreeError};
use super::walk::{Found, Last, walk};
use crate::errno::Errno;
use crate::host::HostFile;
use crate::limits::WHOLE_BYTES;
use crate::status::{Kind, Status};

/// What `umask` is at the start.
const UMASK: u32 = 0o022;

/// Files and directories of a program. A copy has its own memory files, and shares the host's
/// directories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    pub(crate) ground: Ground,
    /// Bits that new files do not get.
    pub(crate) umask: u32,
    pub(crate) arguments: Vec<Vec<u8>>,
    pub(crate) environment: Vec<Vec<u8>>,
}

fn read_host(file: &HostFile) -> Result<Vec<u8>, Errno> {
    let size = usize::try_from(file.status()?.size).map_err(|_| Errno::EFBIG)?;
    if size > WHOLE_BYTES {
        return Err(Errno::EFBIG);
    }
    let mut bytes = vec![0; size];
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(done as u64, rest)? {
            // It has become shorter.
            0 => bytes.truncate(done),
            count => done += count,
        }
    }
    Ok(bytes)
}

impl Tree {
    /// Puts it together. Where no mount is at `/`, there is a directory that nothing can be
    /// written into; so are those on the way to a mount that are in no directory of memory. Links
    /// on the way to a mount are followed, one in its place is hidden.
    ///
    /// # Errors
    /// A path is not absolute, comes twice, leads through a file, or is the engine's own;
    /// `directory` is none.
    pub fn new(setup: Setup) -> Result<Self, TreeError> {
        Ok(Self {
            ground: build(setup.mounts, setup.program, &setup.directory)?,
            umask: UMASK,
            arguments: setup.arguments,
            environment: setup.environment,
        })
    }

    /// Sets the times of all that is in memory: seconds since 1970, and nanoseconds.
    pub fn set_time(&mut self, now: (i64, u32)) {
        self.ground.nodes.set_time(now);
    }

    /// Where a path leads, from a directory with a canonical path on.
    pub(crate) fn walk(
        &self,
        descriptors: &dyn Descriptors,
        from: &[u8],
        path: &[u8],
        last: Last,
    ) -> Result<Found, Errno> {
        walk(&self.ground, descriptors, from, path, last)
    }

    fn step(&self, path: &[u8]) -> Result<(Vec<u8>, Step), Errno> {
        let from = &self.ground.directory;
        let found = self.walk(&NoDescriptors, from, path, Last::Follow)?;
        let step = found.step.ok_or(Errno::ENOENT)?;
        Ok((found.path, step))
    }

    /// All bytes of a regular file. Links are followed; relative paths begin at the program's
    /// current directory.
    ///
    /// # Errors
    /// As `open` and `read`; `EACCES` for what is not regular, `EFBIG` for what is too large.
    pub fn read_file(&mut self, path: &[u8]) -> Result<Vec<u8>, Errno> {
        let (_, step) = self.step(path)?;
        self.read(&step)
    }

    fn read(&self, step: &Step) -> Result<Vec<u8>, Errno> {
        match &step.place {
            Place::Node(id) => {
                let node = self.ground.nodes.get(*id)?;
                let file = match &node.body {
                    Body::File(file) => file,
                    Body::Directory(_) => return Err(Errno::EISDIR),
                    Body::Link(_) => return Err(Errno::ELOOP),
                };
                let size = usize::try_from(file.size()).map_err(|_| Errno::EFBIG)?;
                if size > WHOLE_BYTES {
                    return Err(Errno::EFBIG);
                }
                let mut bytes = vec![0; size];
                file.read(0, &mut bytes);
                Ok(bytes)
            }
            Place::Host(place) => read_host(&place.open(O_RDONLY)?),
            Place::Own(_) => Err(Errno::EACCES),
        }
    }

    /// As [`read_file`](Self::read_file), of what can be executed.
    ///
    /// # Errors
    /// `EACCES` without a bit that says so.
    pub fn find_program(&mut self, path: &[u8]) -> Result<Vec<u8>, Errno> {
        let (_, step) = self.step(path)?;
        let status = self.ground.status(&step)?;
        if status.kind == Kind::File && status.mode & 0o111 == 0 {
            return Err(Errno::EACCES);
        }
        self.read(&step)
    }

    /// What `stat` tells of a path.
    ///
    /// # Errors
    /// As `stat`.
    pub fn status(&mut self, path: &[u8]) -> Result<Status, Errno> {
        let (_, step) = self.step(path)?;
        self.ground.status(&step)
    }

    /// All names in a directory but `.` and `..`.
    ///
    /// # Errors
    /// As `open` and `getdents64`.
    pub fn list(&mut self, path: &[u8]) -> Result<Vec<Entry>, Errno> {
        let (path, step) = self.step(path)?;
        if self.ground.kind(&step.place)? != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        self.ground.list(&step, &path, &NoDescriptors)
    }

    /// The program's arguments, its name first, as `/proc/self/cmdline` tells them.
    pub fn set_arguments(&mut self, arguments: Vec<Vec<u8>>) {
        self.arguments = arguments;
    }
}
