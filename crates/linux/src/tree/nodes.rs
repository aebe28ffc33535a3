//! Files, directories and links in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::memory_file::MemoryFile;
use crate::errno::Errno;
use crate::limits::{FILE_PAGES, NAME_ROOM, NODES};

/// Seconds since 1970 and nanoseconds.
pub type Time = (i64, u32);

/// Bytes that a directory's entry counts besides its name.
const ENTRY_BYTES: usize = 64;

/// A directory's entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    entries: BTreeMap<Vec<u8>, u32>,
    /// How many of them are directories.
    directories: u64,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A regular file.
    File(MemoryFile),
    /// A directory.
    Directory(Directory),
    /// A symbolic link.
    Link(Vec<u8>),
}

/// What Linux calls an inode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub body: Body,
    /// Permission bits, `S_ISVTX` and the like.
    pub mode: u32,
    /// How many names it has.
    names: u64,
    /// How many descriptions it has, or mounts.
    holds: u32,
    pub accessed: Time,
    pub modified: Time,
    pub changed: Time,
}

impl Node {
    /// How many links `stat` tells of.
    pub fn links(&self) -> u64 {
        match &self.body {
            Body::Directory(directory) if self.names > 0 => directory.directories + 2,
            _ => self.names,
        }
    }

    pub fn is_directory(&self) -> bool {
        matches!(self.body, Body::Directory(_))
    }
}

/// All of them, by number. A copy shares each until one of the two writes to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nodes {
    slots: Vec<Option<Arc<Node>>>,
    free: Vec<u32>,
    /// Pages that files may still take.
    pages: usize,
    /// Bytes that names and links may still take.
    bytes: usize,
}

fn index(id: u32) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

impl Default for Nodes {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            pages: FILE_PAGES,
            bytes: NAME_ROOM,
        }
    }
}

impl Nodes {
    pub fn get(&self, id: u32) -> Result<&Node, Errno> {
        let slot = self.slots.get(index(id)).and_then(Option::as_deref);
        slot.ok_or(Errno::ENOENT)
    }

    pub fn get_mut(&mut self, id: u32) -> Result<&mut Node, Errno> {
        let slot = self.slots.get_mut(index(id)).and_then(Option::as_mut);
        slot.map(Arc::make_mut).ok_or(Errno::ENOENT)
    }

