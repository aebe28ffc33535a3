//! What is changed by path.

use linux_raw_sys::general::{RENAME_EXCHANGE, RENAME_NOREPLACE};

use super::ground::Ground;
use super::memory_file::MemoryFile;
use super::nodes::{Body, Directory, Time};
use super::opened::Content;
use super::own::{Own, What};
use super::place::{Place, Step};
use super::walk::{End, Found};
use crate::errno::Errno;
use crate::limits::PATH_BYTES;

use crate::status::Kind;

/// To read: 4, to write: 2, to execute or to look up names: 1, as for `access`.
pub const WRITE: u32 = 2;

/// Whether the program may do all of `bits` with it (`R_OK`, `W_OK`, `X_OK`).
///
/// # Errors
/// `EACCES`, `EROFS`.
pub fn may(ground: &Ground, step: &Step, bits: u32) -> Result<(), Errno> {
    let is_device = match &step.place {
        Place::Own(own) => matches!(own.what(), What::Device(_) | What::Descriptor(_)),
        _ => false,
    };
    if bits & WRITE != 0 && step.read_only && !is_device {
        return Err(Errno::EROFS);
    }
    let mode = match &step.place {
        Place::Node(id) => ground.nodes.get(*id)?.mode,
        Place::Host(place) => return place.access(bits),
        Place::Own(own) => own.mode(),
    };
    if mode >> 6 & bits == bits {
        Ok(())
    } else {
        Err(Errno::EACCES)
    }
}

/// The directory of a path, in which names may be changed.
fn directory<'a>(ground: &Ground, found: &'a Found) -> Result<&'a Step, Errno> {
    let parent = &found.parent;
    match &parent.place {
        Place::Own(Own::Hollow) => Err(Errno::EROFS),
        Place::Own(_) => Err(Errno::EACCES),
        _ if parent.read_only => Err(Errno::EROFS),
        Place::Node(id) if ground.nodes.get(*id)?.mode & 0o300 != 0o300 => Err(Errno::EACCES),
        _ => Ok(parent),
    }
}

/// The directory of a path where nothing is yet.
fn room<'a>(ground: &Ground, found: &'a Found) -> Result<&'a Step, Errno> {
    if found.step.is_some() {
        return Err(Errno::EEXIST);
    }
    directory(ground, found)
}

/// Puts a new node into a directory in memory.
fn put(
    ground: &mut Ground,
    (directory, name): (u32, &[u8]),
    body: Body,
    mode: u32,
    now: Time,
) -> Result<u32, Errno> {
    let id = ground.nodes.add(body, mode, now)?;
    let linked = ground.nodes.link(directory, name, id, now);
    linked.inspect_err(|_| ground.nodes.collect(id))?;
    Ok(id)
}

/// Makes a regular file, open for reading and writing.
///
/// # Errors
/// `EEXIST`, `EISDIR` for a path that ends with a slash, `EROFS`, `EACCES`, `ENOSPC`.
pub fn create(ground: &mut Ground, found: &Found, mode: u32, now: Time) -> Result<Content, Errno> {
    if found.wants_directory {
        return Err(Errno::EISDIR);
    }
    let parent = room(ground, found)?;
    match &parent.place {
        Place::Node(directory) => {
            let body = Body::File(MemoryFile::default());
            let id = put(ground, (*directory, &found.name), body, mode, now)?;
            Ok(Content::Node(id, parent.mount))
        }
        Place::Host(place) => place.create(&found.name, mode).map(Content::Host),
        Place::Own(_) => Err(Errno::EACCES),
    }
}

/// Makes a directory.
///
/// # Errors
/// As [`create`].
pub fn make_directory(
    ground: &mut Ground,
    found: &Found,
    mode: u32,
    now: Time,
) -> Result<(), Errno> {
    match &room(ground, found)?.place {
        Place::Node(directory) => {
            let body = Body::Directory(Directory::default());
            put(ground, (*directory, &found.name), body, mode, now).map(|_| ())
        }
        Place::Host(place) => place.mkdir(&found.name, mode),
        Place::Own(_) => Err(Errno::EACCES),
    }
}

/// Makes a symbolic link.
///
/// # Errors
/// As [`create`]; `ENOENT` for an empty target.
pub fn make_link(
    ground: &mut Ground,
    found: &Found,
    target: &[u8],
    now: Time,
) -> Result<(), Errno> {
    if target.is_empty() {
        return Err(Errno::ENOENT);
    }
    if target.len() >= PATH_BYTES {
        return Err(Errno::ENAMETOOLONG);
    }
    if found.wants_directory && found.step.is_none() {
        return Err(Errno::ENOENT);
    }
    match &room(ground, found)?.place {
        Place::Node(directory) => {
            let body = Body::Link(target.to_vec());
            put(ground, (*directory, &found.name), body, 0o777, now).map(|_| ())
        }
        Place::Host(place) => place.symlink(target, &found.name),
        Place::Own(_) => Err(Errno::EACCES),
    }
}

/// Gives a file another name.
///
/// # Errors
/// As [`create`]; `EPERM` for a directory, `EXDEV` for another mount.
pub fn link(ground: &mut Ground, from: &Found, to: &Found, now: Time) -> Result<(), Errno> {
    let file = from.there()?;
    if to.step.is_some() {
        return Err(Errno::EEXIST);
    }
    if to.wants_directory {
        return Err(Errno::ENOENT);
    }
    if file.mount != to.parent.mount {
        return Err(Errno::EXDEV);
    }
    let parent = room(ground, to)?;
    if ground.kind(&file.place)? == Kind::Directory {
        return Err(Errno::EPERM);
    }
    match (&file.place, &parent.place) {
        (Place::Node(id), Place::Node(directory)) => {
            ground.nodes.link(*directory, &to.name, *id, now)
        }
        (Place::Host(file), Place::Host(place)) => place.link(file, &to.name),
        _ => Err(Errno::EXDEV),
    }
}

