//! Time: clocks, and what has been used of the processor.

use std::time::Duration;

use linux_raw_sys::general::{
    __NR_clock_getres, __NR_clock_gettime, __NR_clock_nanosleep, __NR_getrusage, __NR_gettimeofday,
    __NR_nanosleep, __NR_time, __NR_times, __kernel_timespec, CLOCK_BOOTTIME, CLOCK_MONOTONIC,
    CLOCK_MONOTONIC_COARSE, CLOCK_MONOTONIC_RAW, CLOCK_PROCESS_CPUTIME_ID, CLOCK_REALTIME,
    CLOCK_REALTIME_COARSE, CLOCK_TAI, CLOCK_THREAD_CPUTIME_ID, RUSAGE_CHILDREN, RUSAGE_SELF,
    RUSAGE_THREAD, TIMER_ABSTIME, rusage, timeval, timezone,
};

use super::record::record;
use super::world::{Answer, Clock, World, int, low};
use crate::errno::Errno;
use crate::limits::CLOCK_TICKS;

/// Answers a call of this subject.
pub fn answer(number: u32, [a, b, c, ..]: [u64; 6], world: &mut World<'_>) -> Option<Answer> {
    let result = match number {
        __NR_clock_gettime => clock(a).and_then(|clock| {
            let now = world.host.now(clock);
            world.write(b, &timespec(now))
        }),
        __NR_clock_getres => clock(a).and_then(|_| world.write_optional(b, &timespec((0, 1)))),
        __NR_gettimeofday => time_of_day(a, b, world),
        __NR_time => return Some(time(a, world).into()),
        __NR_times => return Some(times(a, world).into()),
        __NR_getrusage => usage(int(a), b, world),
        __NR_nanosleep if world.host.is_fixed() => sleep(Clock::Monotonic, 0, a, world),
        __NR_clock_nanosleep if world.host.is_fixed() => {
            clock(a).and_then(|clock| sleep(clock, low(b), c, world))
        }
        _ => return None,
    };
    Some(result.map(|()| 0).into())
}

fn clock(id: u64) -> Result<Clock, Errno> {
    match low(id) {
        CLOCK_REALTIME | CLOCK_REALTIME_COARSE | CLOCK_TAI => Ok(Clock::Realtime),
        CLOCK_MONOTONIC | CLOCK_MONOTONIC_RAW | CLOCK_MONOTONIC_COARSE | CLOCK_BOOTTIME => {
            Ok(Clock::Monotonic)
        }
        CLOCK_PROCESS_CPUTIME_ID | CLOCK_THREAD_CPUTIME_ID => Ok(Clock::Processor),
        _ => Err(Errno::EINVAL),
    }
}

/// Time that is the program's own passes at once.
fn sleep(clock: Clock, flags: u32, at: u64, world: &mut World<'_>) -> Result<(), Errno> {
    let [seconds, nanoseconds] = world.words(at)?;
    let wanted = duration(seconds, nanoseconds)?;
    pass(clock, flags & TIMER_ABSTIME != 0, wanted, world);
    Ok(())
}

/// Time that is the program's own passes: so much, or until then.
pub fn pass(clock: Clock, is_absolute: bool, wanted: Duration, world: &mut World<'_>) {
    let mut time = wanted;
    if is_absolute {
        let (seconds, nanoseconds) = world.host.now(clock);
        // Before 1970 there is no time that could be waited for.
        let now = duration(seconds.cast_unsigned(), nanoseconds.into());
        time = wanted.saturating_sub(now.unwrap_or_default());
    }
    world.host.pass(time);
}

/// The words of a `timespec`.
pub fn duration(seconds: u64, nanoseconds: u64) -> Result<Duration, Errno> {
    if seconds.cast_signed() < 0 {
        return Err(Errno::EINVAL);
    }
    match u32::try_from(nanoseconds) {
        Ok(nanoseconds) if nanoseconds < 1_000_000_000 => Ok(Duration::new(seconds, nanoseconds)),
        _ => Err(Errno::EINVAL),
    }
}

fn timespec((seconds, nanoseconds): (i64, u32)) -> [u8; size_of::<__kernel_timespec>()] {
    record!(__kernel_timespec {
        tv_sec: seconds,
        tv_nsec: i64::from(nanoseconds)
    })
}

fn time_of_day(at: u64, zone: u64, world: &mut World<'_>) -> Result<(), Errno> {
    let (seconds, nanoseconds) = world.host.now(Clock::Realtime);
    let now = record!(timeval {
        tv_sec: seconds,
        tv_usec: i64::from(nanoseconds / 1000)
    });
    world.write_optional(at, &now)?;
    // Greenwich, without summer time.
    world.write_optional(zone, &[0; size_of::<timezone>()])
}

fn time(at: u64, world: &mut World<'_>) -> Result<u64, Errno> {
    let (seconds, _) = world.host.now(Clock::Realtime);
    world.write_optional(at, &seconds.to_le_bytes())?;
    Ok(seconds.cast_unsigned())
}

fn ticks((seconds, nanoseconds): (i64, u32)) -> u64 {
    let nanoseconds_of_tick = 1_000_000_000 / CLOCK_TICKS;
    seconds
        .cast_unsigned()
        .wrapping_mul(CLOCK_TICKS)
        .wrapping_add(u64::from(nanoseconds) / nanoseconds_of_tick)
}

/// `struct tms` is four words: of the program, of the kernel, and both of its children.
fn times(at: u64, world: &mut World<'_>) -> Result<u64, Errno> {
    let mut record = [0; 32];
    record[..8].copy_from_slice(&ticks(world.host.now(Clock::Processor)).to_le_bytes());
    world.write_optional(at, &record)?;
    Ok(ticks(world.host.now(Clock::Monotonic)))
}

fn usage(of: i32, at: u64, world: &mut World<'_>) -> Result<(), Errno> {
    let (seconds, nanoseconds) = match of {
        RUSAGE_CHILDREN => (0, 0),
        _ if [RUSAGE_SELF, RUSAGE_THREAD].contains(&of.cast_unsigned()) => {
            world.host.now(Clock::Processor)
        }
        _ => return Err(Errno::EINVAL),
    };
    let used = record!(rusage {
        ru_utime.tv_sec: seconds,
        ru_utime.tv_usec: i64::from(nanoseconds / 1000),
    });
    world.write(at, &used)
}
