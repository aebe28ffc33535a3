//! A program's memory without a machine, and images put together by hand.

use std::cell::RefCell;

use linux::{
    Answer, Call, Clock, Ground, HostFacts, Kernel, LoadError, Loaded, Memory, Program, Setup,
    Space, Thread, Tree, World, load,
};

/// Guest physical memory, and the tables' after it.
pub const MEMORY_BYTES: u64 = 32 << 20;
const TABLES_BYTES: u64 = 4 << 20;

pub struct Ram(RefCell<Vec<u8>>);

impl Memory for Ram {
    fn read(&self, gpa: u64, bytes: &mut [u8]) -> bool {
        let all = self.0.borrow();
        let from = all.get(gpa as usize..gpa as usize + bytes.len());
        from.map(|from| bytes.copy_from_slice(from)).is_some()
    }

    fn write(&self, gpa: u64, bytes: &[u8]) -> bool {
        let mut all = self.0.borrow_mut();
        let to = all.get_mut(gpa as usize..gpa as usize + bytes.len());
        to.map(|to| to.copy_from_slice(bytes)).is_some()
    }
}

/// Time that passes by a second a look, and bytes that count up.
#[derive(Default)]
pub struct Facts {
    seconds: i64,
    byte: u8,
}

impl HostFacts for Facts {
    fn now(&mut self, clock: Clock) -> (i64, u32) {
        self.seconds += 1;
        let base = match clock {
            Clock::Realtime => 1_700_000_000,
            Clock::Monotonic => 1000,
            Clock::Processor => 0,
        };
        (base + self.seconds, 250_000_000)
    }

    fn random(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.byte = self.byte.wrapping_add(1);
            *byte = self.byte;
        }
    }
}

pub struct Bed {
    pub space: Space,
    pub ram: Ram,
    pub loaded: Loaded,
    pub kernel: Kernel,
    pub thread: Thread,
    facts: Facts,
}

pub fn space() -> (Space, Ram) {
    let end = MEMORY_BYTES + TABLES_BYTES;
    let ground = Ground {
        memory: 0x1000..MEMORY_BYTES,
        tables: MEMORY_BYTES..end,
        reserved: 0xfe00_0000..0xff00_0000,
        fixed: Vec::new(),
    };
    let mut space = Space::new(&ground).unwrap();
    let ram = Ram(RefCell::new(vec![0; end as usize]));
    settle(&mut space, &ram);
    (space, ram)
}

/// What a machine does before the program goes on.
fn settle(space: &mut Space, ram: &Ram) {
    for (gpa, bytes) in space.take_effects().zeros {
        assert!(ram.write(gpa, &vec![0; bytes as usize]));
    }
}

pub fn program<'a>(image: &'a [u8], arguments: &'a [&'a [u8]]) -> Program<'a> {
    Program {
        image,
        arguments,
        environment: &[b"HOME=/", b"TERM=dumb"],
        interpreter: None,
        random: *b"0123456789abcdef",
    }
}

pub fn try_load(image: &[u8]) -> Result<Loaded, LoadError> {
    let (mut space, ram) = space();
    load(&mut space, &ram, &program(image, &[b"test"]))
}

impl Bed {
    pub fn with(program: &Program<'_>) -> Self {
        let (mut space, ram) = space();
        let loaded = load(&mut space, &ram, program).unwrap();
        settle(&mut space, &ram);
        Self {
            kernel: Kernel::new(&loaded, MEMORY_BYTES),
            thread: Thread::default(),
            facts: Facts::default(),
            space,
            ram,
            loaded,
        }
    }

    pub fn new() -> Self {
        Self::with(&program(&Elf::fixed().build(), &[b"test"]))
    }

    /// A program that has files of its own.
    pub fn with_tree(setup: Setup) -> Self {
        let mut bed = Self::new();
        let tree = Tree::new(setup).unwrap();
        bed.kernel = Kernel::with_tree(&bed.loaded, MEMORY_BYTES, tree);
        bed
    }

    /// The address of a path, in a page of its own.
    pub fn path(&mut self, path: &str) -> u64 {
        let at = self.pages(2);
        self.write(at, path.as_bytes());
        at
    }

    /// What a call returns whose first argument is a path.
    pub fn by_path(&mut self, number: u32, path: &str, rest: &[u64]) -> i64 {
        let at = self.path(path);
        let arguments: Vec<u64> = [at].iter().chain(rest).copied().collect();
        let value = self.value(number, &arguments);
        self.value(linux_raw_sys::general::__NR_munmap, &[at, 2 << 12]);
        value
    }

