//! Small native programs, put together by hand.
// Each test takes what it needs, and ends where something is not as it must be.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, clippy::expect_used)]

pub mod random;

use std::time::Duration;

use vmm::{
    CpuMode, End, KickHandle, Machine, MachineConfig, Outcome, RunLimits, UserConfig, UserFiles,
    UserStop,
};

/// Where the image lies, and its first instruction.
pub const BASE: u64 = 0x40_0000;
pub const ENTRY: u64 = BASE + 0x78;
/// Room for code and data after it.
pub const ROOM: u64 = 0x1_0000;
/// A number that no system call has.
pub const TELL: u32 = 5000;

/// An ELF image of one part that is all of it.
pub fn image(code: &[u8]) -> Vec<u8> {
    let mut image = Vec::new();
    image.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    image.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    for word in [ENTRY, 64, 0] {
        image.extend(word.to_le_bytes());
    }
    image.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    image.extend([1, 0, 0, 0, 7, 0, 0, 0]);
    let bytes = 0x78 + code.len() as u64;
    for word in [0, BASE, BASE, bytes, ROOM, 0x1000] {
        image.extend(word.to_le_bytes());
    }
    image.extend(code);
    image
}

pub fn machine(code: &[u8]) -> Machine {
    let mut config = MachineConfig::new(CpuMode::Long, image(code));
    config.memory_bytes = 16 << 20;
    config.user = Some(UserConfig::default());
    Machine::new(config).unwrap()
}

/// A program that has files of its own, none of them.
pub fn process(code: &[u8]) -> Machine {
    process_of(image(code), &[])
}

/// The same, of an image with arguments.
pub fn process_of(image: Vec<u8>, arguments: &[&[u8]]) -> Machine {
    let mut config = MachineConfig::new(CpuMode::Long, image);
    config.memory_bytes = 32 << 20;
    config.user = Some(UserConfig {
        arguments: arguments.iter().map(|text| text.to_vec()).collect(),
        files: Some(UserFiles {
            directory: b"/".to_vec(),
            ..UserFiles::default()
        }),
        ..UserConfig::default()
    });
    Machine::new(config).unwrap()
}

pub fn run(machine: &mut Machine) -> Outcome {
    run_for(machine, Duration::from_secs(300))
}

pub fn run_for(machine: &mut Machine, timeout: Duration) -> Outcome {
    let limits = RunLimits {
        timeout: Some(timeout),
        ..RunLimits::default()
    };
    machine.run(&KickHandle::new(), limits, &mut ()).unwrap()
}

/// The system call that the run ends with.
pub fn call(machine: &mut Machine) -> (u64, [u64; 6]) {
    let outcome = run(machine);
    match machine.user_stop() {
        Some(UserStop::Call {
            number, arguments, ..
        }) => (*number, *arguments),
        other => panic!("{other:?} {outcome:?}"),
    }
}

/// What the program tells, which is then answered.
pub fn told(machine: &mut Machine) -> u64 {
    let (number, arguments) = call(machine);
    assert_eq!(number, u64::from(TELL));
    machine.user_answer(0).unwrap();
    arguments[0]
}

/// The address of the page fault that the run ends with.
pub fn faulted(machine: &mut Machine) -> u64 {
    let outcome = run(machine);
    let End::Fault(fault) = outcome.end else {
        panic!("{:?} {outcome:?}", machine.user_stop())
    };
    assert_eq!(fault.vector, 14);
    fault.address.unwrap()
}

/// Instructions, one after the other.
#[derive(Clone, Default)]
pub struct Code(pub Vec<u8>);

impl Code {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// mov of a word to RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15.
    pub fn set(mut self, register: u8, value: u64) -> Self {
        self.0.extend([0x48 | register >> 3, 0xb8 | register & 7]);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn call(mut self, number: u32, arguments: &[u64]) -> Self {
        for (register, argument) in [7, 6, 2, 10, 8, 9].iter().zip(arguments) {
            self = self.set(*register, *argument);
        }
        self.set(0, u64::from(number)).bytes(&[0x0f, 0x05])
    }

    /// With the arguments that are in their registers.
    pub fn call_as_is(self, number: u32) -> Self {
        self.set(0, u64::from(number)).bytes(&[0x0f, 0x05])
    }

    /// mov rbx, address; mov rdi, [rbx]; the host is told.
    pub fn tell_word(self, address: u64) -> Self {
        self.set(3, address)
            .bytes(&[0x48, 0x8b, 0x3b])
            .call_as_is(TELL)
    }

    /// mov rbx, address; mov byte [rbx], value
    pub fn store(self, address: u64, value: u8) -> Self {
        self.set(3, address).bytes(&[0xc6, 0x03, value])
    }

    /// mov rbx, address; mov rax, value; mov [rbx], rax
    pub fn store_word(self, address: u64, value: u64) -> Self {
        self.set(3, address)
            .set(0, value)
            .bytes(&[0x48, 0x89, 0x03])
    }

    /// mov rbx, address; movzx edi, byte [rbx]; the host is told.
    pub fn tell(self, address: u64) -> Self {
        self.set(3, address)
            .bytes(&[0x0f, 0xb6, 0x3b])
            .call(TELL, &[])
    }
}
