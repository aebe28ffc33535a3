//! What is told of files: `stat` and its kin.

use linux_raw_sys::general::{
    __NR_access, __NR_faccessat, __NR_faccessat2, __NR_fstat, __NR_lstat, __NR_newfstatat,
    __NR_stat, __NR_statx, AT_EACCESS, AT_EMPTY_PATH, AT_FDCWD, AT_NO_AUTOMOUNT,
    AT_STATX_SYNC_TYPE, AT_SYMLINK_NOFOLLOW, STATX__RESERVED, STATX_BASIC_STATS, stat, statx,
};

use super::base::{find, path, tree};
use crate::calls::record::record;
use crate::calls::world::{Answer, World, int, low};
use crate::errno::Errno;
use crate::files::{Files, Object};
use crate::limits::{GROUP, PAGE, USER};
use crate::status::{Kind, Status};
use crate::tree::{Content, Found, Last, Own, Place, What, may};

/// The standard streams of the host.
const STANDARD: u32 = 2;

/// The current directory, as an argument says it.
const HERE: u64 = AT_FDCWD.cast_unsigned() as u64;

/// Which structure is wanted.
#[derive(Clone, Copy)]
enum Form {
    Stat,
    Statx,
}

/// What is told, and the numbers of a device.
struct Shown {
    status: Status,
    device: (u32, u32),
}

impl From<Status> for Shown {
    fn from(status: Status) -> Self {
        Self {
            status,
            device: (0, 0),
        }
    }
}

/// Answers a call of this subject.
pub fn answer(
    number: u32,
    [a, b, c, d, e, _]: [u64; 6],
    files: &Files,
    world: &mut World<'_>,
) -> Option<Answer> {
    let stay = AT_SYMLINK_NOFOLLOW.into();
    let result = match number {
        __NR_fstat => {
            of_descriptor(int(a), files).and_then(|shown| tell(shown, Form::Stat, b, world))
        }
        __NR_newfstatat => return status_at([a, b, d, c], Form::Stat, files, world),
        __NR_statx if low(d) & STATX__RESERVED != 0 => Err(Errno::EINVAL),
        __NR_statx => return status_at([a, b, c, e], Form::Statx, files, world),
        __NR_stat => return status_at([HERE, a, 0, b], Form::Stat, files, world),
        __NR_lstat => return status_at([HERE, a, stay, b], Form::Stat, files, world),
        _ if files.tree.is_none() => return None,
        __NR_access => access([HERE, a, b, 0], files, world),
        __NR_faccessat => access([a, b, c, 0], files, world),
        __NR_faccessat2 => access([a, b, c, d], files, world),
        _ => return None,
    };
    Some(result.into())
}

/// `newfstatat` and `statx`. C libraries ask so for the status of a descriptor, too.
fn status_at(
    [descriptor, at, flags, to]: [u64; 4],
    form: Form,
    files: &Files,
    world: &mut World<'_>,
) -> Option<Answer> {
    let flags = low(flags);
    let is_empty = flags & AT_EMPTY_PATH != 0 && {
        let mut first = [0];
        match at {
            0 => true,
            _ if world.read(at, &mut first).is_err() => return Some(Errno::EFAULT.into()),
            _ => first == [0],
        }
    };
    let known = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE;
    let shown = match int(descriptor) {
        descriptor if is_empty && descriptor >= 0 => of_descriptor(descriptor, files),
        _ if files.tree.is_none() => return None,
        _ if flags & !known != 0 => Err(Errno::EINVAL),
        descriptor => {
            let path = match is_empty {
                true => Ok(b".".to_vec()),
                false => path(at, world),
            };
            let last = match flags & AT_SYMLINK_NOFOLLOW {
                0 => Last::Follow,
                _ => Last::Stay,
            };
            path.and_then(|path| find(files, descriptor, &path, last))
                .and_then(|found| of_found(&found, last, files))
        }
    };
    Some(shown.and_then(|shown| tell(shown, form, to, world)).into())
}

/// What stands at a path.
fn of_found(found: &Found, last: Last, files: &Files) -> Result<Option<Shown>, Errno> {
    let step = found.there()?;
    let device = match &step.place {
        Place::Own(Own::Descriptor(number)) if last == Last::Follow => {
            return of_descriptor(*number, files);
        }
        Place::Own(own) => match own.what() {
            What::Device(device) => device.numbers(),
            _ => (0, 0),
        },
        _ => (0, 0),
    };
    let status = tree(files)?.ground.status(step)?;
    Ok(Some(Shown { status, device }))
}