    pub fn answer(&mut self, number: u32, arguments: &[u64]) -> Answer {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        self.call(&Call {
            number: number.into(),
            arguments: all,
        })
    }

    pub fn call(&mut self, call: &Call) -> Answer {
        self.with_kernel(|kernel, world| kernel.call(call, world))
    }

    pub fn with_kernel<T>(&mut self, act: impl FnOnce(&mut Kernel, &mut World<'_>) -> T) -> T {
        let mut world = World {
            space: &mut self.space,
            memory: &self.ram,
            thread: &mut self.thread,
            host: &mut self.facts,
        };
        let done = act(&mut self.kernel, &mut world);
        settle(&mut self.space, &self.ram);
        done
    }

    /// The value that a call returns, or its errno, negative.
    pub fn value(&mut self, number: u32, arguments: &[u64]) -> i64 {
        match self.answer(number, arguments) {
            Answer::Value(value) => value.cast_signed(),
            other => panic!("call {number} with {arguments:x?}: {other:?}"),
        }
    }

    pub fn read(&mut self, address: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.space.read(&self.ram, address, &mut bytes).unwrap();
        bytes
    }

    pub fn word(&mut self, address: u64) -> u64 {
        u64::from_le_bytes(self.read(address, 8).try_into().unwrap())
    }

    pub fn write(&mut self, address: u64, bytes: &[u8]) {
        self.space.write(&self.ram, address, bytes).unwrap();
    }

    /// The text at an address.
    pub fn text(&mut self, address: u64) -> String {
        let bytes = (address..).map(|at| self.read(at, 1)[0]);
        let bytes: Vec<u8> = bytes.take_while(|byte| *byte != 0).collect();
        String::from_utf8(bytes).unwrap()
    }

    /// New pages that can be read and written.
    pub fn pages(&mut self, count: u64) -> u64 {
        use linux_raw_sys::general::{__NR_mmap, MAP_ANONYMOUS, MAP_PRIVATE};
        let flags = u64::from(MAP_ANONYMOUS | MAP_PRIVATE);
        let at = self.value(__NR_mmap, &[0, count << 12, 3, flags, u64::MAX, 0]);
        u64::try_from(at).unwrap()
    }
}

/// A program header.
#[derive(Clone)]
pub struct Segment {
    pub kind: u32,
    /// 1 to execute, 2 to write, 4 to read.
    pub flags: u32,
    pub address: u64,
    pub bytes: Vec<u8>,
    /// Bytes in memory, if they are more.
    pub room: u64,
}

pub const LOAD: u32 = 1;
pub const DYNAMIC: u32 = 2;
pub const INTERP: u32 = 3;
pub const STACK: u32 = 0x6474_e551;

#[derive(Clone)]
pub struct Elf {
    pub kind: u16,
    pub machine: u16,
    pub entry: u64,
    pub segments: Vec<Segment>,
}

impl Segment {
    pub fn load(flags: u32, address: u64, bytes: &[u8], room: u64) -> Self {
        Self {
            kind: LOAD,
            flags,
            address,
            bytes: bytes.to_vec(),
            room,
        }
    }
}

impl Elf {
    /// One part of code at 4 MiB.
    pub fn fixed() -> Self {
        Self {
            kind: 2,
            machine: 62,
            entry: 0x40_0000,
            segments: vec![Segment::load(5, 0x40_0000, b"\x0f\x0b", 2)],
        }
    }

    /// The header, the program headers, then each segment's bytes.
    pub fn build(&self) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        file.extend(self.kind.to_le_bytes());
        file.extend(self.machine.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        file.extend(self.entry.to_le_bytes());
        file.extend(64_u64.to_le_bytes());
        file.extend([0; 12]);
        let count = u16::try_from(self.segments.len()).unwrap();
        for half in [64, 56, count, 64, 0, 0] {
            file.extend(half.to_le_bytes());
        }
        let mut offset = 64 + 56 * self.segments.len() as u64;
        for segment in &self.segments {
            file.extend(segment.kind.to_le_bytes());
            file.extend(segment.flags.to_le_bytes());
            let bytes = segment.bytes.len() as u64;
            let room = segment.room.max(bytes);
            for word in [
                offset,
                segment.address,
                segment.address,
                bytes,
                room,
                0x1000,
            ] {
                file.extend(word.to_le_bytes());
            }
            offset += bytes;
        }
        for segment in &self.segments {
            file.extend(&segment.bytes);
        }
        file
    }
}