    /// The contents of a regular file.
    pub fn file(&self, id: u32) -> Result<&MemoryFile, Errno> {
        match &self.get(id)?.body {
            Body::File(file) => Ok(file),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Sets the times of all.
    pub fn set_time(&mut self, now: Time) {
        for node in self.slots.iter_mut().flatten().map(Arc::make_mut) {
            (node.accessed, node.modified, node.changed) = (now, now, now);
        }
    }

    /// How many pages and nodes more there may be.
    pub fn left(&self) -> (usize, usize) {
        let nodes = NODES.saturating_sub(self.slots.len());
        (self.pages, nodes.saturating_add(self.free.len()))
    }

    /// A new one, that has no name yet.
    pub fn add(&mut self, body: Body, mode: u32, now: Time) -> Result<u32, Errno> {
        if let Body::Link(target) = &body {
            self.bytes = self.bytes.checked_sub(target.len()).ok_or(Errno::ENOSPC)?;
        }
        let node = Arc::new(Node {
            body,
            mode,
            names: 0,
            holds: 0,
            accessed: now,
            modified: now,
            changed: now,
        });
        if let Some(id) = self.free.pop() {
            if let Some(slot) = self.slots.get_mut(index(id)) {
                *slot = Some(node);
            }
            return Ok(id);
        }
        let id = u32::try_from(self.slots.len()).map_err(|_| Errno::ENOSPC)?;
        if self.slots.len() >= NODES {
            return Err(Errno::ENOSPC);
        }
        self.slots.push(Some(node));
        Ok(id)
    }

    /// A new file that is empty.
    pub fn add_empty(&mut self, mode: u32, now: Time) -> Result<u32, Errno> {
        self.add(Body::File(MemoryFile::default()), mode, now)
    }

    /// A new file with contents that do not count.
    pub fn add_file(&mut self, bytes: &[u8], mode: u32) -> Result<u32, Errno> {
        let mut file = MemoryFile::default();
        let mut pages = bytes.len() / 4096 + 1;
        if !bytes.is_empty() && file.write(0, bytes, &mut pages)? < bytes.len() {
            return Err(Errno::EFBIG);
        }
        // When they go, so many more may be taken.
        self.add(Body::File(file), mode, (0, 0))
    }

    /// A new directory that needs no name.
    pub fn add_root(&mut self, mode: u32) -> Result<u32, Errno> {
        let id = self.add(Body::Directory(Directory::default()), mode, (0, 0))?;
        self.get_mut(id)?.names = 1;
        Ok(id)
    }

    /// Another description or mount has it.
    pub fn hold(&mut self, id: u32) -> Result<(), Errno> {
        let node = self.get_mut(id)?;
        node.holds = node.holds.checked_add(1).ok_or(Errno::EMFILE)?;
        Ok(())
    }

    /// One has it no longer.
    pub fn let_go(&mut self, id: u32) {
        if let Ok(node) = self.get_mut(id) {
            node.holds = node.holds.saturating_sub(1);
        }
        self.collect(id);
    }

    /// Whatever has neither a name nor a description goes.
    pub fn collect(&mut self, id: u32) {
        if !self
            .get(id)
            .is_ok_and(|node| node.names == 0 && node.holds == 0)
        {
            return;
        }
        let Some(gone) = self.slots.get_mut(index(id)).and_then(Option::take) else {
            return;
        };
        match &gone.body {
            Body::File(file) => self.pages = self.pages.saturating_add(file.pages()),
            Body::Link(target) => self.bytes = self.bytes.saturating_add(target.len()),
            Body::Directory(_) => {}
        }
        self.free.push(id);
    }

    fn directory(&self, id: u32) -> Result<&Directory, Errno> {
        match &self.get(id)?.body {
            Body::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn directory_mut(&mut self, id: u32, now: Time) -> Result<&mut Directory, Errno> {
        let node = self.get_mut(id)?;
        (node.modified, node.changed) = (now, now);
        match &mut node.body {
            Body::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// What has a name in a directory.
    pub fn lookup(&self, directory: u32, name: &[u8]) -> Result<u32, Errno> {
        let found = self.directory(directory)?.entries.get(name);
        found.copied().ok_or(Errno::ENOENT)
    }

    /// All names of a directory.
    pub fn entries(&self, directory: u32) -> Result<impl Iterator<Item = (&[u8], u32)>, Errno> {
        let entries = self.directory(directory)?.entries.iter();
        Ok(entries.map(|(name, id)| (name.as_slice(), *id)))
    }

    /// Gives a node a name that is free.
    ///
    /// # Errors
    /// `EEXIST`, `ENOSPC`; `ENOENT` for a directory that has been removed.
    pub fn link(&mut self, directory: u32, name: &[u8], id: u32, now: Time) -> Result<(), Errno> {
        let is_directory = self.get(id)?.is_directory();
        let into = self.directory(directory)?;
        if self.get(directory)?.names == 0 {
            return Err(Errno::ENOENT);
        }
        if into.entries.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        let bytes = name.len() + ENTRY_BYTES;
        self.bytes = self.bytes.checked_sub(bytes).ok_or(Errno::ENOSPC)?;
        let into = self.directory_mut(directory, now)?;
        into.entries.insert(name.to_vec(), id);
        into.directories += u64::from(is_directory);
        let node = self.get_mut(id)?;
        node.names += 1;
        node.changed = now;
        Ok(())
    }

    /// Takes a name away, and what it leads to if nothing else does. A directory is empty, the
    /// caller has seen.
    pub fn unlink(&mut self, directory: u32, name: &[u8], now: Time) -> Result<(), Errno> {
        let id = self.cut(directory, name, now)?;
        self.collect(id);
        Ok(())
    }

    fn cut(&mut self, directory: u32, name: &[u8], now: Time) -> Result<u32, Errno> {
        let id = self.lookup(directory, name)?;
        let is_directory = self.get(id)?.is_directory();
        let from = self.directory_mut(directory, now)?;
        from.entries.remove(name);
        from.directories = from.directories.saturating_sub(u64::from(is_directory));
        self.bytes = self.bytes.saturating_add(name.len() + ENTRY_BYTES);
        let node = self.get_mut(id)?;
        node.names = node.names.saturating_sub(1);
        node.changed = now;
        Ok(id)
    }

    /// Whether a directory has no entries.
    pub fn is_empty(&self, directory: u32) -> Result<bool, Errno> {
        Ok(self.directory(directory)?.entries.is_empty())
    }

    /// Moves a name to where none is.
    pub fn rename(
        &mut self,
        [from, to]: [u32; 2],
        [name, new]: [&[u8]; 2],
        now: Time,
    ) -> Result<(), Errno> {
        let id = self.cut(from, name, now)?;
        let moved = self.link(to, new, id, now);
        if moved.is_err() {
            // There was room for it.
            self.link(from, name, id, now)?;
        }
        moved
    }

    /// Two names change what they lead to.
    pub fn exchange(
        &mut self,
        [one, other]: [u32; 2],
        [name, new]: [&[u8]; 2],
        now: Time,
    ) -> Result<(), Errno> {
        let first = self.cut(one, name, now)?;
        let second = self.cut(other, new, now)?;
        // The room of both names is free again.
        self.link(other, new, first, now)?;
        self.link(one, name, second, now)
    }

    /// Copies to a file; see [`MemoryFile::write`].
    pub fn write(&mut self, id: u32, offset: u64, bytes: &[u8], now: Time) -> Result<usize, Errno> {
        self.change(id, now, |file, pages| file.write(offset, bytes, pages))
    }

    /// Makes a file so large; see [`MemoryFile::resize`].
    pub fn resize(&mut self, id: u32, size: u64, now: Time) -> Result<(), Errno> {
        self.change(id, now, |file, pages| file.resize(size, pages))
    }

    fn change<T>(
        &mut self,
        id: u32,
        now: Time,
        change: impl FnOnce(&mut MemoryFile, &mut usize) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let slot = self.slots.get_mut(index(id)).and_then(Option::as_mut);
        let node = slot.map(Arc::make_mut).ok_or(Errno::ENOENT)?;
        (node.modified, node.changed) = (now, now);
        match &mut node.body {
            Body::File(file) => change(file, &mut self.pages),
            _ => Err(Errno::EINVAL),
        }
    }
}
