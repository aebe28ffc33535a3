use std::sync::Mutex;

use super::*;
use crate::device::{Clock, Doorbell, SystemClock};
use crate::noise::Noise;
use crate::trigger::Trigger;
use crate::written::DmaMemory;

/// Memory from 0 on, all of which can be read, and a count of the bytes that were written.
#[derive(Debug)]
struct Ram {
    bytes: Mutex<Vec<u8>>,
}

impl Memory for Ram {
    fn read(&self, gpa: u64, bytes: &mut [u8]) -> bool {
        let all = self.bytes.lock().unwrap();
        let end = gpa.checked_add(bytes.len() as u64);
        let range = end.and_then(|end| all.get(gpa as usize..usize::try_from(end).ok()?));
        range.is_some_and(|from| {
            bytes.copy_from_slice(from);
            true
        })
    }

    fn write(&self, gpa: u64, bytes: &[u8]) -> bool {
        let mut all = self.bytes.lock().unwrap();
        let end = gpa.checked_add(bytes.len() as u64);
        let range = end.and_then(|end| all.get_mut(gpa as usize..usize::try_from(end).ok()?));
        range.is_some_and(|to| {
            to.copy_from_slice(bytes);
            true
        })
    }
}

struct Machine(Arc<Ram>);

impl Context for Machine {
    fn line(&mut self, _: u32) -> Option<Box<dyn Trigger + Send + Sync>> {
        None
    }

    fn memory(&self) -> Arc<dyn Memory> {
        Arc::clone(&self.0) as Arc<dyn Memory>
    }

    fn dma(&self) -> Arc<DmaMemory> {
        unreachable!("it copies")
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }

    fn doorbell(&mut self, _: u32, _: Option<(u64, u8)>) -> Result<Arc<dyn Doorbell>, String> {
        Err("none".into())
    }
}

/// Memory of 64 KiB, of which the first 32 KiB can be written; a gap lies in the middle of them.
const WRITABLE: [Range<u64>; 3] = [0..0x2000, 0x2000..0x4000, 0x5000..0x8000];

fn device() -> (FwCfg, Arc<Ram>) {
    let numbers = FwCfgNumbers {
        cpus: 3,
        no_graphics: true,
    };
    let files = [
        ("vgaroms/b.bin".to_owned(), Cow::Borrowed(&b"video"[..])),
        ("a".repeat(55), Cow::Borrowed(&b"long"[..])),
    ];
    let mut device = FwCfg::new(numbers, &files, &WRITABLE);
    let ram = Arc::new(Ram {
        bytes: Mutex::new(vec![0xaa; 0x1_0000]),
    });
    device.attach(&mut Machine(Arc::clone(&ram))).unwrap();
    (device, ram)
}

/// What the data port gives of an item.
fn item(device: &mut FwCfg, key: u16, bytes: usize) -> Vec<u8> {
    device.write(SELECTOR, &key.to_le_bytes());
    let mut read = vec![0; bytes];
    for byte in &mut read {
        device.read(DATA, std::slice::from_mut(byte));
    }
    read
}

/// Has a descriptor obeyed that lies at 0x100, and gives the status.
fn transfer(device: &mut FwCfg, ram: &Ram, control: u32, length: u32, gpa: u64) -> u32 {
    let words = [control, length, (gpa >> 32) as u32, gpa as u32].map(u32::to_be_bytes);
    ram.write(0x100, words.as_flattened());
    device.write(DMA_LOW, &0x100u32.to_be_bytes());
    let mut status = [0; 4];
    ram.read(0x100, &mut status);
    u32::from_be_bytes(status)
}

#[test]
fn items_are_read_byte_for_byte_and_end_in_zeros() {
    let (mut device, _) = device();
    assert_eq!(item(&mut device, 0, 6), b"QEMU\0\0");
    assert_eq!(item(&mut device, 1, 4), [3, 0, 0, 0]);
    assert_eq!(item(&mut device, 4, 2), [1, 0]);
    assert_eq!(item(&mut device, 5, 2), [3, 0]);
    assert_eq!(item(&mut device, 0x8002, 1), [1]);
    assert_eq!(item(&mut device, 0x7777, 3), [0; 3]);
    let mut signature = [0; 8];
    let (high, low) = signature.split_at_mut(4);
    device.read(DMA_HIGH, high);
    device.read(DMA_LOW, low);
    assert_eq!(&signature, b"QEMU CFG");
}

#[test]
fn the_directory_lists_files_in_the_order_of_their_names() {
    let (mut device, _) = device();
    let directory = item(&mut device, 0x19, 4 + 2 * 64);
    assert_eq!(directory[..4], [0, 0, 0, 2]);
    let (first, second) = directory[4..].split_at(64);
    assert_eq!(first[..8], [0, 0, 0, 4, 0, 0x20, 0, 0]);
    assert_eq!(first[8..], [&[b'a'; 55][..], &[0]].concat());
    assert_eq!(second[..8], [0, 0, 0, 5, 0, 0x21, 0, 0]);
    assert!(second[8..].starts_with(b"vgaroms/b.bin\0"));
    assert_eq!(item(&mut device, 0x20, 4), b"long");
    assert_eq!(item(&mut device, 0x21, 5), b"video");
}

