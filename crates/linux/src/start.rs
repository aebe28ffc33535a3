//! What lies on the stack at a program's first instruction: arguments, environment and the
//! auxiliary vector (System V ABI, AMD64 supplement, §3.4.1).

use linux_raw_sys::auxvec::{
    AT_BASE, AT_CLKTCK, AT_EGID, AT_ENTRY, AT_EUID, AT_EXECFN, AT_FLAGS, AT_GID, AT_HWCAP, AT_NULL,
    AT_PAGESZ, AT_PHDR, AT_PHENT, AT_PHNUM, AT_PLATFORM, AT_RANDOM, AT_SECURE, AT_UID,
};
use object::LittleEndian;
use object::elf::ProgramHeader64;

use crate::error::LoadError;
use crate::error::LoadErrorKind::{Argument, Limit, NoMemory};
use crate::limits::{ARGUMENT_BYTES, CLOCK_TICKS, GROUP, PAGE, STACK_BYTES, STACK_END, USER};
use crate::memory::Memory;
use crate::program::Program;
use crate::space::{Commit, Protection, Space};

/// What the auxiliary vector says of the image.
pub struct Start {
    /// The image's own first instruction.
    pub entry: u64,
    /// Where its program headers are in memory.
    pub headers: Option<u64>,
    /// How many there are.
    pub header_count: u64,
    /// Where the interpreter lies; 0 if there is none.
    pub interpreter: u64,
    /// The stack shall be executable.
    pub executable: bool,
}

/// CPUID leaf 1, EDX, as every x86-64 processor has it: FPU, TSC, MSR, PAE, CX8, CMOV, MMX, FXSR,
/// SSE, SSE2. C libraries ask CPUID itself.
const HWCAP: u64 = 0x0780_8171;

/// Maps the stack and returns RSP.
pub fn stack(
    space: &mut Space,
    memory: &dyn Memory,
    program: &Program<'_>,
    start: &Start,
) -> Result<u64, LoadError> {
    let no_memory = |_| {
        let what = format!("no memory for a stack of {STACK_BYTES} bytes; give more memoryBytes");
        LoadError::new(NoMemory, what)
    };
    let protection = if start.executable {
        Protection::ALL
    } else {
        Protection::READ_WRITE
    };
    let lowest = STACK_END - STACK_BYTES;
    let (stack, contents) = contents(program, start)?;
    space
        .map(lowest, STACK_BYTES, protection, Commit::Later)
        .map_err(no_memory)?;
    space.put(memory, stack, &contents).map_err(no_memory)?;
    Ok(stack)
}

/// RSP, and what lies from there to the stack's end.
fn contents(program: &Program<'_>, start: &Start) -> Result<(u64, Vec<u8>), LoadError> {
    let mut strings = Strings::default();
    let platform = strings.add(b"x86_64")?;
    let random = strings.blob(&program.random);
    let name = strings.add(program.arguments.first().copied().unwrap_or(b""))?;
    let mut all = |list: &[&[u8]]| -> Result<Vec<u64>, LoadError> {
        list.iter().map(|text| strings.add(text)).collect()
    };
    let arguments = all(program.arguments)?;
    let environment = all(program.environment)?;
    let count = arguments.len() as u64;
    let mut words = vec![count];
    words.extend(arguments);
    words.push(0);
    words.extend(environment);
    words.push(0);
    for (tag, value) in [
        (AT_HWCAP, HWCAP),
        (AT_PAGESZ, PAGE),
        (AT_CLKTCK, CLOCK_TICKS),
        (AT_PHDR, start.headers.unwrap_or(0)),
        (AT_PHENT, size_of::<ProgramHeader64<LittleEndian>>() as u64),
        (AT_PHNUM, start.headers.map_or(0, |_| start.header_count)),
        (AT_BASE, start.interpreter),
        (AT_FLAGS, 0),
        (AT_ENTRY, start.entry),
        (AT_UID, USER.into()),
        (AT_EUID, USER.into()),
        (AT_GID, GROUP.into()),
        (AT_EGID, GROUP.into()),
        (AT_SECURE, 0),
        (AT_RANDOM, random),
        (AT_EXECFN, name),
        (AT_PLATFORM, platform),
        (AT_NULL, 0),
    ] {
        words.extend([u64::from(tag), value]);
    }
    strings.below(&words)
}

/// Grows down from the end of the stack.
#[derive(Default)]
struct Strings {
    /// Backwards.
    bytes: Vec<u8>,
    count: usize,
}

impl Strings {
    fn blob(&mut self, bytes: &[u8]) -> u64 {
        self.bytes.extend(bytes.iter().rev());
        STACK_END - self.bytes.len() as u64
    }

    fn add(&mut self, text: &[u8]) -> Result<u64, LoadError> {
        if text.contains(&0) {
            return Err(LoadError::new(
                Argument,
                format!("{:?} holds a NUL", String::from_utf8_lossy(text)),
            ));
        }
        // Each has a pointer, too.
        self.count += 1;
        let pointers = self.count * size_of::<u64>();
        if self.bytes.len() + pointers + text.len() >= ARGUMENT_BYTES {
            return Err(LoadError::new(
                Limit,
                format!("arguments and environment take over {ARGUMENT_BYTES} bytes"),
            ));
        }
        self.bytes.push(0);
        Ok(self.blob(text))
    }

    /// The words at an address that is a multiple of 16, and the strings after them.
    fn below(mut self, words: &[u64]) -> Result<(u64, Vec<u8>), LoadError> {
        let bytes = size_of_val(words);
        let all = (self.bytes.len() + bytes).next_multiple_of(16);
        self.bytes.resize(all - bytes, 0);
        self.bytes
            .extend(words.iter().rev().flat_map(|word| word.to_be_bytes()));
        self.bytes.reverse();
        Ok((STACK_END - all as u64, self.bytes))
    }
}
