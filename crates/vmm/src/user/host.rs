//! What a program's system calls reach of the machine.

use std::fs::File;
use std::io::Read;
use std::time::Duration;

use linux::{Clock, HostFacts, Memory};

use crate::kvm::host::clock;
use crate::kvm::memory::GuestMemory;

impl Memory for GuestMemory {
    fn read(&self, gpa: u64, bytes: &mut [u8]) -> bool {
        Self::read(self, gpa, bytes).is_ok()
    }

    fn write(&self, gpa: u64, bytes: &[u8]) -> bool {
        Self::write(self, gpa, bytes).is_ok()
    }
}

/// Nanoseconds of a second, and of a look at a fixed clock: time that never passed would keep
/// loops that wait for it.
const SECOND: i128 = 1_000_000_000;
const LOOK: i128 = 1000;

/// Time and chance, the host's or a program's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    clock: Option<FixedClock>,
    chance: Option<SplitMix64>,
}

impl Facts {
    /// With a clock that stands at so many milliseconds since 1970, and chance that begins with a
    /// seed.
    pub fn new(clock: Option<i64>, seed: Option<u64>) -> Self {
        Self {
            clock: clock.map(|milliseconds| FixedClock {
                realtime: i128::from(milliseconds) * 1_000_000,
                slept: 0,
                looks: 0,
            }),
            chance: seed.map(SplitMix64),
        }
    }
}

impl HostFacts for Facts {
    fn now(&mut self, clock: Clock) -> (i64, u32) {
        if let Some(fixed) = &mut self.clock {
            return fixed.now(clock);
        }
        clock::kernel_time(match clock {
            Clock::Realtime => libc::CLOCK_REALTIME,
            Clock::Monotonic => libc::CLOCK_MONOTONIC,
            Clock::Processor => libc::CLOCK_THREAD_CPUTIME_ID,
        })
    }

    fn random(&mut self, bytes: &mut [u8]) {
        if let Some(chance) = &mut self.chance {
            for piece in bytes.chunks_mut(size_of::<u64>()) {
                let word = chance.next().to_le_bytes();
                piece.iter_mut().zip(word).for_each(|(to, from)| *to = from);
            }
            return;
        }
        // A host without it has no chance; zeros are then as good as any.
        let _ = File::open("/dev/urandom").and_then(|mut file| file.read_exact(bytes));
    }

    fn is_fixed(&self) -> bool {
        self.clock.is_some()
    }

    fn pass(&mut self, time: Duration) {
        if let Some(fixed) = &mut self.clock {
            let nanoseconds = i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
            fixed.slept = fixed.slept.saturating_add(nanoseconds);
        }
    }
}

/// All in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FixedClock {
    /// Since 1970, at the start.
    realtime: i128,
    slept: i128,
    /// What looks at it have taken.
    looks: i128,
}

impl FixedClock {
    /// The date is the one that was asked for, however often it is looked at; sleep takes nothing
    /// of the processor.
    fn now(&mut self, clock: Clock) -> (i64, u32) {
        let now = match clock {
            Clock::Realtime => self.realtime.saturating_add(self.slept),
            Clock::Monotonic => {
                self.looks += LOOK;
                self.slept.saturating_add(self.looks)
            }
            Clock::Processor => {
                self.looks += LOOK;
                self.looks
            }
        };
        let seconds = i64::try_from(now.div_euclid(SECOND)).unwrap_or(i64::MAX);
        let nanoseconds = u32::try_from(now.rem_euclid(SECOND)).unwrap_or(0);
        (seconds, nanoseconds)
    }
}

/// Steele, Lea, Flood: Fast splittable pseudorandom number generators (OOPSLA 2014), figure 17.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SplitMix64(u64);

impl SplitMix64 {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_clock_stands_at_its_date_and_passes_by_sleep() {
        let mut facts = Facts::new(Some(1_700_000_000_123), None);
        for _ in 0..3 {
            assert_eq!(facts.now(Clock::Realtime), (1_700_000_000, 123_000_000));
        }
        assert_eq!(facts.now(Clock::Monotonic), (0, 1000));
        assert_eq!(facts.now(Clock::Monotonic), (0, 2000));
        facts.pass(Duration::from_millis(1900));
        assert_eq!(facts.now(Clock::Realtime), (1_700_000_002, 23_000_000));
        assert_eq!(facts.now(Clock::Monotonic), (1, 900_003_000));
        assert_eq!(facts.now(Clock::Processor), (0, 4000));
        let mut ancient = Facts::new(Some(-1), None);
        assert_eq!(ancient.now(Clock::Realtime), (-1, 999_000_000));
        facts.pass(Duration::MAX);
        facts.pass(Duration::MAX);
        assert_eq!(facts.now(Clock::Realtime).0, i64::MAX);
    }

    #[test]
    fn a_seed_gives_the_numbers_of_its_generator() {
        // What the authors' splitmix64.c gives for 1234567.
        let mut chance = SplitMix64(1_234_567);
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!([(); 5].map(|()| chance.next()), expected);
        let mut facts = Facts::new(None, Some(1_234_567));
        let mut bytes = [0; 11];
        facts.random(&mut bytes);
        assert_eq!(bytes[..8], expected[0].to_le_bytes());
        assert_eq!(bytes[8..], expected[1].to_le_bytes()[..3]);
    }
}
