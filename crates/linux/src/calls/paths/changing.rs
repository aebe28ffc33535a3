//! What changes names, sizes, rights and times of files.

use linux_raw_sys::general::{
    __NR_chmod, __NR_chown, __NR_fchmod, __NR_fchmodat, __NR_fchmodat2, __NR_fchown, __NR_fchownat,
    __NR_lchown, __NR_link, __NR_linkat, __NR_mkdir, __NR_mkdirat, __NR_mknod, __NR_mknodat,
    __NR_rename, __NR_renameat, __NR_renameat2, __NR_rmdir, __NR_symlink, __NR_symlinkat,
    __NR_truncate, __NR_umask, __NR_unlink, __NR_unlinkat, AT_EMPTY_PATH, AT_FDCWD, AT_REMOVEDIR,
    AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW, RENAME_EXCHANGE, RENAME_NOREPLACE, S_IFMT, S_IFREG,
};

use super::base::{find, find_at, now, path, tree, tree_mut};
use crate::calls::world::{Answer, World, int, low};
use crate::errno::Errno;
use crate::files::{Files, Object};
use crate::limits::{GROUP, USER};
use crate::tree::{
    Content, Found, Last, change_mode, create, link, make_directory, make_link, remove, rename,
    truncate,
};

/// The current directory, as an argument says it.
const HERE: u64 = AT_FDCWD.cast_unsigned() as u64;

/// Answers a call of this subject.
pub fn answer(
    number: u32,
    [a, b, c, d, e, _]: [u64; 6],
    files: &mut Files,
    world: &mut World<'_>,
) -> Option<Answer> {
    let stay = AT_SYMLINK_NOFOLLOW.into();
    let result = match number {
        __NR_mkdir => new_directory([HERE, a, b], files, world),
        __NR_mkdirat => new_directory([a, b, c], files, world),
        __NR_mknod => new_node([HERE, a, b], files, world),
        __NR_mknodat => new_node([a, b, c], files, world),
        __NR_rmdir => unlink([HERE, a, AT_REMOVEDIR.into()], files, world),
        __NR_unlink => unlink([HERE, a, 0], files, world),
        __NR_unlinkat => unlink([a, b, c], files, world),
        __NR_symlink => new_link([a, HERE, b], files, world),
        __NR_symlinkat => new_link([a, b, c], files, world),
        __NR_link => other_name([HERE, a, HERE, b, 0], files, world),
        __NR_linkat => other_name([a, b, c, d, e], files, world),
        __NR_rename => renamed([HERE, a, HERE, b, 0], files, world),
        __NR_renameat => renamed([a, b, c, d, 0], files, world),
        __NR_renameat2 => renamed([a, b, c, d, e], files, world),
        __NR_truncate => resized(a, b, files, world),
        __NR_umask => mask(low(a), files),
        __NR_chmod => mode([HERE, a, b, 0], files, world),
        __NR_fchmodat => mode([a, b, c, 0], files, world),
        __NR_fchmodat2 => mode([a, b, c, d], files, world),
        __NR_fchmod => mode_of(int(a), low(b), files, world),
        __NR_chown => owner([HERE, a, b, c, 0], files, world),
        __NR_lchown => owner([HERE, a, b, c, stay], files, world),
        __NR_fchownat => owner([a, b, c, d, e], files, world),
        __NR_fchown => files.get(int(a)).and_then(|_| owned(b, c)),
        _ => return None,
    };
    Some(result.into())
}

fn new_directory(
    [descriptor, at, mode]: [u64; 3],
    files: &mut Files,
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    let found = find_at(files, (int(descriptor), at), Last::Name, world)?;
    let tree = tree_mut(files)?;
    let mode = low(mode) & 0o1777 & !tree.umask;
    make_directory(&mut tree.ground, &found, mode, now(world))?;
    Ok(0)
}

/// `mknod` makes regular files only.
fn new_node(
    [descriptor, at, mode]: [u64; 3],
    files: &mut Files,
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    let found = find_at(files, (int(descriptor), at), Last::Name, world)?;
    if ![0, S_IFREG].contains(&(low(mode) & S_IFMT)) {
        return Err(Errno::EPERM);
    }
    if found.wants_directory {
        return Err(Errno::ENOENT);
    }
    let tree = tree_mut(files)?;
    let mode = low(mode) & 0o7777 & !tree.umask;
    create(&mut tree.ground, &found, mode, now(world))?;
    Ok(0)
}

fn unlink(
    [descriptor, at, flags]: [u64; 3],
    files: &mut Files,
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    if low(flags) & !AT_REMOVEDIR != 0 {
        return Err(Errno::EINVAL);
    }
    let found = find_at(files, (int(descriptor), at), Last::Name, world)?;
    let is_directory = low(flags) != 0;
    let ground = &mut tree_mut(files)?.ground;
    remove(ground, &found, is_directory, now(world))?;
    Ok(0)
}

