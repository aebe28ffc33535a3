//! The processor's time-stamp counter as a clock; the kernel's costs four times as much to read.
#![allow(unsafe_code)]

use std::arch::x86_64::{__cpuid, _rdtsc};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long the counter is measured, once per process: two readings of both clocks differ by less
/// than 100 ns, so the rate is right to a few millionths.
const MEASURED: Duration = Duration::from_millis(10);

/// Readings of both clocks, of which the closest counts.
const TRIES: u32 = 8;

/// Seconds and nanoseconds of a clock of the kernel's (`clock_gettime(2)`); zeros if there is none.
pub(crate) fn kernel_time(clock: libc::clockid_t) -> (i64, u32) {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes to the struct, which is ours.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    (time.tv_sec, time.tv_nsec as u32)
}

/// Counts at a rate that does not change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// The counter stops and changes its rate on this processor, so the kernel's clock is read.
    is_kernels: bool,
    /// When it began, if it is the kernel's.
    began: Instant,
    ns_per_tick: f64,
}

impl Clock {
    /// That of this process; the first call takes [`MEASURED`].
    pub fn get() -> Self {
        static CLOCK: OnceLock<Clock> = OnceLock::new();
        *CLOCK.get_or_init(Self::measure)
    }

    fn measure() -> Self {
        let began = Instant::now();
        if !is_invariant() {
            return Self {
                is_kernels: true,
                began,
                ns_per_tick: 1.0,
            };
        }
        let (first, start) = both();
        while start.elapsed() < MEASURED {
            std::hint::spin_loop();
        }
        let (last, end) = both();
        let ns = end.duration_since(start).as_nanos() as f64;
        Self {
            is_kernels: false,
            began,
            ns_per_tick: ns / last.wrapping_sub(first).max(1) as f64,
        }
    }

    /// Ticks so far, never 0.
    pub fn ticks(&self) -> u64 {
        if self.is_kernels {
            return self.began.elapsed().as_nanos() as u64 | 1;
        }
        counter() | 1
    }

    /// So many ticks in nanoseconds.
    pub fn ns(&self, ticks: u64) -> u64 {
        (ticks as f64 * self.ns_per_tick) as u64
    }
}

fn counter() -> u64 {
    // SAFETY: every x86-64 processor has it.
    unsafe { _rdtsc() }
}

/// Whether the counter runs at one rate in all states (Intel SDM vol. 2A, CPUID leaf 0x80000007).
fn is_invariant() -> bool {
    const LEAF: u32 = 0x8000_0007;
    __cpuid(0x8000_0000).eax >= LEAF && __cpuid(LEAF).edx & 1 << 8 != 0
}

/// One moment on both clocks.
fn both() -> (u64, Instant) {
    let read = || {
        let before = counter();
        let now = Instant::now();
        let after = counter();
        (after.wrapping_sub(before), before, now)
    };
    let (width, before, now) = (0..TRIES).map(|_| read()).min().unwrap_or_else(read);
    (before.wrapping_add(width / 2), now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_the_kernels_clock() {
        let clock = Clock::get();
        let measure = || {
            let (ticks, start) = (clock.ticks(), Instant::now());
            std::thread::sleep(Duration::from_millis(50));
            let ns = clock.ns(clock.ticks() - ticks) as f64;
            ns / start.elapsed().as_nanos() as f64
        };
        // Time may pass between a look at one and at the other.
        let mut ratios = Vec::new();
        let agrees = (0..50).any(|_| {
            ratios.push(measure());
            ratios
                .last()
                .is_some_and(|ratio| (ratio - 1.0).abs() < 0.02)
        });
        assert!(agrees, "{ratios:?}");
    }
}
