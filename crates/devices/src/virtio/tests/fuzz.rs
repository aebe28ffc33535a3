//! Random drivers: rings, descriptors and registers of every kind, resets and removals while the
//! device works. It neither crashes nor hangs nor writes where no driver has told it to, and serves
//! the next good driver.
//!
//! `VMEXIT_FUZZ_RINGS` says how many rings each device gets, `VMEXIT_FUZZ_SEED` which.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use vm_memory::bitmap::BitmapSlice;
use vm_memory::{Bytes, GuestAddress, VolatileSlice};

use super::guest::*;
use super::keeper::Keeper;
use crate::device::Device;
use crate::noise::Noise;
use crate::virtio::block::{Block, Geometry, Layer, Native, Overlay, RemoteBlock, Storage};
use crate::virtio::{Console, Net, Rng, VirtioDevice};
use crate::{DiskAsked, DiskRequest, RemoteDisk, RemoteNic, RemotePort};

/// What the host does beside a driver.
type Host = Box<dyn FnMut(&mut Noise)>;

/// A kind of device, and how to make one.
type Kind = (&'static str, fn() -> (Box<dyn VirtioDevice>, Host));

/// Every kind of device; a new one is put through it by a line here.
const KINDS: [Kind; 6] = [
    ("block", block),
    ("remote block", remote_block),
    ("net", net),
    ("console", console),
    ("rng", || (Box::new(Rng::new()), Box::new(|_| {}))),
    ("keeper", keeper),
];

fn keeper() -> (Box<dyn VirtioDevice>, Host) {
    let keeper = Keeper::default();
    let desk = keeper.desk.clone();
    let host = move |noise: &mut Noise| desk.answer(noise.below(2) == 0);
    (Box::new(keeper), Box::new(host))
}

fn net() -> (Box<dyn VirtioDevice>, Host) {
    let nic = Arc::new(RemoteNic::new([2, 0, 0, 0, 0, 1], Arc::default()));
    let device = Net::new(Arc::clone(&nic));
    let host = move |noise: &mut Noise| match noise.below(8) {
        0 => nic.link(noise.below(2) == 0),
        1..=4 => {
            nic.push(&vec![
                7;
                [0, 13, 14, 60, 1514, 1515, 70_000][noise.below(7)]
            ]);
        }
        _ => drop(nic.take()),
    };
    (Box::new(device), Box::new(host))
}

fn console() -> (Box<dyn VirtioDevice>, Host) {
    let port = |name: &str| Arc::new(RemotePort::new(name.into(), Arc::default()));
    let ports = ["", "one", "two"].map(port);
    let device = Console::new(ports.to_vec());
    let host = move |noise: &mut Noise| {
        let port = &ports[noise.below(3)];
        match noise.below(8) {
            0 => port.open(noise.below(2) == 0),
            1..=4 => {
                port.push(&vec![7; noise.below(5000)]);
            }
            _ => drop(port.take()),
        }
    };
    (Box::new(device), Box::new(host))
}

/// A disk of zeros.
#[derive(Debug)]
struct Zeros;

impl Storage for Zeros {
    fn read<B: BitmapSlice>(&mut self, _: u64, into: &[VolatileSlice<'_, B>]) -> io::Result<()> {
        for slice in into {
            slice.copy_from(&vec![0u8; slice.len()]);
        }
        Ok(())
    }

    fn read_bytes(&mut self, _: u64, into: &mut [u8]) -> io::Result<()> {
        into.fill(0);
        Ok(())
    }

    fn write<B: BitmapSlice>(&mut self, _: u64, _: &[VolatileSlice<'_, B>]) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Other.into())
    }

    fn discard(&mut self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn write_zeroes(&mut self, _: u64, _: u64, _: bool) -> io::Result<()> {
        Ok(())
    }
}

const SECTORS: u64 = 4096;

fn geometry() -> Geometry {
    Geometry {
        sectors: SECTORS,
        read_only: false,
        id: "disk".into(),
    }
}

fn block() -> (Box<dyn VirtioDevice>, Host) {
    let storage = Overlay::new(Zeros, 512 * SECTORS, Layer::default());
    let native = Native {
        storage,
        geometry: geometry(),
        generation: Arc::default(),
    };
    (Box::new(Block::new(native)), Box::new(|_| {}))
}

fn remote_block() -> (Box<dyn VirtioDevice>, Host) {
    let disk = Arc::new(RemoteDisk::new(Arc::default()));
    let device = RemoteBlock::new(Arc::clone(&disk), geometry(), Arc::default());
    let mut open = Vec::new();
    let host = move |noise: &mut Noise| {
        open.extend(disk.take());
        if open.is_empty() {
            return disk.answer(noise.below(99) as u64, None);
        }
        // In any order, wrong at times, twice at times, or never.
        let DiskRequest { id, asked, .. } = open.swap_remove(noise.below(open.len()));
        let bytes = match asked {
            DiskAsked::Read(length) => vec![7; length as usize],
            _ => Vec::new(),
        };
        let answers = [Some(bytes), None, Some(vec![1])];
        for answer in answers
            .into_iter()
            .skip(noise.below(3))
            .take(1 + noise.below(2))
        {
            disk.answer(id, answer);
        }
    };
    (Box::new(device), Box::new(host))
}

/// Rings of each kind where nobody says otherwise.
const FEW: usize = 3000;

/// What devices only read: no driver here lets them write to it.
const READ_ONLY: u64 = HIGH + 0x10_0000;
const READ_ONLY_BYTES: usize = 0x2000;

/// Rings until a device is removed and another comes.
const LIFE: usize = 200;

/// Where the beginnings of requests lie: what is asked, and of which sector or port.
const HEADERS: u64 = BUFFERS + 0x9_0000;
const HEADER_COUNT: usize = 32;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Mostly the first, sometimes one of the others.
fn mostly<T: Copy>(noise: &mut Noise, usual: T, others: &[T]) -> T {
    if noise.below(20) > 0 {
        usual
    } else {
        others[noise.below(others.len())]
    }
}

/// A place for a buffer that is written, or only read.
fn buffer(noise: &mut Noise, is_write: bool) -> (u64, u32) {
    let some = noise.below(0x8_0000) as u64;
    if !is_write && noise.below(3) > 0 {
        return (
            HEADERS + 16 * (some % HEADER_COUNT as u64),
            mostly(noise, 16, &[8, 15, 512]),
        );
    }
    let usual = if is_write || noise.below(2) == 0 {
        BUFFERS + some
    } else {
        READ_ONLY + some % READ_ONLY_BYTES as u64
    };
    let edges = [LOW_END - some % 64, HIGH - some % 64, HIGH + some % 64];
    let far = [
        0,
        u64::MAX - some,
        1 << 63,
        0xfe00_0000,
        0xfeb0_0000,
        table(0) + some % 0x4000,
    ];
    let gpa = mostly(noise, usual, &[&edges[..], &far[..]].concat());
    let small = [0, 1, 16, 512, 513, 4096][noise.below(6)];
    let length = mostly(
        noise,
        small,
        &[1 << 16, 1 << 20, u32::MAX, 1 << 31, some as u32],
    );
    let is_theirs = gpa < READ_ONLY && READ_ONLY < gpa.saturating_add(length.into());
    // What is written must not run into what is only read.
    let length = if is_write && is_theirs { 64 } else { length };
    (gpa, length)
}

/// Fills a table with descriptors.
fn fill(guest: &Guest, noise: &mut Noise, at: u64, count: u64) {
    let mut writes_from = 0;
    for index in 0..count {
        // Mostly chains of four, first what is read, then what is written.
        let place = index % 4;
        if place == 0 {
            writes_from = noise.below(5) as u64;
        }
        let is_write = mostly(noise, place >= writes_from, &[true, false]);
        let mut flags = if is_write { WRITE } else { 0 };
        if mostly(noise, place < 3, &[true, false]) {
            flags |= NEXT;
        }
        let (mut gpa, mut length) = buffer(noise, is_write);
        if noise.below(12) == 0 {
            flags = mostly(noise, INDIRECT, &[INDIRECT | NEXT, INDIRECT | WRITE]);
            gpa = mostly(noise, BUFFERS + 0x8_0000, &[gpa, at]);
            let entries = 1 + noise.below(20) as u32;
            length = mostly(noise, 16 * entries, &[length, 16 * 70_000]);
        }
        let next = index as u16 + 1;
        let next = mostly(noise, next, &[0, index as u16, count as u16, u16::MAX]);
        guest.describe(at, index, (gpa, length), flags, next);
    }
}

/// One driver that does things wrong.
fn torment(guest: &mut Guest, noise: &mut Noise, host: &mut Host) {
    let mut features = 1 << 32;
    for page in 0..2 {
        guest.write(0x14, page);
        let offered = u64::from(guest.read(0x10)) << (32 * page);
        features |= offered & [0, EVENT_IDX, u64::MAX][noise.below(3)];
    }
    guest.agree(features);
    fill(guest, noise, BUFFERS + 0x8_0000, 16);
    for index in 0..HEADER_COUNT as u64 {
        let what = [0u32, 1, 4, 8, 11, 13, 2, u32::MAX][noise.below(8)];
        let sector = noise.below(SECTORS as usize) as u64;
        guest.put(HEADERS + 16 * index, u64::from(what));
        let sector = mostly(noise, sector, &[0, SECTORS - 1, SECTORS, u64::MAX]);
        guest.put(HEADERS + 16 * index + 8, sector);
    }
    for (queue, size) in (0..).zip(guest.sizes.clone()) {
        let size = mostly(noise, size, &[1, 2, size / 2]);
        let told = mostly(noise, size.into(), &[0, 3, u32::from(size) * 2, u32::MAX]);
        let mut parts = [table(queue), avail(queue), used(queue)];
        if noise.below(6) == 0 {
            parts[noise.below(3)] = mostly(noise, BUFFERS, &[LOW_END, LOW_END - 64, u64::MAX, 1]);
        }
        guest.set_up(queue as u32, told, parts);
        fill(guest, noise, table(queue), u64::from(size.min(16)));
        for place in 0..u64::from(size.min(32)) {
            let head = mostly(noise, 4 * (place % 4) as u16, &[1, 2, 3, 15]);
            let head = mostly(noise, head % size, &[size, u16::MAX]);
            guest.put(avail(queue) + 4 + 2 * place, head);
        }
        let count = noise.below(usize::from(size) + 1) as u16;
        guest.put(used(queue) + 2, 0u16);
        guest.put(avail(queue), noise.below(2) as u16);
        guest.put(
            avail(queue) + 2,
            mostly(noise, count.min(32), &[u16::MAX, size + 1]),
        );
    }
    guest.write(STATUS, OK);
    guest.ring();
    if noise.below(3) > 0 {
        guest.settle();
    }
    for _ in 0..noise.below(6) {
        meddle(guest, noise, host);
    }
}

/// Something that happens while the device works.
fn meddle(guest: &mut Guest, noise: &mut Noise, host: &mut Host) {
    match noise.below(12) {
        0..=3 => host(noise),
        4 => guest.ring(),
        5 => guest.write(STATUS, 0),
        6 => {
            guest.write(SELECT, noise.below(4) as u32);
            guest.write(READY, noise.below(2) as u32);
        }
        7 => {
            let (offset, value) = (4 * noise.below(0x80) as u32, noise.below(1 << 16) as u32);
            if offset != READY {
                guest.write(offset, value);
            }
        }
        8 => {
            let mut bytes = [0; 8];
            let length = [1, 2, 4, 8][noise.below(4)];
            guest
                .device
                .read(noise.below(0x200) as u32, &mut bytes[..length]);
        }
        9 => {
            guest.run(false);
            guest.run(true);
        }
        10 => {
            guest.run(false);
            let state = guest.device.save();
            assert!(guest.device.restore(&state));
            assert_eq!(guest.device.save(), state);
            guest.run(true);
        }
        _ => {
            let queue = noise.below(guest.sizes.len()) as u64;
            guest.put(avail(queue) + 2, noise.below(1 << 16) as u16);
            guest.ring();
        }
    }
}

/// The memory that no driver lets anybody write to.
fn pattern() -> Vec<u8> {
    (0..READ_ONLY_BYTES)
        .map(|at| (at * 7 + at / 251) as u8)
        .collect()
}

fn hunt((name, make): Kind) {
    let rings = number("VMEXIT_FUZZ_RINGS").map_or(FEW, |rings| rings as usize);
    let seed = number("VMEXIT_FUZZ_SEED").unwrap_or(0x5eed).max(1);
    let mut noise = Noise::new(seed);
    let (memory, pattern) = (empty_memory(), pattern());
    let at = GuestAddress(READ_ONLY);
    memory.write_slice(&pattern, at).unwrap();
    let (mut done, mut slowest, begin) = (0, 0, Instant::now());
    let (mut broken, mut served) = (0, 0);
    while done < rings {
        let (device, mut host) = make();
        let mut guest = Guest::with(device, Arc::clone(&memory));
        for _ in 0..LIFE {
            let round = Instant::now();
            torment(&mut guest, &mut noise, &mut host);
            guest.run(false);
            let status = guest.status();
            let mut now = vec![0; READ_ONLY_BYTES];
            memory.read_slice(&mut now, at).unwrap();
            assert!(now == pattern, "{name}, seed {seed}, ring {done}: written");
            broken += usize::from(status & NEEDS_RESET != 0);
            let mut queues = 0..guest.sizes.len() as u64;
            served += usize::from(queues.any(|queue| guest.used_index(queue) > 0));
            done += guest.sizes.len();
            guest.run(true);
            slowest = slowest.max(round.elapsed().as_millis());
            assert!(
                slowest < 10_000,
                "{name}, seed {seed}, ring {done}: {slowest} ms"
            );
        }
        guest.start(EVENT_IDX);
        // It goes while the device may be at work.
        torment(&mut guest, &mut noise, &mut host);
        drop(guest);
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!("{name}: {done} rings in {seconds:.1} s, the slowest took {slowest} ms, seed {seed}");
    println!("{name}: {served} drivers were served, {broken} devices stopped");
    // Neither is all that ever happens.
    assert!(served > rings / 200 && broken > rings / 200);
}

#[test]
fn no_driver_harms_the_host() {
    KINDS.into_iter().for_each(hunt);
}