/// Takes a name away: `unlink`, or `rmdir` of a directory.
///
/// # Errors
/// `ENOENT`, `EISDIR`, `ENOTDIR`, `ENOTEMPTY`, `EBUSY` for a mount, `EROFS`, `EACCES`.
pub fn remove(
    ground: &mut Ground,
    found: &Found,
    is_directory: bool,
    now: Time,
) -> Result<(), Errno> {
    match (found.end, is_directory) {
        (End::Name, _) => {}
        (_, false) => return Err(Errno::EISDIR),
        (End::DotDot, true) => return Err(Errno::ENOTEMPTY),
        (End::Dot, true) if found.path == b"/" => return Err(Errno::EBUSY),
        (End::Dot, true) => return Err(Errno::EINVAL),
    }
    let there = found.there()?;
    let parent = directory(ground, found)?;
    let kind = ground.kind(&there.place)?;
    match (kind == Kind::Directory, is_directory) {
        (true, false) => return Err(Errno::EISDIR),
        (false, true) => return Err(Errno::ENOTDIR),
        _ if ground.has_mount(&found.path) => return Err(Errno::EBUSY),
        (false, false) if found.wants_directory => return Err(Errno::ENOTDIR),
        _ => {}
    }
    match (&parent.place, &there.place) {
        (Place::Node(directory), Place::Node(id)) => {
            if is_directory && !ground.nodes.is_empty(*id)? {
                return Err(Errno::ENOTEMPTY);
            }
            ground.nodes.unlink(*directory, &found.name, now)
        }
        (Place::Host(place), _) if is_directory => place.rmdir(&found.name),
        (Place::Host(place), _) => place.unlink(&found.name),
        _ => Err(Errno::EROFS),
    }
}

/// Gives what is at one path the other path.
///
/// # Errors
/// As [`remove`], and `EEXIST`, `EXDEV`; `EINVAL` for a directory that would be in itself.
pub fn rename(
    ground: &mut Ground,
    from: &Found,
    to: &Found,
    flags: u32,
    now: Time,
) -> Result<(), Errno> {
    let is_exchange = flags & RENAME_EXCHANGE != 0;
    let is_new = flags & RENAME_NOREPLACE != 0;
    if from.parent.mount != to.parent.mount {
        return Err(Errno::EXDEV);
    }
    match (from.end, to.end) {
        (End::Name, End::Name) => {}
        (End::Name, _) if is_new => return Err(Errno::EEXIST),
        _ => return Err(Errno::EBUSY),
    }
    let (out_of, into) = (directory(ground, from)?, directory(ground, to)?);
    let source = from.there()?;
    let is_directory = |step: &Step| Ok(ground.kind(&step.place)? == Kind::Directory);
    let target = to.step.as_ref().map(is_directory).transpose()?;
    match target {
        Some(_) if is_new => return Err(Errno::EEXIST),
        None if is_exchange => return Err(Errno::ENOENT),
        Some(false) if is_exchange && to.wants_directory => return Err(Errno::ENOTDIR),
        _ => {}
    }
    let is_directory = is_directory(source)?;
    let wants_directory = from.wants_directory || (!is_exchange && to.wants_directory);
    if !is_directory && wants_directory {
        return Err(Errno::ENOTDIR);
    }
    if ground.has_mount(&from.path) || ground.has_mount(&to.path) {
        return Err(Errno::EBUSY);
    }
    if is_below(&to.path, &from.path) {
        return Err(Errno::EINVAL);
    }
    if is_below(&from.path, &to.path) {
        return Err(if is_exchange {
            Errno::EINVAL
        } else {
            Errno::ENOTEMPTY
        });
    }
    match (&out_of.place, &into.place, &source.place) {
        (Place::Host(place), Place::Host(other), _) => {
            place.rename(&from.name, other, &to.name, flags)
        }
        (Place::Node(one), Place::Node(other), Place::Node(id)) => {
            let names: [&[u8]; 2] = [&from.name, &to.name];
            let moved = Move {
                directories: [*one, *other],
                names,
                id: *id,
                is_directory,
            };
            moved.run(ground, to.step.as_ref(), is_exchange, now)
        }
        _ => Err(Errno::EXDEV),
    }
}

fn is_below(path: &[u8], outer: &[u8]) -> bool {
    let rest = path.strip_prefix(outer);
    rest.is_some_and(|rest| rest.starts_with(b"/"))
}

/// A name in memory on its way to another place.
struct Move<'a> {
    directories: [u32; 2],
    names: [&'a [u8]; 2],
    id: u32,
    is_directory: bool,
}

impl Move<'_> {
    fn run(
        self,
        ground: &mut Ground,
        target: Option<&Step>,
        is_exchange: bool,
        now: Time,
    ) -> Result<(), Errno> {
        let ([one, other], [name, new]) = (self.directories, self.names);
        let Some(Step {
            place: Place::Node(there),
            ..
        }) = target
        else {
            return ground.nodes.rename([one, other], [name, new], now);
        };
        if *there == self.id {
            return Ok(());
        }
        let nodes = &mut ground.nodes;
        if is_exchange {
            return nodes.exchange([one, other], [name, new], now);
        }
        match (self.is_directory, nodes.get(*there)?.is_directory()) {
            (true, false) => return Err(Errno::ENOTDIR),
            (false, true) => return Err(Errno::EISDIR),
            (true, true) if !nodes.is_empty(*there)? => return Err(Errno::ENOTEMPTY),
            _ => {}
        }
        nodes.unlink(other, new, now)?;
        nodes.rename([one, other], [name, new], now)
    }
}