#[test]
fn a_transfer_selects_skips_and_copies() {
    let (mut device, ram) = device();
    let read = 0x21 << 16 | control::SELECT | control::READ;
    assert_eq!(transfer(&mut device, &ram, read, 7, 0x3ff9), 0);
    let mut copied = [0; 8];
    ram.read(0x3ff9, &mut copied);
    assert_eq!(&copied, b"video\0\0\xaa");
    let skip = 0x21 << 16 | control::SELECT | control::SKIP;
    assert_eq!(transfer(&mut device, &ram, skip, 2, u64::MAX), 0);
    assert_eq!(transfer(&mut device, &ram, control::READ, 3, 0x1ffe), 0);
    ram.read(0x1ffe, &mut copied[..3]);
    assert_eq!(&copied[..3], b"deo");
    // Nothing to do is no error, and an item that is far behind has zeros.
    assert_eq!(transfer(&mut device, &ram, 0, u32::MAX, 0), 0);
    assert_eq!(transfer(&mut device, &ram, control::SKIP, u32::MAX, 0), 0);
    assert_eq!(transfer(&mut device, &ram, control::SKIP, u32::MAX, 0), 0);
    assert_eq!(transfer(&mut device, &ram, control::READ, 2, 0x200), 0);
    ram.read(0x200, &mut copied[..2]);
    assert_eq!(copied[..2], [0, 0]);
}

#[test]
fn what_is_no_ram_is_an_error_and_nothing_is_written() {
    let (mut device, ram) = device();
    let read = 0x21 << 16 | control::SELECT | control::READ;
    for (length, gpa) in [
        (5, 0x3ffc),
        (5, 0x8000),
        (5, u64::MAX - 4),
        (5, u64::MAX),
        (5, 1 << 32),
        (MAX_FILE_BYTES as u32 + 1, 0x1000),
        (u32::MAX, 0x1000),
        (0x8001, 0),
    ] {
        let before = ram.bytes.lock().unwrap().clone();
        assert_eq!(
            transfer(&mut device, &ram, read, length, gpa),
            control::ERROR
        );
        let after = ram.bytes.lock().unwrap();
        assert_eq!(after[..0x100], before[..0x100], "{gpa:#x}");
        assert_eq!(after[0x110..], before[0x110..], "{gpa:#x}");
    }
    let write = 0x21 << 16 | control::SELECT | control::WRITE;
    assert_eq!(
        transfer(&mut device, &ram, write, 1, 0x1000),
        control::ERROR
    );
    assert_eq!(item(&mut device, 0x21, 5), b"video");
    // A descriptor outside memory, and one that can only be read.
    let before = ram.bytes.lock().unwrap().clone();
    for gpa in [0xfff8, u32::MAX, 0x9000] {
        device.write(DMA_LOW, &gpa.to_be_bytes());
    }
    device.write(DMA_HIGH, &u32::MAX.to_be_bytes());
    device.write(DMA_LOW, &u32::MAX.to_be_bytes());
    assert_eq!(*ram.bytes.lock().unwrap(), before);
}

#[test]
fn a_state_keeps_place_and_items() {
    let (mut device, _) = device();
    device.write(SELECTOR, &[0x21, 0]);
    device.read(DATA, &mut [0]);
    device.write(DMA_HIGH, &[1, 2, 3, 4]);
    let saved = device.save();
    let numbers = FwCfgNumbers {
        cpus: 1,
        no_graphics: false,
    };
    let mut other = FwCfg::new(numbers, &[], &[]);
    assert!(other.restore(&saved));
    assert_eq!(other.save(), saved);
    let mut rest = [0; 4];
    rest.iter_mut()
        .for_each(|byte| other.read(DATA, std::slice::from_mut(byte)));
    assert_eq!(&rest, b"ideo");
    for cut in 0..saved.bytes.len() {
        let state = State {
            kind: saved.kind.clone(),
            bytes: saved.bytes[..cut].to_vec(),
        };
        assert!(!device.restore(&state), "{cut}");
    }
    assert_eq!(device.save(), saved);
}

#[test]
fn whatever_a_guest_asks_only_ram_is_written() {
    let (mut device, ram) = device();
    let outside: Vec<_> = (0x4000..0x5000).chain(0x8000..0x1_0000).collect();
    let before = ram.bytes.lock().unwrap().clone();
    let mut noise = Noise::new(0xf00d);
    let number = |noise: &mut Noise| {
        let bits = noise.below(33);
        let bytes = [noise.byte(), noise.byte(), noise.byte(), noise.byte()];
        u32::from_le_bytes(bytes) & (1u64 << bits).wrapping_sub(1) as u32
    };
    for _ in 0..50_000 {
        let at = noise.below(0x1_0000) as u64;
        let high = if noise.below(4) == 0 {
            number(&mut noise)
        } else {
            0
        };
        let words = [
            number(&mut noise),
            number(&mut noise) & 0xffff,
            high,
            number(&mut noise),
        ];
        if WRITABLE
            .iter()
            .any(|range| range.start <= at && at + 16 <= range.end)
        {
            ram.write(at, words.map(u32::to_be_bytes).as_flattened());
        }
        match noise.below(4) {
            0 => {
                device.write(noise.below(12) as u32, &[noise.byte(), noise.byte()]);
            }
            1 => device.read(noise.below(12) as u32, &mut [0; 8][..1 << noise.below(4)]),
            _ => {
                device.write(DMA_LOW, &(at as u32).to_be_bytes());
            }
        }
    }
    let after = ram.bytes.lock().unwrap();
    assert!(outside.iter().all(|at| after[*at] == before[*at]));
}
