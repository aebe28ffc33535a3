//! The battery-backed clock and memory of a PC: Motorola's MC146818 and the bytes after it.

use std::ops::Range;
use std::time::Duration;

use std::sync::Arc;

use crate::device::{
    Clock, Context, Device, PowerRequest, State, SystemClock, read_bytes, write_bytes,
};

const INDEX: u8 = 0;
const DATA: u8 = 1;

/// The index port's bit 7 masks NMIs and addresses nothing.
const INDEX_MASK: u8 = 0x7f;

/// Registers (MC146818 data sheet, "Address map"; the century and the memory sizes are IBM's and
/// Bochs').
mod register {
    pub const SECONDS: u8 = 0x00;
    pub const MINUTES: u8 = 0x02;
    pub const HOURS: u8 = 0x04;
    pub const WEEKDAY: u8 = 0x06;
    pub const DAY: u8 = 0x07;
    pub const MONTH: u8 = 0x08;
    pub const YEAR: u8 = 0x09;
    pub const STATUS_A: u8 = 0x0a;
    pub const STATUS_B: u8 = 0x0b;
    pub const STATUS_C: u8 = 0x0c;
    pub const STATUS_D: u8 = 0x0d;
    pub const BASE_MEMORY: u8 = 0x15;
    pub const EXTENDED_MEMORY: u8 = 0x17;
    pub const EXTENDED_MEMORY_AGAIN: u8 = 0x30;
    pub const CENTURY: u8 = 0x32;
    pub const MEMORY_ABOVE_16_MIB: u8 = 0x34;
    pub const MEMORY_ABOVE_4_GIB: u8 = 0x5b;
}
use register::*;

/// The divider of a 32,768 Hz crystal and a periodic rate of 1,024 Hz.
const RUNNING: u8 = 0x26;
const UPDATE_IN_PROGRESS: u8 = 0x80;
/// BCD, 24 hours, no interrupt.
const BCD_24_HOURS: u8 = 0x02;
/// The battery is good.
const VALID: u8 = 0x80;

/// How long status A announces and shows an update: 244 µs and 1,984 µs (data sheet, "Update
/// cycle"). Here the registers change at its end.
const UPDATE: Duration = Duration::from_micros(244 + 1_984);

/// The last second that fits four digits of year: 9999-12-31 23:59:59.
const MAX_SECONDS: u64 = 253_402_300_799;

/// The clock at ports 0x70 (offset 0) and 0x71 (offset 1). It shows the time that each read is
/// given, as UTC in BCD; what a guest writes into the clock is ignored. The memory sizes are fixed,
/// other bytes keep what is written.
#[derive(Clone, Debug)]
pub struct Cmos {
    clock: Arc<dyn Clock>,
    state: CmosState,
}

/// The registers of a [`Cmos`], but for the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CmosState {
    /// The register that the data port is for.
    pub index: u8,
    /// The memory, where the clock's registers lie unused.
    pub bytes: [u8; 128],
}

impl Cmos {
    /// A clock whose size registers describe `ram`, the addresses of writable memory.
    pub fn new(ram: &[Range<u64>]) -> Self {
        let mut cmos = Self {
            clock: Arc::new(SystemClock),
            state: CmosState {
                index: STATUS_D,
                bytes: [0; 128],
            },
        };
        let low = contiguous_end(ram, 0);
        let units = |from: u64, unit: u64, max: u64| (low.saturating_sub(from) / unit).min(max);
        let extended = units(1 << 20, 1 << 10, 0xffff);
        cmos.put(BASE_MEMORY, 2, units(0, 1 << 10, 640));
        cmos.put(EXTENDED_MEMORY, 2, extended);
        cmos.put(EXTENDED_MEMORY_AGAIN, 2, extended);
        cmos.put(MEMORY_ABOVE_16_MIB, 2, units(16 << 20, 64 << 10, 0xffff));
        let high = contiguous_end(ram, 1 << 32) - (1 << 32);
        cmos.put(MEMORY_ABOVE_4_GIB, 3, (high >> 16).min(0xff_ffff));
        cmos
    }

    /// The byte at `offset`, at `now` since 1970-01-01 UTC; all ones from the index port, which is
    /// write-only.
    fn read_at(&self, offset: u8, now: Duration) -> u8 {
        if offset != DATA {
            return 0xff;
        }
        match self.state.index {
            STATUS_A if updating(now) => RUNNING | UPDATE_IN_PROGRESS,
            STATUS_A => RUNNING,
            STATUS_B => BCD_24_HOURS,
            STATUS_C => 0,
            STATUS_D => VALID,
            index => Time::at(now)
                .field(index)
                .map_or(self.state.bytes[usize::from(index)], bcd),
        }
    }

    fn put(&mut self, register: u8, bytes: usize, value: u64) {
        let start = usize::from(register);
        self.state.bytes[start..start + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
    }
}

impl Cmos {
    /// The byte at `offset`, at the time of its clock.
    pub fn read(&mut self, offset: u8) -> u8 {
        self.read_at(offset, self.clock.now())
    }

