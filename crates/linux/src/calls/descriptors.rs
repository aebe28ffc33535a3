//! What is done with descriptors besides transfers.

use linux_raw_sys::general::__NR_ioctl;
use linux_raw_sys::general::{
    __NR_close, __NR_dup, __NR_dup2, __NR_dup3, __NR_fcntl, __NR_fdatasync, __NR_fsync,
    __NR_ftruncate, __NR_lseek, __NR_memfd_create, __NR_pipe, __NR_pipe2, F_DUPFD, F_DUPFD_CLOEXEC,
    F_GETFD, F_GETFL, F_GETPIPE_SZ, F_SETFD, F_SETFL, F_SETPIPE_SZ, FD_CLOEXEC, MFD_ALLOW_SEALING,
    MFD_CLOEXEC, MFD_EXEC, MFD_NOEXEC_SEAL, O_APPEND, O_CLOEXEC, O_NOATIME, O_NONBLOCK, O_RDWR,
    SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET,
};
use linux_raw_sys::ioctl::{FIOCLEX, FIONBIO, FIONCLEX, FIONREAD};

use super::world::{Answer, Clock, World, int, low};
use crate::errno::Errno;
use crate::files::{self, Files, Object};
use crate::limits::PIPE_BYTES;
use crate::tree::{Content, MemoryFile};

/// What the kernel lets a name of `memfd_create` have, without its NUL.
const NAME_BYTES: usize = 249;
/// The standard streams of the host.
const STANDARD: u32 = 2;

/// Answers a call of this subject.
pub fn answer(
    number: u32,
    [a, b, c, ..]: [u64; 6],
    files: &mut Files,
    world: &mut World<'_>,
) -> Option<Answer> {
    let descriptor = int(a);
    let result = match number {
        __NR_memfd_create => create(a, low(b), files, world),
        __NR_pipe => pipe(a, 0, files, world),
        __NR_pipe2 => pipe(a, low(b), files, world),
        __NR_close => files.close(descriptor).map(|()| 0),
        __NR_dup => files.duplicate(descriptor, 0, false),
        __NR_dup2 if a == b => files.get(descriptor).map(|_| b),
        __NR_dup2 => files.duplicate_to(descriptor, int(b), false),
        __NR_dup3 if a == b || low(c) & !O_CLOEXEC != 0 => Err(Errno::EINVAL),
        __NR_dup3 => files.duplicate_to(descriptor, int(b), low(c) != 0),
        __NR_fcntl => return Some(control(descriptor, low(b), c, files).into()),
        __NR_ioctl => return Some(device(descriptor, low(b), c, files, world).into()),
        __NR_lseek => return Some(seek(descriptor, b, low(c), files).into()),
        __NR_ftruncate => return Some(truncate(descriptor, b, files, world).into()),
        __NR_fsync | __NR_fdatasync => return Some(sync(descriptor, files).into()),
        _ => return None,
    };
    Some(result.into())
}

fn create(name: u64, flags: u32, files: &mut Files, world: &mut World<'_>) -> Result<u64, Errno> {
    if flags & !(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC) != 0 {
        return Err(Errno::EINVAL);
    }
    world
        .string(name, NAME_BYTES)
        .map_err(|errno| match errno {
            Errno::ENAMETOOLONG => Errno::EINVAL,
            other => other,
        })?;
    files.open(
        Object::Memory(MemoryFile::default()),
        O_RDWR,
        flags & MFD_CLOEXEC != 0,
    )
}

fn pipe(at: u64, flags: u32, files: &mut Files, world: &mut World<'_>) -> Result<u64, Errno> {
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let ends = files.pipe(flags & O_NONBLOCK, flags & O_CLOEXEC != 0)?;
    let numbers = ends.map(|end| low(end).to_le_bytes());
    world.write(at, numbers.as_flattened()).inspect_err(|_| {
        for end in ends {
            // Both were opened above.
            let _ = files.close(int(end));
        }
    })?;
    Ok(0)
}

fn control(
    descriptor: i32,
    command: u32,
    argument: u64,
    files: &mut Files,
) -> Result<Answer, Errno> {
    let description = files.get(descriptor)?;
    let value = match command {
        F_DUPFD | F_DUPFD_CLOEXEC => {
            let first = usize::try_from(argument).map_err(|_| Errno::EINVAL)?;
            if first >= crate::limits::DESCRIPTORS {
                return Err(Errno::EINVAL);
            }
            files.duplicate(descriptor, first, command == F_DUPFD_CLOEXEC)?
        }
        F_GETFD => files.close_on_exec(descriptor)?.into(),
        F_SETFD => {
            let closes = argument & u64::from(FD_CLOEXEC) != 0;
            files.set_close_on_exec(descriptor, closes)?;
            0
        }
        F_GETFL => description.flags.into(),
        F_SETFL => {
            let settable = O_APPEND | O_NONBLOCK | O_NOATIME;
            let description = files.get_mut(descriptor)?;
            description.flags = description.flags & !settable | low(argument) & settable;
            0
        }
        _ if matches!(description.object, Object::Host(_)) => return Ok(Answer::Ask),
        F_GETPIPE_SZ | F_SETPIPE_SZ => {
            files.pipe_state(&description.object).ok_or(Errno::EBADF)?;
            if command == F_SETPIPE_SZ && argument > PIPE_BYTES as u64 {
                return Err(Errno::EPERM);
            }
            PIPE_BYTES as u64
        }
        _ => return Err(Errno::EINVAL),
    };
    Ok(Answer::Value(value))
}

