//! What lies on the stack while a handler runs, as Linux lays it out for x86-64
//! (`arch/x86/include/uapi/asm/{sigcontext,ucontext}.h`, `struct rt_sigframe`):
//!
//! ```text
//!   0  where the handler returns to
//!   8  ucontext: flags, link, stack_t (24), sigcontext (256), the set of blocked signals
//! 312  siginfo (128)
//! ```
//!
//! The sigcontext has no pointer to the extended state: that is kept where no program can write it.

use super::pending::Sent;
use super::stack::STACK_BYTES;

/// Bytes of all of it, of its `ucontext` and its `siginfo`.
pub const FRAME_BYTES: u64 = INFO_AT + INFO_BYTES as u64;
pub const CONTEXT_BYTES: usize = (INFO_AT - CONTEXT_AT) as usize;
pub const INFO_BYTES: usize = 128;
/// Where these are.
pub const CONTEXT_AT: u64 = 8;
pub const INFO_AT: u64 = 312;
/// Within the `ucontext`.
const STACK_AT: usize = 16;
const REGISTERS_AT: usize = STACK_AT + STACK_BYTES;
const SEGMENTS_AT: usize = REGISTERS_AT + REGISTERS * 8;
const TRAP_AT: usize = SEGMENTS_AT + 8;
const MASK_AT: usize = CONTEXT_BYTES - 8;
/// `UC_SIGCONTEXT_SS` and `UC_STRICT_RESTORE_SS`: SS is saved, and restored as it is.
const CONTEXT_FLAGS: u64 = 2 | 4;
/// CS and SS of Linux's programs.
const USER_CS: u16 = 0x33;
const USER_SS: u16 = 0x2b;
/// Where `siginfo` has its code, and what follows that.
const CODE_AT: usize = 8;
const DETAILS_AT: usize = 16;

const REGISTERS: usize = 18;

/// General registers, RIP and RFLAGS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are their names")]
pub struct Registers {
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub rdx: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rsp: u64,
    pub rip: u64,
    pub rflags: u64,
}

impl Registers {
    /// In the order of `sigcontext`.
    const fn words(&self) -> [u64; REGISTERS] {
        [
            self.r8,
            self.r9,
            self.r10,
            self.r11,
            self.r12,
            self.r13,
            self.r14,
            self.r15,
            self.rdi,
            self.rsi,
            self.rbp,
            self.rbx,
            self.rdx,
            self.rax,
            self.rcx,
            self.rsp,
            self.rip,
            self.rflags,
        ]
    }

    const fn of(words: [u64; REGISTERS]) -> Self {
        let [
            r8,
            r9,
            r10,
            r11,
            r12,
            r13,
            r14,
            r15,
            rdi,
            rsi,
            rbp,
            rbx,
            rdx,
            rax,
            rcx,
            rsp,
            rip,
            rflags,
        ] = words;
        Self {
            r8,
            r9,
            r10,
            r11,
            r12,
            r13,
            r14,
            r15,
            rdi,
            rsi,
            rbp,
            rbx,
            rdx,
            rax,
            rcx,
            rsp,
            rip,
            rflags,
        }
    }
}

/// What a `ucontext` says.
pub struct Context {
    pub registers: Registers,
    /// `stack_t`.
    pub stack: [u8; STACK_BYTES],
    /// Error code, vector and address of the last fault.
    pub trap: [u64; 3],
    /// What is blocked.
    pub mask: u64,
}

impl Context {
    pub fn bytes(&self) -> [u8; CONTEXT_BYTES] {
        let mut bytes = [0; CONTEXT_BYTES];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        put(0, &CONTEXT_FLAGS.to_le_bytes());
        put(STACK_AT, &self.stack);
        for (index, word) in self.registers.words().iter().enumerate() {
            put(REGISTERS_AT + index * 8, &word.to_le_bytes());
        }
        put(SEGMENTS_AT, &USER_CS.to_le_bytes());
        put(SEGMENTS_AT + 6, &USER_SS.to_le_bytes());
        let [code, vector, address] = self.trap;
        // The third is the first word of the mask, as of old.
        for (index, word) in [code, vector, self.mask, address].iter().enumerate() {
            put(TRAP_AT + index * 8, &word.to_le_bytes());
        }
        put(MASK_AT, &self.mask.to_le_bytes());
        bytes
    }

    /// What a program has made of it: registers, words of `stack_t`, and what is blocked.
    pub fn parse(bytes: &[u8; CONTEXT_BYTES]) -> (Registers, [u64; 3], u64) {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        let registers = std::array::from_fn(|index| word(REGISTERS_AT + index * 8));
        let stack = std::array::from_fn(|index| word(STACK_AT + index * 8));
        (Registers::of(registers), stack, word(MASK_AT))
    }
}

/// `siginfo`.
pub fn info(sent: &Sent) -> [u8; INFO_BYTES] {
    let mut bytes = [0; INFO_BYTES];
    bytes[..4].copy_from_slice(&sent.signal.to_le_bytes());
    bytes[CODE_AT..CODE_AT + 4].copy_from_slice(&sent.code.to_le_bytes());
    for (index, word) in sent.details.iter().enumerate() {
        let at = DETAILS_AT + index * 8;
        bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// What a program says of a signal.
pub fn parse_info(signal: u32, bytes: &[u8; INFO_BYTES]) -> Sent {
    let mut code = [0; 4];
    code.copy_from_slice(&bytes[CODE_AT..CODE_AT + 4]);
    let details = [DETAILS_AT, DETAILS_AT + 8].map(|at| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(word)
    });
    Sent {
        signal,
        code: i32::from_le_bytes(code),
        details,
    }
}
