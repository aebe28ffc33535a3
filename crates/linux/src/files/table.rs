//! All descriptors of a program.

use linux_raw_sys::general::{O_RDONLY, O_WRONLY};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::object::{Description, Descriptor, Object};
use super::pipe::Pipe;
use super::slots::Slots;
use crate::errno::Errno;
use crate::limits::{
    DESCRIPTORS, FILE_BYTES, FILE_PAGES, HELD_ROOM, HOST_FILES, PIPE_BYTES, PROCESS,
};
use crate::tree::{Content, Descriptors, Tree};

/// All descriptors of a program.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Files {
    pub(super) table: Slots<Descriptor>,
    pub(super) descriptions: Slots<Description>,
    pub(super) pipes: Slots<Pipe>,
    /// Pages that memory files may still take.
    pub(super) pages: usize,
    /// What the host may forget.
    closed: Vec<u32>,
    /// Bytes that may still be held of directories and texts.
    held: usize,
    /// Files of the host that are open.
    host_files: usize,
    /// What is found by path; without it, paths are the host's.
    #[serde(skip)]
    pub tree: Option<Tree>,
}

pub(super) fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Files {
    /// Standard input, output and error.
    pub fn new() -> Self {
        let mut files = Self {
            table: Slots::default(),
            descriptions: Slots::default(),
            pipes: Slots::default(),
            pages: FILE_PAGES,
            closed: Vec::new(),
            held: HELD_ROOM,
            host_files: 0,
            tree: None,
        };
        for (id, flags) in [(0, O_RDONLY), (1, O_WRONLY), (2, O_WRONLY)] {
            // Three fit.
            let _ = files.open(Object::Host(id), flags, false);
        }
        files
    }

    /// What was stored, if it keeps to the bounds.
    pub fn stored<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let files = Self::deserialize(from)?;
        if files.is_bounded() {
            Ok(files)
        } else {
            Err(D::Error::custom("files beyond their bounds"))
        }
    }

    fn is_bounded(&self) -> bool {
        let mut pages = self.pages;
        let sizes = self.descriptions.iter().all(|description| {
            let Object::Memory(file) = &description.object else {
                return true;
            };
            pages = pages.saturating_add(file.pages());
            file.size() <= FILE_BYTES
        });
        let pipes = self.pipes.iter().all(|pipe| pipe.len() <= PIPE_BYTES);
        let counts = [self.table.len(), self.descriptions.len(), self.pipes.len()];
        sizes && pipes && pages <= FILE_PAGES && counts.iter().all(|count| *count <= DESCRIPTORS)
    }

    pub(super) fn number(&self, descriptor: i32) -> Result<(usize, Descriptor), Errno> {
        let number = usize::try_from(descriptor).map_err(|_| Errno::EBADF)?;
        let found = self.table.get(number).ok_or(Errno::EBADF)?;
        Ok((number, *found))
    }

    /// What a descriptor leads to.
    pub fn get(&self, descriptor: i32) -> Result<&Description, Errno> {
        let (_, found) = self.number(descriptor)?;
        self.descriptions
            .get(index(found.description))
            .ok_or(Errno::EBADF)
    }

    /// What a descriptor leads to, to change.
    pub fn get_mut(&mut self, descriptor: i32) -> Result<&mut Description, Errno> {
        let (_, found) = self.number(descriptor)?;
        self.descriptions
            .get_mut(index(found.description))
            .ok_or(Errno::EBADF)
    }

    /// Whether one more can be opened.
    pub fn check_room(&self) -> Result<(), Errno> {
        let numbers = self.table.free(0, DESCRIPTORS);
        let descriptions = self.descriptions.free(0, DESCRIPTORS);
        numbers.and(descriptions).map(|_| ()).ok_or(Errno::EMFILE)
    }

    /// Whether one more file of the host can be opened.
    pub fn check_host_room(&self) -> Result<(), Errno> {
        if self.host_files < HOST_FILES {
            Ok(())
        } else {
            Err(Errno::EMFILE)
        }
    }

    /// Makes a descriptor of a new object. What was opened by its path counts from here on.
    pub fn open(&mut self, object: Object, flags: u32, close_on_exec: bool) -> Result<u64, Errno> {
        let free = |slots: Option<usize>| slots.ok_or(Errno::EMFILE);
        let number = free(self.table.free(0, DESCRIPTORS))?;
        let description = free(self.descriptions.free(0, DESCRIPTORS))?;
        if let Object::Opened(opened) = &object {
            match (&opened.content, &mut self.tree) {
                (Content::Host(_), _) => {
                    self.check_host_room()?;
                    self.host_files += 1;
                }
                (Content::Node(id, _), Some(tree)) => tree.ground.nodes.hold(*id)?,
                (content, _) => {
                    let left = self.held.checked_sub(content.held_bytes());
                    self.held = left.ok_or(Errno::ENOMEM)?;
                }
            }
        }
        self.descriptions.put(
            description,
            Description {
                object,
                offset: 0,
                flags,
                descriptors: 1,
            },
        );
        let description = u32::try_from(description).map_err(|_| Errno::EMFILE)?;
        self.table.put(
            number,
            Descriptor {
                description,
                close_on_exec,
            },
        );
        Ok(number as u64)
    }

    /// The descriptors of a new pipe: the end that is read, the end that is written.
    pub fn pipe(&mut self, flags: u32, close_on_exec: bool) -> Result<[u64; 2], Errno> {
        let number = self.pipes.free(0, DESCRIPTORS).ok_or(Errno::EMFILE)?;
        let pipe = u32::try_from(number).map_err(|_| Errno::EMFILE)?;
        self.pipes.put(number, Pipe::new());
        let reader = self.open(Object::Reader(pipe), O_RDONLY | flags, close_on_exec);
        let reader = reader.inspect_err(|_| {
            self.pipes.take(number);
        })?;
        let writer = self.open(Object::Writer(pipe), O_WRONLY | flags, close_on_exec);
        match writer {
            Ok(writer) => Ok([reader, writer]),
            Err(errno) => {
                if let Some(pipe) = self.pipes.get_mut(number) {
                    pipe.writer = false;
                }
                i32::try_from(reader).map_or(Ok(()), |reader| self.close(reader))?;
                Err(errno)
            }
        }
    }

    /// Makes another descriptor, at `first` or above.
    pub fn duplicate(
        &mut self,
        descriptor: i32,
        first: usize,
        close_on_exec: bool,
    ) -> Result<u64, Errno> {
        let (_, found) = self.number(descriptor)?;
        let number = self.table.free(first, DESCRIPTORS).ok_or(Errno::EMFILE)?;
        self.share(found, number, close_on_exec)
    }

    /// Makes another descriptor with this number, in the place of what has it.
    pub fn duplicate_to(
        &mut self,
        descriptor: i32,
        target: i32,
        close_on_exec: bool,
    ) -> Result<u64, Errno> {
        let (_, found) = self.number(descriptor)?;
        let number = usize::try_from(target).map_err(|_| Errno::EBADF)?;
        if number >= DESCRIPTORS {
            return Err(Errno::EBADF);
        }
        if self.table.get(number).is_some() {
            self.close(target)?;
        }
        self.share(found, number, close_on_exec)
    }

    fn share(&mut self, of: Descriptor, number: usize, close_on_exec: bool) -> Result<u64, Errno> {
        let description = self
            .descriptions
            .get_mut(index(of.description))
            .ok_or(Errno::EBADF)?;
        description.descriptors = description.descriptors.saturating_add(1);
        self.table.put(
            number,
            Descriptor {
                close_on_exec,
                ..of
            },
        );
        Ok(number as u64)
    }

    /// Takes a descriptor away, and what it leads to if it was the last one.
    pub fn close(&mut self, descriptor: i32) -> Result<(), Errno> {
        let (number, found) = self.number(descriptor)?;
        self.table.take(number);
        let description = index(found.description);
        let Some(shared) = self.descriptions.get_mut(description) else {
            return Ok(());
        };
        shared.descriptors = shared.descriptors.saturating_sub(1);
        if shared.descriptors > 0 {
            return Ok(());
        }
        match self.descriptions.take(description).map(|gone| gone.object) {
            Some(Object::Host(id)) if id > 2 && self.closed.len() < DESCRIPTORS => {
                self.closed.push(id);
            }
            Some(Object::Memory(file)) => self.pages = self.pages.saturating_add(file.pages()),
            Some(Object::Reader(pipe)) => self.close_end(pipe, |pipe| pipe.reader = false),
            Some(Object::Writer(pipe)) => self.close_end(pipe, |pipe| pipe.writer = false),
            Some(Object::Opened(opened)) => self.forget(&opened.content),
            Some(Object::Host(_)) | None => {}
        }
        Ok(())
    }

    fn forget(&mut self, content: &Content) {
        match (content, &mut self.tree) {
            (Content::Host(_), _) => self.host_files = self.host_files.saturating_sub(1),
            (Content::Node(id, _), Some(tree)) => tree.ground.nodes.let_go(*id),
            _ => self.held = self.held.saturating_add(content.held_bytes()),
        }
    }

    /// Gives a directory's description its listing, or takes it away.
    pub fn set_listing(&mut self, descriptor: i32, listing: Content) -> Result<(), Errno> {
        let (_, found) = self.number(descriptor)?;
        let description = self.descriptions.get_mut(index(found.description));
        let Some(Object::Opened(opened)) = description.map(|found| &mut found.object) else {
            return Err(Errno::ENOTDIR);
        };
        let room = self.held.saturating_add(opened.content.held_bytes());
        self.held = room
            .checked_sub(listing.held_bytes())
            .ok_or(Errno::ENOMEM)?;
        opened.content = listing;
        Ok(())
    }

    /// Files of the host that are open, by their paths.
    pub fn host_files(&self) -> Vec<Vec<u8>> {
        let opened = self
            .descriptions
            .iter()
            .filter_map(|found| match &found.object {
                Object::Opened(opened) if matches!(opened.content, Content::Host(_)) => {
                    Some(opened.path.clone())
                }
                _ => None,
            });
        opened.collect()
    }

    fn close_end(&mut self, number: u32, close: impl FnOnce(&mut Pipe)) {
        let Some(pipe) = self.pipes.get_mut(index(number)) else {
            return;
        };
        close(pipe);
        if !pipe.reader && !pipe.writer {
            self.pipes.take(index(number));
        }
    }

    /// The host's objects that have been closed since it was asked last.
    pub fn take_closed(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.closed)
    }

    /// Whether `exec` closes a descriptor.
    pub fn close_on_exec(&self, descriptor: i32) -> Result<bool, Errno> {
        Ok(self.number(descriptor)?.1.close_on_exec)
    }

    /// Says whether `exec` closes a descriptor.
    pub fn set_close_on_exec(&mut self, descriptor: i32, closes: bool) -> Result<(), Errno> {
        let (number, _) = self.number(descriptor)?;
        if let Some(found) = self.table.get_mut(number) {
            found.close_on_exec = closes;
        }
        Ok(())
    }

    /// The pipe of one of its ends: bytes that wait, room, and whether the other end is open.
    pub fn pipe_state(&self, object: &Object) -> Option<(usize, usize, bool)> {
        let (Object::Reader(number) | Object::Writer(number)) = object else {
            return None;
        };
        let pipe = self.pipes.get(index(*number))?;
        let other = match object {
            Object::Reader(_) => pipe.writer,
            _ => pipe.reader,
        };
        Some((pipe.len(), pipe.room(), other))
    }
}

impl Descriptors for Files {
    fn link(&self, descriptor: i32) -> Option<Vec<u8>> {
        let (_, found) = self.number(descriptor).ok()?;
        let description = self.descriptions.get(index(found.description))?;
        let (what, number) = match &description.object {
            Object::Opened(opened) => return Some(opened.path.clone()),
            Object::Memory(_) => return Some(b"/memfd: (deleted)".to_vec()),
            Object::Host(id) => ("pipe", id + PROCESS),
            Object::Reader(id) | Object::Writer(id) => ("pipe", id + 0x1000),
        };
        Some(format!("{what}:[{number}]").into_bytes())
    }

    fn numbers(&self) -> Vec<i32> {
        let numbers = (0..self.table.len()).filter(|number| self.table.get(*number).is_some());
        numbers
            .filter_map(|number| i32::try_from(number).ok())
            .collect()
    }
}
