//! Locks on files, of which there is one holder: this program. And descriptors in a row.

use linux_raw_sys::general::{
    __NR_close_range, __NR_fcntl, __NR_flock, F_GETLK, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW,
    F_RDLCK, F_SETLK, F_SETLKW, F_UNLCK, F_WRLCK, LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, O_ACCMODE,
    O_RDONLY, O_WRONLY,
};

use super::world::{Answer, World, int, low};
use crate::errno::Errno;
use crate::files::{Files, Object};
use crate::limits::DESCRIPTORS;

/// `linux/close_range.h`, which the headers of the crate leave out: a table of its own.
const CLOSE_RANGE_UNSHARE: u32 = 1 << 1;
/// See [`CLOSE_RANGE_UNSHARE`]: they are closed by `exec`.
const CLOSE_RANGE_CLOEXEC: u32 = 1 << 2;

/// Answers a call of this subject.
pub fn answer(
    number: u32,
    [a, b, c, ..]: [u64; 6],
    files: &mut Files,
    world: &mut World<'_>,
) -> Option<Answer> {
    let is_hosts = |descriptor: u64| {
        let found = files.get(int(descriptor));
        found.is_ok_and(|found| matches!(found.object, Object::Host(_)))
    };
    let result = match number {
        __NR_flock | __NR_fcntl if is_hosts(a) => return None,
        __NR_flock => flock(int(a), low(b), files),
        __NR_fcntl => match low(b) {
            F_GETLK | F_OFD_GETLK => lock(int(a), c, true, files, world),
            F_SETLK | F_SETLKW | F_OFD_SETLK | F_OFD_SETLKW => lock(int(a), c, false, files, world),
            _ => return None,
        },
        __NR_close_range => close_range([low(a), low(b), low(c)], files),
        _ => return None,
    };
    Some(result.into())
}

fn flock(descriptor: i32, operation: u32, files: &Files) -> Result<u64, Errno> {
    files.get(descriptor)?;
    match operation & !LOCK_NB {
        LOCK_SH | LOCK_EX | LOCK_UN => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

/// `struct flock`: its type is its first half word, the rest says which bytes.
fn lock(
    descriptor: i32,
    at: u64,
    asks: bool,
    files: &Files,
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    let description = files.get(descriptor)?;
    let is_file = matches!(description.object, Object::Opened(_) | Object::Memory(_));
    let access = description.flags & O_ACCMODE;
    let mut record = [0; 32];
    world.read(at, &mut record)?;
    let [low, high, ..] = record;
    let kind = u32::from(u16::from_le_bytes([low, high]));
    let is_open = match kind {
        F_RDLCK => access != O_WRONLY,
        F_WRLCK => access != O_RDONLY,
        F_UNLCK if !asks => true,
        _ => return Err(Errno::EINVAL),
    };
    if !is_file {
        return Err(Errno::EINVAL);
    }
    if asks {
        // There is no other one that would hold it.
        let [low, high, ..] = F_UNLCK.to_le_bytes();
        return world.write(at, &[low, high]).map(|()| 0);
    }
    if is_open { Ok(0) } else { Err(Errno::EBADF) }
}

fn close_range([first, last, flags]: [u32; 3], files: &mut Files) -> Result<u64, Errno> {
    if first > last || flags & !(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE) != 0 {
        return Err(Errno::EINVAL);
    }
    let most = u32::try_from(DESCRIPTORS).unwrap_or(u32::MAX);
    for number in first..last.saturating_add(1).min(most) {
        let Ok(number) = i32::try_from(number) else {
            break;
        };
        // What is not open stays so.
        let _ = match flags & CLOSE_RANGE_CLOEXEC {
            0 => files.close(number),
            _ => files.set_close_on_exec(number, true),
        };
    }
    Ok(0)
}
