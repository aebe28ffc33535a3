//! Times of files: `utimensat` and the older ones.

use linux_raw_sys::general::{
    __NR_futimesat, __NR_utime, __NR_utimensat, __NR_utimes, AT_EMPTY_PATH, AT_FDCWD,
    AT_SYMLINK_NOFOLLOW, UTIME_NOW, UTIME_OMIT,
};

use super::base::{find, now, path, tree_mut};
use crate::calls::world::{Answer, World, int, low};
use crate::errno::Errno;
use crate::files::{Files, Object};
use crate::status::SetTime;
use crate::tree::{Content, Last, change_times};

/// The current directory, as an argument says it.
const HERE: u64 = AT_FDCWD.cast_unsigned() as u64;
const BILLION: u64 = 1_000_000_000;

/// How times are given.
#[derive(Clone, Copy)]
enum Form {
    Seconds,
    Microseconds,
    Nanoseconds,
}

/// Answers a call of this subject.
pub fn answer(
    number: u32,
    [a, b, c, d, ..]: [u64; 6],
    files: &mut Files,
    world: &mut World<'_>,
) -> Option<Answer> {
    let result = match number {
        __NR_utime => set([HERE, a, b, 0], Form::Seconds, files, world),
        __NR_utimes => set([HERE, a, b, 0], Form::Microseconds, files, world),
        __NR_futimesat => set([a, b, c, 0], Form::Microseconds, files, world),
        __NR_utimensat => set([a, b, c, d], Form::Nanoseconds, files, world),
        _ => return None,
    };
    Some(result.into())
}

fn times(at: u64, form: Form, world: &mut World<'_>) -> Result<[SetTime; 2], Errno> {
    if at == 0 {
        return Ok([SetTime::Now; 2]);
    }
    let pairs = match form {
        Form::Seconds => world.words::<2>(at)?.map(|seconds| (seconds, 0)),
        _ => {
            let [one, part, other, rest] = world.words::<4>(at)?;
            [(one, part), (other, rest)]
        }
    };
    let special = |part: u64, value: i64| i64::try_from(part).is_ok_and(|part| part == value);
    let mut times = [SetTime::Keep; 2];
    for (time, (seconds, part)) in times.iter_mut().zip(pairs) {
        *time = match form {
            Form::Nanoseconds if special(part, UTIME_NOW.into()) => SetTime::Now,
            Form::Nanoseconds if special(part, UTIME_OMIT.into()) => SetTime::Keep,
            _ => {
                let scale = match form {
                    Form::Microseconds => 1000,
                    _ => 1,
                };
                let nanoseconds = part.checked_mul(scale).filter(|part| *part < BILLION);
                SetTime::At(
                    seconds.cast_signed(),
                    low(nanoseconds.ok_or(Errno::EINVAL)?),
                )
            }
        };
    }
    Ok(times)
}

fn set(
    [descriptor, at, times_at, flags]: [u64; 4],
    form: Form,
    files: &mut Files,
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    let wanted = times(times_at, form, world)?;
    let last = match low(flags) & !AT_EMPTY_PATH {
        0 => Last::Follow,
        AT_SYMLINK_NOFOLLOW => Last::Stay,
        _ => return Err(Errno::EINVAL),
    };
    let is_own = at == 0;
    let path = if is_own { Vec::new() } else { path(at, world)? };
    let now = now(world);
    if !is_own && (!path.is_empty() || low(flags) & AT_EMPTY_PATH == 0) {
        let found = find(files, int(descriptor), &path, last)?;
        change_times(&mut tree_mut(files)?.ground, found.there()?, wanted, now)?;
        return Ok(0);
    }
    let opened = match &files.get(int(descriptor))?.object {
        Object::Opened(opened) => opened.clone(),
        Object::Memory(_) => return Ok(0),
        _ => return Err(Errno::EPERM),
    };
    match opened.content {
        Content::Host(file) => file.set_times(wanted[0], wanted[1])?,
        Content::Node(id, mount) => {
            let ground = &mut tree_mut(files)?.ground;
            let step = ground.step_to(id, mount);
            change_times(ground, &step, wanted, now)?;
        }
        _ => {
            let found = find(files, AT_FDCWD, &opened.path, Last::Stay)?;
            change_times(&mut tree_mut(files)?.ground, found.there()?, wanted, now)?;
        }
    }
    Ok(0)
}