fn new_link(
    [target, descriptor, at]: [u64; 3],
    files: &mut Files,
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    let target = path(target, world)?;
    let found = find_at(files, (int(descriptor), at), Last::Name, world)?;
    let ground = &mut tree_mut(files)?.ground;
    make_link(ground, &found, &target, now(world))?;
    Ok(0)
}

fn other_name(
    [descriptor, at, other, to, flags]: [u64; 5],
    files: &mut Files,
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    let flags = low(flags);
    if flags & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let last = match flags & AT_SYMLINK_FOLLOW {
        0 => Last::Stay,
        _ => Last::Follow,
    };
    let from = find_at(files, (int(descriptor), at), last, world)?;
    from.there()?;
    let to = find_at(files, (int(other), to), Last::Name, world)?;
    link(&mut tree_mut(files)?.ground, &from, &to, now(world))?;
    Ok(0)
}

fn renamed(
    [descriptor, at, other, to, flags]: [u64; 5],
    files: &mut Files,
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    let flags = low(flags);
    if ![0, RENAME_NOREPLACE, RENAME_EXCHANGE].contains(&flags) {
        return Err(Errno::EINVAL);
    }
    let from = find_at(files, (int(descriptor), at), Last::Name, world)?;
    let to = find_at(files, (int(other), to), Last::Name, world)?;
    let ground = &mut tree_mut(files)?.ground;
    rename(ground, &from, &to, flags, now(world))?;
    Ok(0)
}

fn resized(at: u64, size: u64, files: &mut Files, world: &mut World<'_>) -> Result<u64, Errno> {
    if i64::try_from(size).is_err() {
        return Err(Errno::EINVAL);
    }
    let found = find_at(files, (AT_FDCWD, at), Last::Follow, world)?;
    let ground = &mut tree_mut(files)?.ground;
    truncate(ground, found.there()?, size, now(world))?;
    Ok(0)
}

fn mask(bits: u32, files: &mut Files) -> Result<u64, Errno> {
    let tree = tree_mut(files)?;
    let before = std::mem::replace(&mut tree.umask, bits & 0o777);
    Ok(before.into())
}

fn last(flags: u32) -> Result<Last, Errno> {
    match flags & !AT_EMPTY_PATH {
        0 => Ok(Last::Follow),
        AT_SYMLINK_NOFOLLOW => Ok(Last::Stay),
        _ => Err(Errno::EINVAL),
    }
}

fn mode(
    [descriptor, at, mode, flags]: [u64; 4],
    files: &mut Files,
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    let last = last(low(flags))?;
    let path = path(at, world)?;
    if path.is_empty() && low(flags) & AT_EMPTY_PATH != 0 {
        return mode_of(int(descriptor), low(mode), files, world);
    }
    let found = find(files, int(descriptor), &path, last)?;
    set_mode(&found, low(mode), files, world)
}

fn set_mode(
    found: &Found,
    mode: u32,
    files: &mut Files,
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    let ground = &mut tree_mut(files)?.ground;
    change_mode(ground, found.there()?, mode, now(world))?;
    Ok(0)
}

fn mode_of(
    descriptor: i32,
    mode: u32,
    files: &mut Files,
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    let opened = match &files.get(descriptor)?.object {
        Object::Opened(opened) => opened.clone(),
        Object::Memory(_) => return Ok(0),
        _ => return Err(Errno::EPERM),
    };
    match opened.content {
        Content::Host(file) => {
            file.set_mode(mode)?;
            Ok(0)
        }
        Content::Node(id, mount) => {
            let ground = &mut tree_mut(files)?.ground;
            let step = ground.step_to(id, mount);
            change_mode(ground, &step, mode, now(world))?;
            Ok(0)
        }
        _ => {
            let found = find(files, AT_FDCWD, &opened.path, Last::Stay)?;
            set_mode(&found, mode, files, world)
        }
    }
}

fn owner(
    [descriptor, at, user, group, flags]: [u64; 5],
    files: &Files,
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    let last = last(low(flags))?;
    let path = path(at, world)?;
    if path.is_empty() && low(flags) & AT_EMPTY_PATH != 0 {
        files.get(int(descriptor))?;
        return owned(user, group);
    }
    let found = find(files, int(descriptor), &path, last)?;
    if found.there()?.read_only {
        return Err(Errno::EROFS);
    }
    tree(files)?;
    owned(user, group)
}

/// Everything is the program's own, and stays that.
fn owned(user: u64, group: u64) -> Result<u64, Errno> {
    let keeps = |id: u64, own: u32| [own, u32::MAX].contains(&low(id));
    if keeps(user, USER) && keeps(group, GROUP) {
        Ok(0)
    } else {
        Err(Errno::EPERM)
    }
}