/// `ioctl`. The standard streams are no terminals.
fn device(
    descriptor: i32,
    request: u32,
    at: u64,
    files: &mut Files,
    world: &mut World<'_>,
) -> Result<Answer, Errno> {
    let description = files.get(descriptor)?;
    match request {
        FIOCLEX | FIONCLEX => files.set_close_on_exec(descriptor, request == FIOCLEX)?,
        FIONBIO => {
            let mut wanted = [0; 4];
            world.read(at, &mut wanted)?;
            let flags = &mut files.get_mut(descriptor)?.flags;
            *flags = *flags & !O_NONBLOCK | if wanted == [0; 4] { 0 } else { O_NONBLOCK };
        }
        FIONREAD => {
            let waiting = match &description.object {
                Object::Memory(file) => file.size().saturating_sub(description.offset),
                Object::Opened(_) => {
                    let size = files::size(files, descriptor)?.ok_or(Errno::ENOTTY)?;
                    size.saturating_sub(description.offset)
                }
                Object::Host(id) if *id > STANDARD => return Ok(Answer::Ask),
                object => files.pipe_state(object).ok_or(Errno::ENOTTY)?.0 as u64,
            };
            let waiting = i32::try_from(waiting).unwrap_or(i32::MAX);
            world.write(at, &waiting.to_le_bytes())?;
        }
        _ => match description.object {
            Object::Host(id) if id > STANDARD => return Ok(Answer::Ask),
            _ => return Err(Errno::ENOTTY),
        },
    }
    Ok(Answer::Value(0))
}

fn seek(descriptor: i32, offset: u64, from: u32, files: &mut Files) -> Result<Answer, Errno> {
    match &files.get(descriptor)?.object {
        Object::Host(_) => return Ok(Answer::Ask),
        Object::Reader(_) | Object::Writer(_) => return Err(Errno::ESPIPE),
        Object::Opened(opened) => match opened.content {
            Content::Path => return Err(Errno::EBADF),
            // Such a device has no positions.
            Content::Device(..) => return Ok(Answer::Value(0)),
            _ => {}
        },
        Object::Memory(_) => {}
    }
    let size = files::size(files, descriptor)?.unwrap_or(0).cast_signed();
    let description = files.get_mut(descriptor)?;
    let offset = offset.cast_signed();
    let base = match from {
        SEEK_SET => 0,
        SEEK_CUR => description.offset.cast_signed(),
        SEEK_END => size,
        // All of it counts as data.
        SEEK_DATA | SEEK_HOLE if offset < 0 || offset >= size => return Err(Errno::ENXIO),
        SEEK_DATA => 0,
        SEEK_HOLE => size - offset,
        _ => return Err(Errno::EINVAL),
    };
    let target = base.checked_add(offset).ok_or(Errno::EOVERFLOW)?;
    description.offset = u64::try_from(target).map_err(|_| Errno::EINVAL)?;
    Ok(Answer::Value(description.offset))
}

fn truncate(
    descriptor: i32,
    size: u64,
    files: &mut Files,
    world: &mut World<'_>,
) -> Result<Answer, Errno> {
    if matches!(files.get(descriptor)?.object, Object::Host(_)) {
        return Ok(Answer::Ask);
    }
    if i64::try_from(size).is_err() {
        return Err(Errno::EINVAL);
    }
    let now = match files.get(descriptor)?.object {
        Object::Opened(_) => world.host.now(Clock::Realtime),
        _ => (0, 0),
    };
    files::resize(files, descriptor, size, now)?;
    Ok(Answer::Value(0))
}

fn sync(descriptor: i32, files: &Files) -> Result<Answer, Errno> {
    match &files.get(descriptor)?.object {
        Object::Host(_) => Ok(Answer::Ask),
        Object::Memory(_) => Ok(Answer::Value(0)),
        Object::Opened(opened) => {
            match &opened.content {
                Content::Host(file) => file.sync()?,
                Content::Path => return Err(Errno::EBADF),
                Content::Device(..) => return Err(Errno::EINVAL),
                _ => {}
            }
            Ok(Answer::Value(0))
        }
        Object::Reader(_) | Object::Writer(_) => Err(Errno::EINVAL),
    }
}
