//! Sizes, rights and times of files, by path.

use super::changes::{WRITE, may};
use super::ground::Ground;
use super::nodes::{Body, Time};
use super::own::Own;
use super::place::{Place, Step};
use crate::errno::Errno;
use crate::status::{Kind, SetTime};

/// Makes a regular file so large.
///
/// # Errors
/// `EISDIR`, `EINVAL` for what has no size, `EROFS`, `EACCES`, `EFBIG`.
pub fn truncate(ground: &mut Ground, step: &Step, size: u64, now: Time) -> Result<(), Errno> {
    if ground.kind(&step.place)? == Kind::Directory {
        return Err(Errno::EISDIR);
    }
    may(ground, step, WRITE)?;
    match &step.place {
        Place::Node(id) => ground.nodes.resize(*id, size, now),
        Place::Host(place) => place.truncate(size),
        Place::Own(_) => Err(Errno::EINVAL),
    }
}

fn changeable(step: &Step) -> Result<(), Errno> {
    match &step.place {
        Place::Own(Own::Hollow) => Err(Errno::EROFS),
        Place::Own(_) => Err(Errno::EPERM),
        _ if step.read_only => Err(Errno::EROFS),
        _ => Ok(()),
    }
}

/// Sets the permission bits.
///
/// # Errors
/// `EROFS`, `EPERM` for the engine's own files, `EOPNOTSUPP` for a link.
pub fn change_mode(ground: &mut Ground, step: &Step, mode: u32, now: Time) -> Result<(), Errno> {
    changeable(step)?;
    match &step.place {
        Place::Node(id) => {
            let node = ground.nodes.get_mut(*id)?;
            if matches!(node.body, Body::Link(_)) {
                return Err(Errno::EOPNOTSUPP);
            }
            (node.mode, node.changed) = (mode & 0o7777, now);
            Ok(())
        }
        Place::Host(place) => place.set_mode(mode),
        Place::Own(_) => Err(Errno::EPERM),
    }
}

/// Sets the times of the last access and of the last change.
///
/// # Errors
/// As [`change_mode`].
pub fn change_times(
    ground: &mut Ground,
    step: &Step,
    [accessed, modified]: [SetTime; 2],
    now: Time,
) -> Result<(), Errno> {
    changeable(step)?;
    let time = |set: SetTime, old: Time| match set {
        SetTime::Keep => old,
        SetTime::Now => now,
        SetTime::At(seconds, nanoseconds) => (seconds, nanoseconds),
    };
    match &step.place {
        Place::Node(id) => {
            let node = ground.nodes.get_mut(*id)?;
            node.accessed = time(accessed, node.accessed);
            node.modified = time(modified, node.modified);
            node.changed = now;
            Ok(())
        }
        Place::Host(place) => place.set_times(accessed, modified),
        Place::Own(_) => Err(Errno::EPERM),
    }
}
