//! Bytes between a caller and what a descriptor leads to.

use linux_raw_sys::general::{O_APPEND, O_PATH, O_RDONLY, O_RDWR, O_WRONLY};

use super::object::{Description, Object};
use super::table::{Files, index};
use crate::errno::Errno;
use crate::tree::Time;

/// A step of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many bytes.
    Done(usize),
    /// It has to wait for the other end of a pipe.
    Wait,
}

/// The access that `O_ACCMODE` says.
const ACCESS: u32 = 3;

/// Reads into `bytes`, at a position of its own or where the last transfer ended.
///
/// # Errors
/// `EBADF` if it is not open for that, `ESPIPE` for a position in a pipe.
pub fn read(
    files: &mut Files,
    descriptor: i32,
    position: Option<u64>,
    bytes: &mut [u8],
) -> Result<Step, Errno> {
    let description = files.get(descriptor)?;
    if description.flags & ACCESS == O_WRONLY || description.flags & O_PATH != 0 {
        return Err(Errno::EBADF);
    }
    let offset = position.unwrap_or(description.offset);
    let count = match &description.object {
        Object::Memory(file) => file.read(offset, bytes),
        Object::Opened(opened) => {
            let tree = files.tree.as_ref().ok_or(Errno::EBADF)?;
            opened.content.read(&tree.ground, offset, bytes)?
        }
        Object::Reader(_) if position.is_some() => return Err(Errno::ESPIPE),
        Object::Reader(number) => {
            let number = index(*number);
            let pipe = files.pipes.get_mut(number).ok_or(Errno::EBADF)?;
            if pipe.len() == 0 && pipe.writer && !bytes.is_empty() {
                return Ok(Step::Wait);
            }
            return Ok(Step::Done(pipe.read(bytes)));
        }
        Object::Writer(_) | Object::Host(_) => return Err(Errno::EBADF),
    };
    if position.is_none() {
        files.get_mut(descriptor)?.offset = offset.saturating_add(count as u64);
    }
    Ok(Step::Done(count))
}

/// Writes `bytes`, at a position of its own or where the last transfer ended.
///
/// # Errors
/// As [`read`]; `EFBIG`, `ENOSPC`, `EPIPE`.
pub fn write(
    files: &mut Files,
    descriptor: i32,
    position: Option<u64>,
    bytes: &[u8],
    now: Time,
) -> Result<Step, Errno> {
    let (_, found) = files.number(descriptor)?;
    let description = files
        .descriptions
        .get_mut(index(found.description))
        .ok_or(Errno::EBADF)?;
    let is_writable = matches!(description.flags & ACCESS, O_WRONLY | O_RDWR);
    if !is_writable || description.flags & O_PATH != 0 {
        return Err(Errno::EBADF);
    }
    let appends = description.flags & O_APPEND != 0;
    let offset = position.unwrap_or(description.offset);
    let (count, end) = match &mut description.object {
        Object::Memory(file) => {
            let offset = if appends { file.size() } else { offset };
            let count = file.write(offset, bytes, &mut files.pages)?;
            (count, offset.saturating_add(count as u64))
        }
        Object::Opened(opened) => {
            let tree = files.tree.as_mut().ok_or(Errno::EBADF)?;
            let offset = (!appends).then_some(offset);
            opened.content.write(&mut tree.ground, offset, bytes, now)?
        }
        Object::Writer(_) if position.is_some() => return Err(Errno::ESPIPE),
        Object::Writer(number) => {
            let number = index(*number);
            let pipe = files.pipes.get_mut(number).ok_or(Errno::EBADF)?;
            if !pipe.reader {
                return Err(Errno::EPIPE);
            }
            if pipe.room() == 0 && !bytes.is_empty() {
                return Ok(Step::Wait);
            }
            return Ok(Step::Done(pipe.write(bytes)));
        }
        Object::Reader(_) | Object::Host(_) => return Err(Errno::EBADF),
    };
    if position.is_none() {
        description.offset = end;
    }
    Ok(Step::Done(count))
}

/// Makes a file so large.
///
/// # Errors
/// `EINVAL` for what has no size, or is not open for writing; `EFBIG`.
pub fn resize(files: &mut Files, descriptor: i32, size: u64, now: Time) -> Result<(), Errno> {
    let (_, found) = files.number(descriptor)?;
    let description = files.descriptions.get_mut(index(found.description));
    match description {
        Some(Description { flags, .. }) if *flags & ACCESS == O_RDONLY => Err(Errno::EINVAL),
        Some(Description {
            object: Object::Memory(file),
            ..
        }) => file.resize(size, &mut files.pages),
        Some(Description {
            object: Object::Opened(opened),
            ..
        }) => {
            let tree = files.tree.as_mut().ok_or(Errno::EINVAL)?;
            opened.content.resize(&mut tree.ground, size, now)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// The size of what has one.
///
/// # Errors
/// `EBADF`, or what the host says.
pub fn size(files: &Files, descriptor: i32) -> Result<Option<u64>, Errno> {
    match &files.get(descriptor)?.object {
        Object::Memory(file) => Ok(Some(file.size())),
        Object::Opened(opened) => {
            let tree = files.tree.as_ref().ok_or(Errno::EBADF)?;
            opened.content.size(&tree.ground)
        }
        Object::Host(_) | Object::Reader(_) | Object::Writer(_) => Ok(None),
    }
}