    /// Takes a byte at `offset`.
    pub fn write(&mut self, offset: u8, value: u8) -> Option<PowerRequest> {
        match offset {
            INDEX => self.state.index = value & INDEX_MASK,
            DATA if !is_size(self.state.index) => {
                self.state.bytes[usize::from(self.state.index)] = value
            }
            _ => {}
        }
        None
    }
}

impl Device for Cmos {
    fn attach(&mut self, context: &mut dyn Context) -> Result<(), String> {
        self.clock = context.clock();
        Ok(())
    }

    fn read(&mut self, offset: u32, data: &mut [u8]) {
        read_bytes(offset, data, |at| Self::read(self, at));
    }

    fn write(&mut self, offset: u32, data: &[u8]) -> Option<PowerRequest> {
        write_bytes(offset, data, |at, value| Self::write(self, at, value))
    }

    fn save(&self) -> State {
        State::Cmos(self.state.clone())
    }

    fn restore(&mut self, state: &State) -> bool {
        let State::Cmos(state) = state else {
            return false;
        };
        self.state = CmosState {
            index: state.index & INDEX_MASK,
            ..state.clone()
        };
        true
    }
}

fn is_size(register: u8) -> bool {
    matches!(
        register,
        BASE_MEMORY..=0x18 | EXTENDED_MEMORY_AGAIN..=0x31 | MEMORY_ABOVE_16_MIB..=0x35 | MEMORY_ABOVE_4_GIB..=0x5d
    )
}

/// Where the memory that begins at `start` ends; `start` itself when none does.
fn contiguous_end(ram: &[Range<u64>], start: u64) -> u64 {
    let holding = |at: u64| {
        let here = |range: &&Range<u64>| range.contains(&at);
        ram.iter().find(here).map(|range| range.end)
    };
    std::iter::successors(Some(start), |at| holding(*at))
        .last()
        .unwrap_or(start)
}

fn updating(now: Duration) -> bool {
    Duration::from_nanos(now.subsec_nanos().into()) + UPDATE >= Duration::from_secs(1)
}

fn bcd(value: u8) -> u8 {
    value / 10 * 16 + value % 10
}

/// A moment in the Gregorian calendar, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Time {
    year: u64,
    /// From 1.
    month: u8,
    /// From 1.
    day: u8,
    /// From 1, a Sunday.
    weekday: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl Time {
    fn at(now: Duration) -> Self {
        let seconds = now.as_secs().min(MAX_SECONDS);
        let mut days = seconds / 86_400;
        // 1970-01-01 was a Thursday.
        let weekday = (days + 4) % 7 + 1;
        let mut year = 1970;
        while days >= days_of_year(year) {
            days -= days_of_year(year);
            year += 1;
        }
        let mut month = 1;
        while days >= days_of_month(year, month) {
            days -= days_of_month(year, month);
            month += 1;
        }
        Self {
            year,
            month,
            day: days as u8 + 1,
            weekday: weekday as u8,
            hour: (seconds / 3_600 % 24) as u8,
            minute: (seconds / 60 % 60) as u8,
            second: (seconds % 60) as u8,
        }
    }

    /// What a clock register shows of it, two decimal digits.
    fn field(&self, register: u8) -> Option<u8> {
        Some(match register {
            SECONDS => self.second,
            MINUTES => self.minute,
            HOURS => self.hour,
            WEEKDAY => self.weekday,
            DAY => self.day,
            MONTH => self.month,
            YEAR => (self.year % 100) as u8,
            CENTURY => (self.year / 100) as u8,
            _ => return None,
        })
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_year(year: u64) -> u64 {
    365 + u64::from(is_leap(year))
}

fn days_of_month(year: u64, month: u8) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Noise;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    fn ram(gpa: u64, bytes: u64) -> Range<u64> {
        gpa..gpa + bytes
    }

    fn get(cmos: &mut Cmos, register: u8, now: Duration) -> u8 {
        cmos.write(0, register);
        cmos.read_at(1, now)
    }

    /// Century, year, month, day, hour, minute, second as the guest prints them, and the weekday.
    fn shown(seconds: u64) -> (String, u8) {
        let mut cmos = Cmos::new(&[]);
        let now = Duration::from_secs(seconds);
        let digits = [0x32, 0x09, 0x08, 0x07, 0x04, 0x02, 0x00]
            .map(|register| format!("{:02x}", get(&mut cmos, register, now)))
            .concat();
        (digits, get(&mut cmos, 0x06, now))
    }

    #[test]
    fn moments_are_shown_as_date_shows_them() {
        // date -u -d @N +'%Y%m%d%H%M%S %w'; the register counts Sunday as 1.
        for (seconds, digits, weekday) in [
            (0, "19700101000000", 5),
            (951_782_399, "20000228235959", 2),
            (951_782_400, "20000229000000", 3),
            (1_735_689_599, "20241231235959", 3),
            (4_107_542_399, "21000228235959", 1),
            (4_107_542_400, "21000301000000", 2),
            (253_402_300_799, "99991231235959", 6),
        ] {
            assert_eq!(shown(seconds), (digits.to_owned(), weekday), "{seconds}");
        }
        assert_eq!(shown(u64::MAX), shown(MAX_SECONDS));
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = Time::at(Duration::ZERO);
        for day in 1..100_000 {
            let time = Time::at(Duration::from_secs(day * 86_400));
            assert_eq!(time.weekday, before.weekday % 7 + 1);
            let leap = before.year.is_multiple_of(4) && ![2100, 2200].contains(&before.year);
            let month_days = match before.month {
                2 => 28 + u8::from(leap),
                month => [31, 0, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][usize::from(month) - 1],
            };
            let next = match (before.month, before.day) {
                (12, 31) => (before.year + 1, 1, 1),
                (month, day) if day == month_days => (before.year, month + 1, 1),
                (month, day) => (before.year, month, day + 1),
            };
            assert_eq!((time.year, time.month, time.day), next);
            before = time;
        }
        // By `date -u -d "1970-01-01 + 99999 days"`.
        assert_eq!((before.year, before.month, before.day), (2243, 10, 16));
    }

    #[test]
    fn status_registers_say_what_the_clock_is() {
        let mut cmos = Cmos::new(&[]);
        for (register, value) in [(0x0a, 0x26), (0x0b, 0x02), (0x0c, 0), (0x0d, 0x80)] {
            cmos.write(0, register);
            cmos.write(1, 0xff);
            assert_eq!(get(&mut cmos, register, Duration::ZERO), value);
        }
    }

    #[test]
    fn an_update_is_announced_before_the_second_changes() {
        let mut cmos = Cmos::new(&[]);
        for (micros, status, second) in [
            (58_000_000, 0x26, 0x58),
            (58_997_771, 0x26, 0x58),
            (58_997_772, 0xa6, 0x58),
            (58_999_999, 0xa6, 0x58),
            (59_000_000, 0x26, 0x59),
        ] {
            let now = Duration::from_micros(micros);
            assert_eq!(get(&mut cmos, 0x0a, now), status, "{micros}");
            assert_eq!(get(&mut cmos, 0x00, now), second, "{micros}");
        }
    }

    /// Base, extended (twice), above 16 MiB, above 4 GiB.
    fn sizes(ram: &[Range<u64>]) -> [u32; 5] {
        let mut cmos = Cmos::new(ram);
        [(0x15, 2), (0x17, 2), (0x30, 2), (0x34, 2), (0x5b, 3)].map(|(register, bytes)| {
            (0..bytes).fold(0, |sum, byte| {
                sum | u32::from(get(&mut cmos, register + byte, Duration::ZERO)) << (8 * byte)
            })
        })
    }

    #[test]
    fn sizes_follow_the_memory() {
        assert_eq!(sizes(&[]), [0; 5]);
        assert_eq!(sizes(&[ram(0, 512 << 10)]), [512, 0, 0, 0, 0]);
        assert_eq!(sizes(&[ram(0, 2 * MIB)]), [640, 1024, 1024, 0, 0]);
        assert_eq!(
            sizes(&[ram(0, 512 * MIB)]),
            [640, 0xffff, 0xffff, 496 * 16, 0]
        );
        let high = [ram(4 * GIB, 2 * GIB), ram(0, 3 * GIB), ram(6 * GIB, GIB)];
        assert_eq!(
            sizes(&high),
            [640, 0xffff, 0xffff, (3 * 1024 - 16) * 16, 3 * 1024 * 16]
        );
        assert_eq!(sizes(&[ram(4 * GIB, 2048 * 1024 * MIB)])[4], 0xff_ffff);
    }

    #[test]
    fn what_is_apart_is_no_part_of_the_size() {
        let apart = ram(8 * MIB, MIB);
        assert_eq!(sizes(&[ram(0, 2 * MIB), apart]), [640, 1024, 1024, 0, 0]);
    }

    #[test]
    fn bit_7_of_the_index_addresses_nothing() {
        let mut cmos = Cmos::new(&[]);
        cmos.write(0, 0x8f);
        cmos.write(1, 0x0a);
        assert_eq!(get(&mut cmos, 0x0f, Duration::ZERO), 0x0a);
        assert_eq!(cmos.read_at(0, Duration::ZERO), 0xff);
    }

    #[test]
    fn a_guest_changes_neither_clock_nor_sizes() {
        let mut noise = Noise::new(0x0014_6818);
        let mut cmos = Cmos::new(std::slice::from_ref(&ram(0, 64 * MIB)));
        let now = Duration::from_secs(1_735_689_599);
        let fixed = [
            0, 2, 4, 6, 7, 8, 9, 0x32, 0x15, 0x16, 0x17, 0x18, 0x30, 0x31, 0x34, 0x35, 0x5b, 0x5c,
            0x5d,
        ];
        let before = fixed.map(|register| get(&mut cmos, register, now));
        for _ in 0..200_000 {
            cmos.write(noise.below(4) as u8, noise.byte());
            cmos.read_at(noise.byte(), Duration::new(noise.below(1 << 40) as u64, 0));
        }
        assert_eq!(fixed.map(|register| get(&mut cmos, register, now)), before);
    }
}
