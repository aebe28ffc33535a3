//! The timer that sends `SIGALRM`: `alarm`, `setitimer` and `getitimer` of `ITIMER_REAL`.

use std::time::Duration;

use linux_raw_sys::general::{
    __NR_alarm, __NR_getitimer, __NR_setitimer, ITIMER_REAL, SI_KERNEL, SIGALRM,
};

use super::pending::Sent;
use super::state::{Signals, Timer};
use crate::calls::world::{Clock, World, low};
use crate::errno::Errno;

const MICROSECONDS: u64 = 1_000_000;

/// Whether a call sets it, so that a host whose time it is has to know of it.
pub fn is_set_by(number: u64) -> bool {
    [__NR_alarm, __NR_setitimer].contains(&low(number))
}

fn now(world: &mut World<'_>) -> Duration {
    let (seconds, nanoseconds) = world.host.now(Clock::Monotonic);
    Duration::new(seconds.max(0).cast_unsigned(), nanoseconds)
}

/// How long until it sends its signal, which is sent if that is over.
pub fn look(signals: &mut Signals, world: &mut World<'_>) -> Option<Duration> {
    let due = signals.timer.due?;
    let now = now(world);
    if now < due {
        return Some(due - now);
    }
    let every = signals.timer.every;
    // What was missed is missed.
    signals.timer.due = (!every.is_zero()).then(|| now.saturating_add(every));
    // It comes once, and so never too often.
    let _ = signals.send(Sent {
        signal: SIGALRM,
        code: SI_KERNEL.cast_signed(),
        details: [0; 2],
    });
    signals.timer.due.map(|_| every)
}

/// Answers a call of this subject.
pub fn answer(
    signals: &mut Signals,
    number: u32,
    [a, b, c, ..]: [u64; 6],
    world: &mut World<'_>,
) -> Option<Result<u64, Errno>> {
    match number {
        __NR_alarm => Some(Ok(alarm(signals, low(a), world))),
        __NR_setitimer if low(a) == ITIMER_REAL => Some(set(signals, b, c, world)),
        __NR_getitimer if low(a) == ITIMER_REAL => {
            let left = look(signals, world);
            let record = record(left, signals.timer.every);
            Some(world.write(b, &record).map(|()| 0))
        }
        _ => None,
    }
}

/// Returns the seconds that were left, at least one if there was anything.
fn alarm(signals: &mut Signals, seconds: u32, world: &mut World<'_>) -> u64 {
    let left = look(signals, world).unwrap_or_default();
    let wanted = Duration::from_secs(seconds.into());
    signals.timer = Timer {
        due: (seconds > 0).then(|| now(world).saturating_add(wanted)),
        every: Duration::ZERO,
    };
    let rounded = left.as_secs() + u64::from(left.subsec_millis() >= 500);
    rounded.max(u64::from(!left.is_zero()))
}

fn set(signals: &mut Signals, new: u64, old: u64, world: &mut World<'_>) -> Result<u64, Errno> {
    let words = match new {
        0 => [0; 4],
        _ => world.words::<4>(new)?,
    };
    let [every, first] = [[words[0], words[1]], [words[2], words[3]]].map(|[seconds, part]| {
        let is_time = seconds.cast_signed() >= 0 && part < MICROSECONDS;
        let time = Duration::from_secs(seconds);
        is_time.then(|| time.saturating_add(Duration::from_micros(part)))
    });
    let (every, first) = every.zip(first).ok_or(Errno::EINVAL)?;
    let left = look(signals, world);
    let before = record(left, signals.timer.every);
    world.write_optional(old, &before)?;
    signals.timer = Timer {
        due: (!first.is_zero()).then(|| now(world).saturating_add(first)),
        every,
    };
    Ok(0)
}

/// `struct itimerval`: the interval, then what is left.
fn record(left: Option<Duration>, every: Duration) -> [u8; 32] {
    let mut bytes = [0; 32];
    let left = left.unwrap_or_default();
    let words = [every, left].map(|time| [time.as_secs(), time.subsec_micros().into()]);
    for (to, word) in bytes.chunks_exact_mut(8).zip(words.as_flattened()) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}
