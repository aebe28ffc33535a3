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
    let mut cmos = Cmos::new(&[], 1);
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
    let mut cmos = Cmos::new(&[], 1);
    for (register, value) in [(0x0a, 0x26), (0x0b, 0x02), (0x0c, 0), (0x0d, 0x80)] {
        cmos.write(0, register);
        cmos.write(1, 0xff);
        assert_eq!(get(&mut cmos, register, Duration::ZERO), value);
    }
}

#[test]
fn an_update_is_announced_before_the_second_changes() {
    let mut cmos = Cmos::new(&[], 1);
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
    let mut cmos = Cmos::new(ram, 1);
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
    let mut cmos = Cmos::new(&[], 1);
    cmos.write(0, 0x8f);
    cmos.write(1, 0x0a);
    assert_eq!(get(&mut cmos, 0x0f, Duration::ZERO), 0x0a);
    assert_eq!(cmos.read_at(0, Duration::ZERO), 0xff);
}

#[test]
fn a_guest_changes_neither_clock_nor_sizes() {
    let mut noise = Noise::new(0x0014_6818);
    let mut cmos = Cmos::new(std::slice::from_ref(&ram(0, 64 * MIB)), 1);
    let now = Duration::from_secs(1_735_689_599);
    let fixed = [
        0, 2, 4, 6, 7, 8, 9, 0x32, 0x15, 0x16, 0x17, 0x18, 0x30, 0x31, 0x34, 0x35, 0x5b, 0x5c, 0x5d,
    ];
    let before = fixed.map(|register| get(&mut cmos, register, now));
    for _ in 0..200_000 {
        cmos.write(noise.below(4) as u8, noise.byte());
        cmos.read_at(noise.byte(), Duration::new(noise.below(1 << 40) as u64, 0));
    }
    assert_eq!(fixed.map(|register| get(&mut cmos, register, now)), before);
}

#[test]
fn firmware_finds_how_many_cpus_there_are_and_that_disks_come_first() {
    for (cpus, others) in [(1, 0), (4, 3), (64, 63), (u32::MAX, 0xff)] {
        let mut cmos = Cmos::new(&[], cpus);
        let found = [0x5f, 0x3d].map(|register| get(&mut cmos, register, Duration::ZERO));
        assert_eq!(found, [others, 0x32]);
    }
}
