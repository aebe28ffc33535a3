//! The battery-backed clock and memory of a PC: Motorola's MC146818 and the bytes after it.

use std::ops::Range;
use std::time::Duration;

use std::sync::Arc;

use crate::device::{Clock, Context, Device, PowerRequest, SystemClock, read_bytes, write_bytes};
use crate::state::{State, saved};

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
    pub const BOOT_ORDER: u8 = 0x3d;
    pub const OTHER_CPUS: u8 = 0x5f;
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

/// Disk, then CD-ROM, then floppy: firmware reads four bits each, the first the lowest (Bochs,
/// `cmos_map.txt`).
const BOOT_ORDER_DISK_FIRST: u8 = 0x32;

/// The last second that fits four digits of year: 9999-12-31 23:59:59.
const MAX_SECONDS: u64 = 253_402_300_799;

saved! {
    /// The registers of a [`Cmos`], but for the time.
    CmosState = "cmos" {
        /// The register that the data port is for.
        index: u8,
        /// The memory, where the clock's registers lie unused.
        bytes: [u8; 128],
    }
}

/// The clock at ports 0x70 (offset 0) and 0x71 (offset 1). It shows the time that each read is
/// given, as UTC in BCD; what a guest writes into the clock is ignored. The memory sizes are fixed,
/// other bytes keep what is written.
#[derive(Clone, Debug)]
pub struct Cmos {
    clock: Arc<dyn Clock>,
    state: CmosState,
}

impl Cmos {
    /// A clock whose size registers describe `ram`, the addresses of writable memory, and whose
    /// memory tells firmware how many CPUs there are.
    pub fn new(ram: &[Range<u64>], cpus: u32) -> Self {
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
        cmos.put(BOOT_ORDER, 1, BOOT_ORDER_DISK_FIRST.into());
        cmos.put(OTHER_CPUS, 1, u64::from(cpus.saturating_sub(1)).min(0xff));
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
        State::of(&self.state)
    }

    fn restore(&mut self, state: &State) -> bool {
        let Some(CmosState { index, bytes }) = state.fields() else {
            return false;
        };
        self.state = CmosState {
            index: index & INDEX_MASK,
            bytes,
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
mod tests;
