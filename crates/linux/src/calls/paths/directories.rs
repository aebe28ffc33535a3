//! Directories: what is in them, and which one is current. And what links say.

use std::sync::Arc;

use linux_raw_sys::general::{
    __NR_chdir, __NR_fchdir, __NR_getcwd, __NR_getdents, __NR_getdents64, __NR_readlink,
    __NR_readlinkat, AT_FDCWD, O_PATH,
};

use super::base::{find, find_at, path, tree, tree_mut};
use crate::calls::world::{Answer, World, int, low};
use crate::errno::Errno;
use crate::files::{Files, Object};
use crate::status::Kind;
use crate::tree::{Content, Entry, Last, Step, may};

/// Bytes that one call tells of a directory's entries.
const MOST: usize = 64 << 10;
/// Bytes of an entry before its name, with `d_type` there or at its end.
const HEAD: usize = 19;
const OLD_HEAD: usize = 18;

/// Answers a call of this subject.
pub fn answer(
    number: u32,
    [a, b, c, d, ..]: [u64; 6],
    files: &mut Files,
    world: &mut World<'_>,
) -> Option<Answer> {
    let result = match number {
        __NR_getcwd => current(a, b, files, world),
        __NR_chdir => change(AT_FDCWD, a, files, world),
        __NR_fchdir => change_to(int(a), files),
        __NR_readlink => read_link([AT_FDCWD.cast_unsigned().into(), a, b, c], files, world),
        __NR_readlinkat => read_link([a, b, c, d], files, world),
        __NR_getdents64 => entries(int(a), (b, c), false, files, world),
        __NR_getdents => entries(int(a), (b, c), true, files, world),
        _ => return None,
    };
    Some(result.into())
}

fn current(at: u64, bytes: u64, files: &Files, world: &mut World<'_>) -> Result<u64, Errno> {
    let mut path = tree(files)?.ground.directory.clone();
    find(files, AT_FDCWD, &path, Last::Stay)?.there()?;
    path.push(0);
    if (path.len() as u64) > bytes {
        return Err(Errno::ERANGE);
    }
    world.write(at, &path)?;
    Ok(path.len() as u64)
}

fn change(
    descriptor: i32,
    at: u64,
    files: &mut Files,
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    let found = find_at(files, (descriptor, at), Last::Follow, world)?;
    enter(found.there()?, &found.path, files)
}

fn change_to(descriptor: i32, files: &mut Files) -> Result<u64, Errno> {
    let path = match &files.get(descriptor)?.object {
        Object::Opened(opened) if matches!(opened.content, Content::Directory(_)) => {
            opened.path.clone()
        }
        _ => return Err(Errno::ENOTDIR),
    };
    let found = find(files, AT_FDCWD, &path, Last::Stay)?;
    enter(found.there()?, &path, files)
}

fn enter(step: &Step, path: &[u8], files: &mut Files) -> Result<u64, Errno> {
    let ground = &mut tree_mut(files)?.ground;
    if ground.kind(&step.place)? != Kind::Directory {
        return Err(Errno::ENOTDIR);
    }
    may(ground, step, 1)?;
    ground.directory = path.to_vec();
    Ok(0)
}

fn read_link(
    [descriptor, at, to, bytes]: [u64; 4],
    files: &Files,
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    let most = usize::try_from(int(bytes)).map_err(|_| Errno::EINVAL)?;
    if most == 0 {
        return Err(Errno::EINVAL);
    }
    let path = path(at, world)?;
    let found = match (path.as_slice(), files.get(int(descriptor))) {
        (b"", Ok(description)) => match &description.object {
            Object::Opened(opened) => find(files, AT_FDCWD, &opened.path, Last::Stay)?,
            _ => return Err(Errno::ENOENT),
        },
        _ => find(files, int(descriptor), &path, Last::Stay)?,
    };
    let text = tree(files)?
        .ground
        .read_link(&found.there()?.place, files)?;
    let text = text.get(..most.min(text.len())).unwrap_or_default();
    world.write(to, text)?;
    Ok(text.len() as u64)
}

/// All entries of an open directory. They are read when it is at its start, and kept.
fn listing(descriptor: i32, files: &mut Files) -> Result<Arc<[Entry]>, Errno> {
    let description = files.get(descriptor)?;
    let Object::Opened(opened) = &description.object else {
        return Err(Errno::ENOTDIR);
    };
    match &opened.content {
        _ if description.flags & O_PATH != 0 => return Err(Errno::EBADF),
        Content::Directory(Some(entries)) if description.offset > 0 => return Ok(entries.clone()),
        Content::Directory(_) => {}
        _ => return Err(Errno::ENOTDIR),
    }
    let path = opened.path.clone();
    let found = find(files, AT_FDCWD, &path, Last::Stay)?;
    let step = found.there()?;
    let ground = &tree(files)?.ground;
    if ground.kind(&step.place)? != Kind::Directory {
        return Err(Errno::ENOTDIR);
    }
    let special = |name: &[u8], step: &Step| -> Result<Entry, Errno> {
        Ok(Entry {
            name: name.to_vec(),
            inode: ground.status(step)?.inode,
            kind: Kind::Directory,
        })
    };
    let mut entries = vec![special(b".", step)?, special(b"..", &found.parent)?];
    entries.extend(ground.list(step, &path, files)?);
    let entries: Arc<[Entry]> = entries.into();
    files.set_listing(descriptor, Content::Directory(Some(entries.clone())))?;
    Ok(entries)
}

fn entries(
    descriptor: i32,
    (at, bytes): (u64, u64),
    is_old: bool,
    files: &mut Files,
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    let most = usize::try_from(low(bytes)).map_or(MOST, |bytes| bytes.min(MOST));
    let entries = listing(descriptor, files)?;
    let offset = files.get(descriptor)?.offset;
    let first = usize::try_from(offset).unwrap_or(usize::MAX);
    let mut records = Vec::new();
    let mut next = offset;
    let rest = entries.get(first..).unwrap_or_default();
    for entry in rest {
        let record = record_of(entry, next + 1, is_old);
        if records.len() + record.len() > most {
            break;
        }
        records.extend(record);
        next += 1;
    }
    if records.is_empty() && !rest.is_empty() {
        return Err(Errno::EINVAL);
    }
    world.write(at, &records)?;
    files.get_mut(descriptor)?.offset = next;
    if rest.is_empty() {
        // What is over takes no room.
        files.set_listing(descriptor, Content::Directory(None))?;
    }
    Ok(records.len() as u64)
}

/// `struct linux_dirent64`, or the older one.
fn record_of(entry: &Entry, next: u64, is_old: bool) -> Vec<u8> {
    let head = if is_old { OLD_HEAD } else { HEAD };
    let ends = usize::from(is_old);
    let length = (head + entry.name.len() + 1 + ends).next_multiple_of(8);
    let mut record = Vec::with_capacity(length);
    record.extend(entry.inode.to_le_bytes());
    record.extend(next.to_le_bytes());
    record.extend(u16::try_from(length).unwrap_or(0).to_le_bytes());
    if !is_old {
        record.push(entry.kind.entry());
    }
    record.extend_from_slice(&entry.name);
    record.resize(length, 0);
    if let (true, Some(last)) = (is_old, record.last_mut()) {
        *last = entry.kind.entry();
    }
    record
}
