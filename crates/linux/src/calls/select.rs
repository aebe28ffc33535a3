//! `select`, `pselect6`: three sets of descriptors, a bit for each.

use linux_raw_sys::general::{__NR_pselect6, __NR_select, POLLERR, POLLHUP, POLLNVAL, POLLPRI};

use super::poll::{Patience, READABLE, WRITABLE, events};
use super::signals::{self, Signals};
use super::world::{Answer, World, int};
use crate::errno::Errno;
use crate::files::Files;
use crate::limits::DESCRIPTORS;

/// What is in a set, by what `poll` says of it (`fs/select.c`): read, write, exceptional.
const SHOWN: [u32; 3] = [READABLE | POLLHUP | POLLERR, WRITABLE | POLLERR, POLLPRI];
/// Bits of a set come in words.
const WORD_BITS: usize = 64;

/// Answers a call of this subject.
pub fn answer(
    number: u32,
    [count, read, write, exceptional, time, mask]: [u64; 6],
    files: &Files,
    signals: Option<&mut Signals>,
    world: &mut World<'_>,
) -> Option<Answer> {
    let nanoseconds = match number {
        __NR_select => false,
        __NR_pselect6 => true,
        _ => return None,
    };
    let answer = patience(time, nanoseconds, world).and_then(|patience| {
        let mask = match mask {
            0 => [0; 2],
            at if nanoseconds => world.words(at)?,
            _ => [0; 2],
        };
        let sets = [read, write, exceptional];
        signals::while_open(signals, mask, world, |world| {
            let answer = select(int(count), sets, patience, files, world)?;
            if answer == Answer::Value(0) && patience != Patience::None {
                // All of it has passed. What cannot be written there is no error to Linux either.
                let _ = world.write_optional(time, &[0; 16]);
            }
            Ok(answer)
        })
    });
    Some(answer.into())
}

/// Of a `timespec` or, in microseconds, a `timeval`, which may have more than a second of them.
fn patience(at: u64, nanoseconds: bool, world: &mut World<'_>) -> Result<Patience, Errno> {
    if at == 0 {
        return Ok(Patience::Endless);
    }
    let [seconds, part] = world.words(at)?;
    if nanoseconds {
        return Patience::of([seconds, part]);
    }
    if part.cast_signed() < 0 {
        return Err(Errno::EINVAL);
    }
    Patience::of([
        seconds.wrapping_add(part / 1_000_000),
        part % 1_000_000 * 1000,
    ])
}

fn select(
    count: i32,
    places: [u64; 3],
    patience: Patience,
    files: &Files,
    world: &mut World<'_>,
) -> Result<Answer, Errno> {
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
    let count = count.min(DESCRIPTORS);
    let mut sets = [const { Vec::new() }; 3];
    for (set, at) in sets.iter_mut().zip(places) {
        *set = vec![0; count.div_ceil(WORD_BITS) * size_of::<u64>()];
        if at != 0 {
            world.read(at, set)?;
        }
    }
    let (mut ready, mut is_hosts) = (0, false);
    for descriptor in 0..count {
        let (byte, bit) = (descriptor / 8, 1 << (descriptor % 8));
        let asked = sets.each_ref().map(|set| set[byte] & bit != 0);
        if asked == [false; 3] {
            continue;
        }
        let found = events(i32::try_from(descriptor).unwrap_or(-1), files);
        if found == Some(POLLNVAL) {
            return Err(Errno::EBADF);
        }
        let shown = SHOWN.map(|shown| found.unwrap_or(WRITABLE) & shown != 0);
        // Whether the host has something to read, only the host knows.
        is_hosts |= found.is_none() && asked[0];
        for ((set, asked), shown) in sets.iter_mut().zip(asked).zip(shown) {
            if asked && shown {
                ready += 1;
            } else {
                set[byte] &= !bit;
            }
        }
    }
    if ready == 0 && !patience.ends(is_hosts, world) {
        return Ok(Answer::Ask);
    }
    for (set, at) in sets.iter().zip(places) {
        world.write_optional(at, set)?;
    }
    Ok(Answer::Value(ready))
}
