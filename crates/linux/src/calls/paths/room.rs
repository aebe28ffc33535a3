//! Room on file systems, and what they are told of it: `statfs`, `fallocate`. And attributes, which
//! they have none of.

use linux_raw_sys::general::{
    __NR_fadvise64, __NR_fallocate, __NR_fgetxattr, __NR_flistxattr, __NR_fremovexattr,
    __NR_fsetxattr, __NR_fstatfs, __NR_getxattr, __NR_lgetxattr, __NR_listxattr, __NR_llistxattr,
    __NR_lremovexattr, __NR_lsetxattr, __NR_readahead, __NR_removexattr, __NR_setxattr,
    __NR_statfs, __NR_sync, __NR_sync_file_range, __NR_syncfs, AT_FDCWD, FALLOC_FL_KEEP_SIZE,
    O_ACCMODE, O_RDONLY, PROC_SUPER_MAGIC, TMPFS_MAGIC, statfs64,
};

use super::base::{find, find_at, now, tree};
use crate::calls::record::record;
use crate::calls::world::{Answer, World, int, low};
use crate::errno::Errno;
use crate::files::{self, Files, Object};
use crate::host::Capacity;
use crate::limits::{FILE_BYTES, FILE_PAGES, NAME_BYTES, NODES, PAGE};
use crate::tree::{Last, Place, Step};

/// What the file systems of hosts count as: `EXT2_SUPER_MAGIC`, the most common.
const HOST_MAGIC: u32 = 0xef53;

/// Answers a call of this subject.
pub fn answer(
    number: u32,
    [a, b, c, d, ..]: [u64; 6],
    files: &mut Files,
    world: &mut World<'_>,
) -> Option<Answer> {
    let result = match number {
        __NR_statfs => find_at(files, (AT_FDCWD, a), Last::Follow, world)
            .and_then(|found| tell(found.there()?, b, files, world)),
        __NR_fstatfs => of_descriptor(int(a), b, files, world),
        __NR_fallocate => allocate(int(a), low(b), [c, d], files, world),
        __NR_fadvise64 | __NR_readahead | __NR_sync_file_range | __NR_syncfs => {
            seekable(int(a), files).map(|()| 0)
        }
        __NR_sync => Ok(0),
        __NR_getxattr | __NR_setxattr | __NR_removexattr => {
            attribute(a, Last::Follow, files, world)
        }
        __NR_lgetxattr | __NR_lsetxattr | __NR_lremovexattr => {
            attribute(a, Last::Stay, files, world)
        }
        __NR_listxattr => attributes(a, Last::Follow, files, world),
        __NR_llistxattr => attributes(a, Last::Stay, files, world),
        __NR_fgetxattr | __NR_fsetxattr | __NR_fremovexattr => {
            files.get(int(a)).and(Err(Errno::EOPNOTSUPP))
        }
        __NR_flistxattr => files.get(int(a)).map(|_| 0),
        _ => return None,
    };
    Some(result.into())
}

/// Whether it is a descriptor, and no pipe.
fn seekable(descriptor: i32, files: &Files) -> Result<(), Errno> {
    match files.get(descriptor)?.object {
        Object::Opened(_) | Object::Memory(_) => Ok(()),
        _ => Err(Errno::ESPIPE),
    }
}

fn attribute(at: u64, last: Last, files: &Files, world: &mut World<'_>) -> Result<u64, Errno> {
    attributes(at, last, files, world)?;
    Err(Errno::EOPNOTSUPP)
}

fn attributes(at: u64, last: Last, files: &Files, world: &mut World<'_>) -> Result<u64, Errno> {
    find_at(files, (AT_FDCWD, at), last, world)?.there()?;
    Ok(0)
}

fn of_descriptor(
    descriptor: i32,
    at: u64,
    files: &Files,
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    let path = match &files.get(descriptor)?.object {
        Object::Opened(opened) => opened.path.clone(),
        _ => b"/proc".to_vec(),
    };
    let found = find(files, AT_FDCWD, &path, Last::Stay)?;
    // What has lost its name is where its directory is.
    let step = found.step.as_ref().unwrap_or(&found.parent);
    tell(step, at, files, world)
}

fn tell(step: &Step, at: u64, files: &Files, world: &mut World<'_>) -> Result<u64, Errno> {
    let all = |count: usize| count as u64;
    let (kind, capacity) = match &step.place {
        Place::Host(place) => (HOST_MAGIC, place.space()?),
        Place::Node(_) => {
            let (pages, nodes) = tree(files)?.ground.nodes.left();
            let capacity = Capacity {
                block: PAGE,
                blocks: all(FILE_PAGES.max(pages)),
                free: all(pages),
                available: all(pages),
                inodes: all(NODES),
                free_inodes: all(nodes),
            };
            (TMPFS_MAGIC, capacity)
        }
        Place::Own(_) => (
            PROC_SUPER_MAGIC,
            Capacity {
                block: PAGE,
                blocks: 0,
                free: 0,
                available: 0,
                inodes: 0,
                free_inodes: 0,
            },
        ),
    };
    let flags = if step.read_only { 1 } else { 0 };
    let bytes = record!(statfs64 {
        f_type: i64::from(kind),
        f_bsize: capacity.block.cast_signed(),
        f_blocks: capacity.blocks,
        f_bfree: capacity.free,
        f_bavail: capacity.available,
        f_files: capacity.inodes,
        f_ffree: capacity.free_inodes,
        f_namelen: all(NAME_BYTES).cast_signed(),
        f_frsize: capacity.block.cast_signed(),
        f_flags: flags,
    });
    world.write(at, &bytes)?;
    Ok(0)
}

/// `fallocate`: what is not there is a hole, so that only the size changes.
fn allocate(
    descriptor: i32,
    mode: u32,
    [offset, bytes]: [u64; 2],
    files: &mut Files,
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    let description = files.get(descriptor)?;
    if description.flags & O_ACCMODE == O_RDONLY {
        return Err(Errno::EBADF);
    }
    if mode & !FALLOC_FL_KEEP_SIZE != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    seekable(descriptor, files)?;
    let end = offset.checked_add(bytes).ok_or(Errno::EFBIG)?;
    if i64::try_from(offset).is_err() || i64::try_from(bytes).is_err() || bytes == 0 {
        return Err(Errno::EINVAL);
    }
    if end > FILE_BYTES {
        return Err(Errno::EFBIG);
    }
    let size = files::size(files, descriptor)?.ok_or(Errno::ENODEV)?;
    if end > size && mode & FALLOC_FL_KEEP_SIZE == 0 {
        let now = now(world);
        files::resize(files, descriptor, end, now)?;
    }
    Ok(0)
}
