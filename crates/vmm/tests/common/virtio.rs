//! A guest that drives virtio devices: it carries out a list of register writes, reads and waits
//! that a test puts into its memory.

use vmm::{CpuMode, Machine, MachineConfig};

use super::{code, port};
use vmm::RouteTarget;

/// 32-bit code that takes steps of three words from 0x10000 on: what to do, an address, a value.
pub const DRIVER: &str = "
    be 00 00 01 00 ; mov $0x10000,%esi
    ad             ; next: lods %ds:(%esi),%eax
    89 c1          ; mov %eax,%ecx
    ad             ; lods %ds:(%esi),%eax
    89 c7          ; mov %eax,%edi
    ad             ; lods %ds:(%esi),%eax
    83 f9 01       ; cmp $1,%ecx
    74 13          ; je write
    83 f9 02       ; cmp $2,%ecx
    74 12          ; je read
    83 f9 03       ; cmp $3,%ecx
    74 13          ; je wait
    83 f9 04       ; cmp $4,%ecx
    74 15          ; je until
    e6 f4          ; out %al,$0xf4
    eb e1          ; jmp next
    89 07          ; write: mov %eax,(%edi)
    eb dd          ; jmp next
    8b 17          ; read: mov (%edi),%edx
    89 10          ; mov %edx,(%eax)
    eb d7          ; jmp next
    66 39 07       ; wait: cmp %ax,(%edi)
    75 fb          ; jne wait
    eb d0          ; jmp next
    39 07          ; until: cmp %eax,(%edi)
    75 fc          ; jne until
    eb ca          ; jmp next
";

const STEPS: u64 = 0x1_0000;

/// Where the parts of a queue lie.
pub const fn table(queue: u64) -> u64 {
    0x2_0000 + queue * 0x3000
}

pub const fn avail(queue: u64) -> u64 {
    table(queue) + 0x1000
}

pub const fn used(queue: u64) -> u64 {
    table(queue) + 0x2000
}

/// Free memory.
pub const BUFFERS: u64 = 0x8_0000;

/// Descriptor flags.
pub const NEXT: u16 = 1;
pub const WRITE: u16 = 2;
pub const INDIRECT: u16 = 4;

/// A PC whose guest carries out steps.
pub fn pc() -> MachineConfig<'static> {
    MachineConfig {
        pc: true,
        irqchip: true,
        routes: vec![port(0xf4, 1, RouteTarget::Stop)],
        ..MachineConfig::new(CpuMode::Protected, code(DRIVER))
    }
}

/// What the guest does, for one device.
#[derive(Clone, Debug)]
pub struct Steps {
    base: u64,
    words: Vec<u32>,
}

impl Steps {
    /// For the device with this index.
    pub fn new(device: u64) -> Self {
        Self {
            base: 0xfeb0_0000 + device * 0x1000,
            words: Vec::new(),
        }
    }

    fn step(mut self, what: u32, gpa: u64, value: u32) -> Self {
        self.words.extend([what, gpa as u32, value]);
        self
    }

    /// Writes a register.
    pub fn write(self, register: u64, value: u32) -> Self {
        let gpa = self.base + register;
        self.step(1, gpa, value)
    }

    /// Reads a register into memory.
    pub fn read(self, register: u64, to: u64) -> Self {
        let gpa = self.base + register;
        self.step(2, gpa, to as u32)
    }

    /// Waits until a word of memory has this value.
    pub fn wait(self, gpa: u64, value: u16) -> Self {
        self.step(3, gpa, value.into())
    }

    /// Waits until a register has this value.
    pub fn until(self, register: u64, value: u32) -> Self {
        let gpa = self.base + register;
        self.step(4, gpa, value)
    }

    /// Ends the run with an exit code.
    pub fn stop(self, code: u8) -> Self {
        self.step(0, 0, code.into())
    }

    /// Takes features, and says that the driver is ready once each queue has `size` entries at its
    /// place.
    pub fn start(self, features: u64, sizes: &[u32]) -> Self {
        let mut steps = self.write(0x70, 0).write(0x70, 1).write(0x70, 3);
        for (page, bits) in [(0, features as u32), (1, (features >> 32) as u32 | 1)] {
            steps = steps.write(0x24, page).write(0x20, bits);
        }
        steps = steps.write(0x70, 0xb);
        for (queue, size) in (0..).zip(sizes) {
            steps = steps.write(0x30, queue as u32).write(0x38, *size);
            for (register, gpa) in [
                (0x80, table(queue)),
                (0x90, avail(queue)),
                (0xa0, used(queue)),
            ] {
                steps = steps.write(register, gpa as u32).write(register + 4, 0);
            }
            steps = steps.write(0x44, 1);
        }
        steps.write(0x70, 0xf)
    }

    /// Tells the device of new requests in a queue.
    pub fn ring(self, queue: u32) -> Self {
        self.write(0x50, queue)
    }

    /// Lets the guest begin with them.
    pub fn put(self, machine: &mut Machine) {
        let bytes: Vec<_> = self
            .words
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        machine.memory().write(STEPS, &bytes).unwrap();
        super::set(machine, |registers| {
            registers.rip = 0;
        });
    }
}

/// Writes a descriptor of a queue.
pub fn describe(
    machine: &Machine,
    queue: u64,
    index: u64,
    (gpa, bytes): (u64, u32),
    flags: u16,
    next: u16,
) {
    let parts = [
        gpa.to_le_bytes().to_vec(),
        bytes.to_le_bytes().to_vec(),
        flags.to_le_bytes().to_vec(),
        next.to_le_bytes().to_vec(),
    ];
    let memory = machine.memory();
    memory
        .write(table(queue) + 16 * index, &parts.concat())
        .unwrap();
}

/// Makes a chain available, as the one with this number of all that ever were.
pub fn offer(machine: &Machine, queue: u64, number: u16, size: u16, head: u16) {
    let memory = machine.memory();
    let at = avail(queue) + 4 + 2 * u64::from(number % size);
    memory.write(at, &head.to_le_bytes()).unwrap();
    let index = number.wrapping_add(1).to_le_bytes();
    memory.write(avail(queue) + 2, &index).unwrap();
}

/// How many chains of a queue are used.
pub fn used_index(machine: &Machine, queue: u64) -> u16 {
    let mut bytes = [0; 2];
    machine.memory().read(used(queue) + 2, &mut bytes).unwrap();
    u16::from_le_bytes(bytes)
}

/// Head and length of the used chain with this number.
pub fn used_entry(machine: &Machine, queue: u64, number: u16, size: u16) -> (u32, u32) {
    let mut bytes = [0; 8];
    let at = used(queue) + 4 + 8 * u64::from(number % size);
    machine.memory().read(at, &mut bytes).unwrap();
    let [a, b, c, d, e, f, g, h] = bytes;
    (
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, g, h]),
    )
}
