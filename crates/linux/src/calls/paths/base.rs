//! What a path in a program's memory leads to.

use linux_raw_sys::general::AT_FDCWD;

use crate::calls::world::World;
use crate::errno::Errno;
use crate::files::{Files, Object};
use crate::limits::PATH_BYTES;
use crate::tree::{Content, Found, Last, Time, Tree};

/// The tree, which there is where paths are looked at.
pub fn tree(files: &Files) -> Result<&Tree, Errno> {
    files.tree.as_ref().ok_or(Errno::ENOSYS)
}

/// See [`tree`].
pub fn tree_mut(files: &mut Files) -> Result<&mut Tree, Errno> {
    files.tree.as_mut().ok_or(Errno::ENOSYS)
}

/// The time that changes get.
pub fn now(world: &mut World<'_>) -> Time {
    world.host.now(crate::calls::world::Clock::Realtime)
}

/// A path in the program's memory.
pub fn path(at: u64, world: &mut World<'_>) -> Result<Vec<u8>, Errno> {
    world.string(at, PATH_BYTES - 1)
}

/// Where a path that is relative to a descriptor begins.
fn start(files: &Files, descriptor: i32, path: &[u8]) -> Result<Vec<u8>, Errno> {
    if path.first() == Some(&b'/') {
        return Ok(b"/".to_vec());
    }
    if descriptor == AT_FDCWD {
        return Ok(tree(files)?.ground.directory.clone());
    }
    match &files.get(descriptor)?.object {
        Object::Opened(opened) if matches!(opened.content, Content::Directory(_)) => {
            Ok(opened.path.clone())
        }
        _ => Err(Errno::ENOTDIR),
    }
}

/// Where a path leads that is relative to a descriptor, or to `AT_FDCWD`.
pub fn find(files: &Files, descriptor: i32, path: &[u8], last: Last) -> Result<Found, Errno> {
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    let from = start(files, descriptor, path)?;
    tree(files)?.walk(files, &from, path, last)
}

/// As [`find`], of a path in the program's memory.
pub fn find_at(
    files: &Files,
    (descriptor, at): (i32, u64),
    last: Last,
    world: &mut World<'_>,
) -> Result<Found, Errno> {
    let path = path(at, world)?;
    find(files, descriptor, &path, last)
}
