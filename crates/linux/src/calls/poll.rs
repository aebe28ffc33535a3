//! Which descriptors are ready: `poll`, `ppoll`.

use std::time::Duration;

use linux_raw_sys::general::{
    __NR_poll, __NR_ppoll, POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLRDNORM, POLLWRNORM,
};

use super::signals::{self, Signals};
use super::time::duration;
use super::world::{Answer, World, int};
use crate::errno::Errno;
use crate::files::{Files, Object};
use crate::limits::DESCRIPTORS;

/// `struct pollfd`: the descriptor, what is asked for, what is.
const ENTRY: usize = 8;
pub(super) const READABLE: u32 = POLLIN | POLLRDNORM;
pub(super) const WRITABLE: u32 = POLLOUT | POLLWRNORM;

/// How long may be waited.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    None,
    Some(Duration),
    Endless,
}

impl Patience {
    /// Of the words of a `timespec`.
    pub(super) fn of([seconds, nanoseconds]: [u64; 2]) -> Result<Self, Errno> {
        match duration(seconds, nanoseconds)? {
            Duration::ZERO => Ok(Self::None),
            time => Ok(Self::Some(time)),
        }
    }

    /// Whether a call that has found nothing ready is over: it was given no time, or time of the
    /// program's own, which has passed. Otherwise the host waits.
    pub(super) fn ends(self, is_hosts: bool, world: &mut World<'_>) -> bool {
        match self {
            Self::None => !is_hosts,
            // Nothing of the program's own changes while it waits.
            Self::Some(time) if world.host.is_fixed() && !is_hosts => {
                world.host.pass(time);
                true
            }
            Self::Some(_) | Self::Endless => false,
        }
    }
}

/// Answers a call of this subject. A program without signals has none to open to.
pub fn answer(
    number: u32,
    [at, count, time, mask, bytes, _]: [u64; 6],
    files: &Files,
    signals: Option<&mut Signals>,
    world: &mut World<'_>,
) -> Option<Answer> {
    let (patience, mask) = match number {
        __NR_poll => (Ok(milliseconds(int(time))), 0),
        __NR_ppoll if time == 0 => (Ok(Patience::Endless), mask),
        __NR_ppoll => (world.words(time).and_then(Patience::of), mask),
        _ => return None,
    };
    let answer = patience.and_then(|patience| {
        signals::while_open(signals, [mask, bytes], world, |world| {
            poll(at, count, patience, files, world)
        })
    });
    Some(answer.into())
}

fn milliseconds(time: i32) -> Patience {
    match u64::try_from(time) {
        Ok(0) => Patience::None,
        Ok(time) => Patience::Some(Duration::from_millis(time)),
        Err(_) => Patience::Endless,
    }
}

fn poll(
    at: u64,
    count: u64,
    patience: Patience,
    files: &Files,
    world: &mut World<'_>,
) -> Result<Answer, Errno> {
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
    if count > DESCRIPTORS {
        return Err(Errno::EINVAL);
    }
    let mut entries = vec![0; count * ENTRY];
    world.read(at, &mut entries)?;
    let (mut ready, mut is_hosts) = (0, false);
    for entry in entries.chunks_exact_mut(ENTRY) {
        let descriptor = i32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]);
        let asked = u32::from(u16::from_le_bytes([entry[4], entry[5]]));
        let found = match descriptor {
            0.. => events(descriptor, files),
            _ => Some(0),
        };
        let told = asked | POLLERR | POLLHUP | POLLNVAL;
        let shown = found.unwrap_or(WRITABLE) & told;
        // Whether the host has something to read, only the host knows.
        is_hosts |= found.is_none() && asked & READABLE != 0 && shown == 0;
        ready += u64::from(shown != 0);
        entry[6..].copy_from_slice(&shown.to_le_bytes()[..2]);
    }
    if ready == 0 && !patience.ends(is_hosts, world) {
        return Ok(Answer::Ask);
    }
    world.write(at, &entries)?;
    Ok(Answer::Value(ready))
}

/// What can be done at once; `None` if the host knows.
pub(super) fn events(descriptor: i32, files: &Files) -> Option<u32> {
    let Ok(description) = files.get(descriptor) else {
        return Some(POLLNVAL);
    };
    let object = &description.object;
    let (waiting, room, is_open) = match object {
        Object::Host(_) => return None,
        Object::Memory(_) | Object::Opened(_) => return Some(READABLE | WRITABLE),
        Object::Reader(_) | Object::Writer(_) => files.pipe_state(object)?,
    };
    let is_reader = matches!(object, Object::Reader(_));
    let can = match is_reader {
        true if waiting > 0 => READABLE,
        false if room > 0 => WRITABLE,
        _ => 0,
    };
    let over = match (is_open, is_reader) {
        (true, _) => 0,
        (false, true) => POLLHUP,
        (false, false) => POLLERR,
    };
    Some(can | over)
}