/// What a descriptor leads to; the host has to say it if there is none.
fn of_descriptor(descriptor: i32, files: &Files) -> Result<Option<Shown>, Errno> {
    let (kind, mode, inode, size, pages) = match &files.get(descriptor)?.object {
        Object::Host(id) if *id > STANDARD => return Ok(None),
        // To a program the standard streams are pipes.
        Object::Host(id) => (Kind::Pipe, 0o600, u64::from(*id), 0, 0),
        Object::Reader(pipe) | Object::Writer(pipe) => {
            (Kind::Pipe, 0o600, 0x1000 + u64::from(*pipe), 0, 0)
        }
        Object::Memory(file) => (Kind::File, 0o777, 0, file.size(), file.pages() as u64),
        Object::Opened(opened) => {
            let tree = tree(files)?;
            let Some(status) = opened.content.status(&tree.ground) else {
                let found = find(files, AT_FDCWD, &opened.path, Last::Stay)?;
                return of_found(&found, Last::Stay, files);
            };
            let device = match &opened.content {
                Content::Device(device, _) => device.numbers(),
                _ => (0, 0),
            };
            let status = status?;
            return Ok(Some(Shown { status, device }));
        }
    };
    let status = Status {
        kind,
        device: 0,
        inode,
        mode,
        links: 1,
        size,
        blocks: pages * (PAGE / 512),
        accessed: (0, 0),
        modified: (0, 0),
        changed: (0, 0),
    };
    Ok(Some(status.into()))
}

fn tell(shown: Option<Shown>, form: Form, at: u64, world: &mut World<'_>) -> Result<Answer, Errno> {
    let Some(shown) = shown else {
        return Ok(Answer::Ask);
    };
    match form {
        Form::Stat => world.write(at, &as_stat(&shown))?,
        Form::Statx => world.write(at, &as_statx(&shown))?,
    }
    Ok(Answer::Value(0))
}

fn as_stat(Shown { status, device }: &Shown) -> [u8; size_of::<stat>()] {
    let (major, minor) = *device;
    record!(stat {
        st_dev: status.device,
        st_ino: status.inode,
        st_mode: status.kind.mode() | status.mode,
        st_nlink: status.links,
        st_uid: USER,
        st_gid: GROUP,
        st_rdev: u64::from(major << 8 | minor),
        st_size: status.size.cast_signed(),
        st_blksize: PAGE.cast_signed(),
        st_blocks: status.blocks.cast_signed(),
        st_atime: status.accessed.0.cast_unsigned(),
        st_atime_nsec: u64::from(status.accessed.1),
        st_mtime: status.modified.0.cast_unsigned(),
        st_mtime_nsec: u64::from(status.modified.1),
        st_ctime: status.changed.0.cast_unsigned(),
        st_ctime_nsec: u64::from(status.changed.1),
    })
}

/// The major and the minor number of a file system's.
fn numbers(device: u64) -> (u32, u32) {
    let major = device >> 8 & 0xfff | device >> 32 & !0xfff;
    let minor = device & 0xff | device >> 12 & !0xff;
    (low(major), low(minor))
}

fn as_statx(Shown { status, device }: &Shown) -> [u8; size_of::<statx>()] {
    let (major, minor) = numbers(status.device);
    let mode = status.kind.mode() | status.mode;
    record!(statx {
        stx_mask: STATX_BASIC_STATS,
        stx_blksize: low(PAGE),
        stx_nlink: u32::try_from(status.links).unwrap_or(u32::MAX),
        stx_uid: USER,
        stx_gid: GROUP,
        stx_mode: u16::try_from(mode).unwrap_or(0),
        stx_ino: status.inode,
        stx_size: status.size,
        stx_blocks: status.blocks,
        stx_atime.tv_sec: status.accessed.0,
        stx_atime.tv_nsec: status.accessed.1,
        stx_ctime.tv_sec: status.changed.0,
        stx_ctime.tv_nsec: status.changed.1,
        stx_mtime.tv_sec: status.modified.0,
        stx_mtime.tv_nsec: status.modified.1,
        stx_rdev_major: device.0,
        stx_rdev_minor: device.1,
        stx_dev_major: major,
        stx_dev_minor: minor,
    })
}

/// `faccessat2`.
fn access(
    [descriptor, at, mode, flags]: [u64; 4],
    files: &Files,
    world: &mut World<'_>,
) -> Result<Answer, Errno> {
    let (mode, flags) = (low(mode), low(flags));
    if mode & !7 != 0 || flags & !(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let path = path(at, world)?;
    if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        files.get(int(descriptor))?;
        return Ok(Answer::Value(0));
    }
    let last = match flags & AT_SYMLINK_NOFOLLOW {
        0 => Last::Follow,
        _ => Last::Stay,
    };
    let found = find(files, int(descriptor), &path, last)?;
    may(&tree(files)?.ground, found.there()?, mode)?;
    Ok(Answer::Value(0))
}
