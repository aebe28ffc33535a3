//! Descriptors, and what they lead to. None is a descriptor of the host.

mod memory_file;
mod pipe;
mod slots;

use linux_raw_sys::general::{O_APPEND, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::errno::Errno;
use crate::limits::{DESCRIPTORS, FILE_BYTES, FILE_PAGES, PIPE_BYTES};
pub use memory_file::MemoryFile;
use pipe::Pipe;
use slots::Slots;

/// What a descriptor leads to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Object {
    /// The host has it, by this number; 0, 1 and 2 are the standard streams.
    Host(u32),
    /// A file in memory.
    Memory(MemoryFile),
    /// The end of a pipe that is read.
    Reader(u32),
    /// The end of a pipe that is written.
    Writer(u32),
}

/// What `open` makes, and `dup` shares (`struct file` of the kernel).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Description {
    /// What it leads to.
    pub object: Object,
    /// Where the next transfer starts.
    pub offset: u64,
    /// `O_RDONLY`, `O_APPEND` and the like.
    pub flags: u32,
    descriptors: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Descriptor {
    description: u32,
    close_on_exec: bool,
}

/// A step of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many bytes.
    Done(usize),
    /// It has to wait for the other end of a pipe.
    Wait,
}

/// All descriptors of a program.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Files {
    table: Slots<Descriptor>,
    descriptions: Slots<Description>,
    pipes: Slots<Pipe>,
    /// Pages that memory files may still take.
    pages: usize,
    /// What the host may forget.
    closed: Vec<u32>,
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The access that `O_ACCMODE` says.
const ACCESS: u32 = 3;

impl Files {
    /// Standard input, output and error.
    pub fn new() -> Self {
        let mut files = Self {
            table: Slots::default(),
            descriptions: Slots::default(),
            pipes: Slots::default(),
            pages: FILE_PAGES,
            closed: Vec::new(),
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

    fn number(&self, descriptor: i32) -> Result<(usize, Descriptor), Errno> {
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

    /// Makes a descriptor of a new object.
    pub fn open(&mut self, object: Object, flags: u32, close_on_exec: bool) -> Result<u64, Errno> {
        let free = |slots: Option<usize>| slots.ok_or(Errno::EMFILE);
        let number = free(self.table.free(0, DESCRIPTORS))?;
        let description = free(self.descriptions.free(0, DESCRIPTORS))?;
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
            Some(Object::Host(_)) | None => {}
        }
        Ok(())
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

    /// Reads into `bytes`, at a position of its own or where the last transfer ended.
    ///
    /// # Errors
    /// `EBADF` if it is not open for that, `ESPIPE` for a position in a pipe.
    pub fn read(
        &mut self,
        descriptor: i32,
        position: Option<u64>,
        bytes: &mut [u8],
    ) -> Result<Step, Errno> {
        let description = self.get(descriptor)?;
        if description.flags & ACCESS == O_WRONLY {
            return Err(Errno::EBADF);
        }
        match &description.object {
            Object::Memory(file) => {
                let offset = position.unwrap_or(description.offset);
                let count = file.read(offset, bytes);
                if position.is_none() {
                    self.get_mut(descriptor)?.offset = offset.saturating_add(count as u64);
                }
                Ok(Step::Done(count))
            }
            Object::Reader(_) if position.is_some() => Err(Errno::ESPIPE),
            Object::Reader(number) => {
                let pipe = self.pipes.get_mut(index(*number)).ok_or(Errno::EBADF)?;
                if pipe.len() == 0 && pipe.writer && !bytes.is_empty() {
                    return Ok(Step::Wait);
                }
                Ok(Step::Done(pipe.read(bytes)))
            }
            Object::Writer(_) | Object::Host(_) => Err(Errno::EBADF),
        }
    }

    /// Writes `bytes`, at a position of its own or where the last transfer ended.
    ///
    /// # Errors
    /// As [`read`](Self::read); `EFBIG`, `ENOSPC`, `EPIPE`.
    pub fn write(
        &mut self,
        descriptor: i32,
        position: Option<u64>,
        bytes: &[u8],
    ) -> Result<Step, Errno> {
        let (_, found) = self.number(descriptor)?;
        let description = self
            .descriptions
            .get_mut(index(found.description))
            .ok_or(Errno::EBADF)?;
        if !matches!(description.flags & ACCESS, O_WRONLY | O_RDWR) {
            return Err(Errno::EBADF);
        }
        match &mut description.object {
            Object::Memory(file) => {
                let end = (description.flags & O_APPEND != 0).then(|| file.size());
                let offset = end.or(position).unwrap_or(description.offset);
                let count = file.write(offset, bytes, &mut self.pages)?;
                if position.is_none() {
                    description.offset = offset.saturating_add(count as u64);
                }
                Ok(Step::Done(count))
            }
            Object::Writer(_) if position.is_some() => Err(Errno::ESPIPE),
            Object::Writer(number) => {
                let pipe = self.pipes.get_mut(index(*number)).ok_or(Errno::EBADF)?;
                if !pipe.reader {
                    return Err(Errno::EPIPE);
                }
                if pipe.room() == 0 && !bytes.is_empty() {
                    return Ok(Step::Wait);
                }
                Ok(Step::Done(pipe.write(bytes)))
            }
            Object::Reader(_) | Object::Host(_) => Err(Errno::EBADF),
        }
    }

    /// Makes a memory file so large.
    ///
    /// # Errors
    /// `EINVAL` for what has no size, or is not open for writing; `EFBIG`.
    pub fn resize(&mut self, descriptor: i32, size: u64) -> Result<(), Errno> {
        let (_, found) = self.number(descriptor)?;
        match self.descriptions.get_mut(index(found.description)) {
            Some(Description {
                object: Object::Memory(file),
                flags,
                ..
            }) if *flags & ACCESS != O_RDONLY => file.resize(size, &mut self.pages),
            _ => Err(Errno::EINVAL),
        }
    }
}

impl Description {
    /// What would have to wait fails.
    pub fn never_waits(&self) -> bool {
        self.flags & O_NONBLOCK != 0
    }
}
