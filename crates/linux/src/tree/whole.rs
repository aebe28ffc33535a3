//! A program's tree, and how it is put together.

use linux_raw_sys::general::O_RDONLY;

use super::ground::{Ground, Root};
use super::nodes::Body;
use super::own::{Own, PLACES};
use super::place::{Descriptors, Entry, NoDescriptors, Place, Step, join};
use super::setup::{Mount, Setup, Source, TreeError};
use super::walk::{Found, Last, walk};
use crate::errno::Errno;
use crate::host::HostFile;
use crate::limits::{NAME_BYTES, PATH_BYTES, WHOLE_BYTES};
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

fn failed(path: &[u8], what: &str) -> TreeError {
    TreeError(format!("{}: {what}", String::from_utf8_lossy(path)))
}

/// An absolute path without a slash too many.
fn canonical(path: &[u8]) -> Result<Vec<u8>, TreeError> {
    if path.first() != Some(&b'/') {
        return Err(failed(path, "the path is not absolute"));
    }
    if path.contains(&0) || path.len() >= PATH_BYTES {
        return Err(failed(path, "the path has a NUL, or over 4095 bytes"));
    }
    let mut whole = b"/".to_vec();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" => {}
            b"." | b".." => return Err(failed(path, "the path has . or .. in it")),
            _ if name.len() > NAME_BYTES => {
                return Err(failed(path, "a name has over 255 bytes"));
            }
            _ => whole = join(&whole, name),
        }
    }
    Ok(whole)
}

/// Permission bits of a file that is put into memory: programs can be executed.
fn mode_of(bytes: &[u8]) -> u32 {
    if bytes.starts_with(b"\x7fELF") || bytes.starts_with(b"#!") {
        0o755
    } else {
        0o644
    }
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
    /// written into; so are those on the way to a mount that are in no directory of memory.
    ///
    /// # Errors
    /// A path is not absolute, comes twice, or is the engine's own; `directory` is none.
    pub fn new(setup: Setup) -> Result<Self, TreeError> {
        let mut mounts = Vec::with_capacity(setup.mounts.len());
        for mount in setup.mounts {
            let path = canonical(&mount.path)?;
            let is_ours = PLACES.iter().any(|place| {
                let rest = path.strip_prefix(place.as_bytes());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
            });
            if is_ours {
                return Err(failed(&path, "/dev and /proc are the engine's own"));
            }
            mounts.push(Mount { path, ..mount });
        }
        mounts.sort_by(|one, other| one.path.cmp(&other.path));
        let twice = mounts.windows(2).find(|two| match two {
            [one, other] => one.path == other.path,
            _ => false,
        });
        if let Some([one, ..]) = twice {
            return Err(failed(&one.path, "the path comes twice"));
        }
        let mut tree = Self {
            ground: Ground::new(setup.program),
            umask: UMASK,
            arguments: setup.arguments,
            environment: setup.environment,
        };
        if mounts.first().is_none_or(|mount| mount.path != b"/") {
            tree.mount(b"/".to_vec(), &Source::Memory, true)?;
        }
        for mount in mounts {
            let put = tree.put(&mount.path, &mount.source, mount.read_only)?;
            if !put {
                tree.mount(mount.path, &mount.source, mount.read_only)?;
            }
        }
        for place in PLACES {
            if let Some(own) = Own::root(place) {
                let path = place.as_bytes().to_vec();
                tree.ground.mount(path, Root::Own(own), true);
            }
        }
        tree.change_directory(&setup.directory)?;
        Ok(tree)
    }

    fn change_directory(&mut self, directory: &[u8]) -> Result<(), TreeError> {
        if directory.is_empty() {
            return Ok(());
        }
        let path = canonical(directory)?;
        let found = walk(&self.ground, &NoDescriptors, b"/", &path, Last::Follow);
        let kind = found.and_then(|found| {
            let kind = self.ground.kind(&found.there()?.place)?;
            Ok((found.path, kind))
        });
        match kind {
            Ok((path, Kind::Directory)) => self.ground.directory = path,
            _ => return Err(failed(directory, "there is no such directory")),
        }
        Ok(())
    }

    fn mount(&mut self, path: Vec<u8>, source: &Source, read_only: bool) -> Result<(), TreeError> {
        let nodes = &mut self.ground.nodes;
        let id = match source {
            Source::Memory => nodes.add_root(0o755),
            Source::File(bytes) => nodes.add_file(bytes, mode_of(bytes)),
            Source::Host(root) => {
                let read_only = read_only || root.is_read_only();
                self.ground.mount(path, Root::Host(root.clone()), read_only);
                return Ok(());
            }
        };
        let full = |_| failed(&path, "there is no room for it");
        let id = id.map_err(full)?;
        nodes.hold(id).map_err(full)?;
        self.ground.mount(path, Root::Node(id), read_only);
        Ok(())
    }

    /// Puts a file, or the place of a mount, into a directory in memory, with directories on the
    /// way; whether that is all.
    fn put(&mut self, path: &[u8], source: &Source, read_only: bool) -> Result<bool, TreeError> {
        let full = |_| failed(path, "there is no room for it");
        let (directory, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(at) if path.len() > 1 => path.split_at(at),
            _ => return Ok(false),
        };
        let name = name.get(1..).unwrap_or_default();
        let Some(parent) = self.directory_of(directory).map_err(full)? else {
            return Ok(false);
        };
        let nodes = &mut self.ground.nodes;
        let (id, is_all) = match source {
            Source::File(bytes) => (nodes.add_file(bytes, mode_of(bytes)), !read_only),
            _ => (nodes.add_root(0o755), false),
        };
        // Its own name is the only one.
        let id = id.map_err(full)?;
        if let Ok(node) = nodes.get_mut(id)
            && node.is_directory()
        {
            node.forget_names();
        }
        nodes.link(parent, name, id, (0, 0)).map_err(full)?;
        Ok(is_all)
    }

    /// The directory in memory that a path leads to, if it is one that can be written to.
    fn directory_of(&mut self, path: &[u8]) -> Result<Option<u32>, Errno> {
        let mut step = self.ground.root()?;
        let mut at = b"/".to_vec();
        for name in path.split(|byte| *byte == b'/') {
            if name.is_empty() {
                continue;
            }
            at = join(&at, name);
            let child = self.ground.child(&step, name, &at, &NoDescriptors);
            step = match (child, &step.place) {
                (Ok(child), _) if !matches!(child.place, Place::Own(_)) => child,
                (_, Place::Node(parent)) if !step.read_only => {
                    let (parent, nodes) = (*parent, &mut self.ground.nodes);
                    let made = nodes.add(Body::Directory(Default::default()), 0o755, (0, 0))?;
                    nodes.link(parent, name, made, (0, 0))?;
                    Step {
                        place: Place::Node(made),
                        ..step
                    }
                }
                _ => return Ok(None),
            };
        }
        Ok(match step.place {
            Place::Node(id) if !step.read_only && self.ground.nodes.get(id)?.is_directory() => {
                Some(id)
            }
            _ => None,
        })
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
