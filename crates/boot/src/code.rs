//! Machine code as text, in Intel's syntax (Intel SDM vol. 2A §3.1.1).

mod accesses;

use iced_x86::{
    Decoder, DecoderOptions, OpKind, Register, SpecializedFormatter,
    SpecializedFormatterTraitOptions,
};

pub use accesses::{MemoryAccess, accesses, accesses_until, pushed_flags, repeats};

/// The most bytes of one instruction (Intel SDM vol. 2A §2.3.11).
pub const MAX_INSTRUCTION_BYTES: usize = 15;
/// `int3`, of one byte (Intel SDM vol. 2A, INT n).
pub const INT3: u8 = 0xcc;
/// `hlt`, of one byte.
pub const HLT: u8 = 0xf4;

/// What stands for a byte with which no instruction begins.
const BAD: &str = "(bad)";
/// The words that may precede a mnemonic.
const PREFIXES: [&str; 16] = [
    "cs", "ds", "es", "fs", "gs", "ss", "bnd", "hnt", "ht", "lock", "notrack", "rep", "repe",
    "repne", "xacquire", "xrelease",
];

/// The size of operands and addresses that code has by default (Intel SDM vol. 3A §3.4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeSize {
    /// Real mode, and segments with CS.D clear.
    Bits16,
    /// Segments with CS.D set.
    Bits32,
    /// Segments with CS.L set.
    Bits64,
}

impl CodeSize {
    /// By its number of bits.
    pub const fn of(bits: u32) -> Option<Self> {
        match bits {
            16 => Some(Self::Bits16),
            32 => Some(Self::Bits32),
            64 => Some(Self::Bits64),
            _ => None,
        }
    }

    const fn bits(self) -> u32 {
        match self {
            Self::Bits16 => 16,
            Self::Bits32 => 32,
            Self::Bits64 => 64,
        }
    }
}

/// One instruction, or one byte that begins none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Where it is: the instruction pointer at it.
    pub address: u64,
    /// How many bytes it has.
    pub length: usize,
    /// What an assembler would be given, or `(bad)`.
    pub text: String,
    /// The text's first word after prefixes.
    pub mnemonic: String,
    /// Where it jumps to or calls, if it says so itself.
    pub target: Option<u64>,
    /// Its memory operand; the first of two.
    pub memory: Option<MemoryOperand>,
}

/// How an instruction finds its operand in memory: the sum of all it has, modulo the size of its
/// registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryOperand {
    /// The segment register.
    pub segment: &'static str,
    /// A general register.
    pub base: Option<&'static str>,
    /// A general register; for vectors of addresses there is none here.
    pub index: Option<&'static str>,
    /// By which the index is multiplied.
    pub scale: u32,
    /// The rest. Of an address relative to RIP it is all: the sum.
    pub displacement: u64,
    /// Whether the instruction says it relative to RIP.
    pub relative: bool,
}

/// Spaces after commas, `0x`, and addresses relative to RIP as the instruction has them.
struct Style;

impl SpecializedFormatterTraitOptions for Style {
    fn space_after_operand_separator(_: &iced_x86::FastFormatterOptions) -> bool {
        true
    }

    fn rip_relative_addresses(_: &iced_x86::FastFormatterOptions) -> bool {
        true
    }

    fn uppercase_hex(_: &iced_x86::FastFormatterOptions) -> bool {
        false
    }

    fn use_hex_prefix(_: &iced_x86::FastFormatterOptions) -> bool {
        true
    }
}

/// The first instructions of bytes that lie at an address, up to `count`. What is cut off at the
/// end is bytes that begin none.
pub fn disassemble(bytes: &[u8], address: u64, size: CodeSize, count: usize) -> Vec<Instruction> {
    let mut formatter = SpecializedFormatter::<Style>::new();
    let mut found = Vec::new();
    let mut at = 0;
    let Ok(mut decoder) = Decoder::try_with_ip(size.bits(), bytes, address, DecoderOptions::NONE)
    else {
        return found;
    };
    while found.len() < count && decoder.can_decode() {
        let decoded = decoder.decode();
        let ip = address.wrapping_add(at as u64);
        if decoded.is_invalid() {
            at += 1;
            found.push(bad(ip));
            decoder.set_ip(ip.wrapping_add(1));
            if decoder.set_position(at).is_err() {
                break;
            }
            continue;
        }
        let mut text = String::new();
        formatter.format(&decoded, &mut text);
        found.push(Instruction {
            address: ip,
            length: decoded.len(),
            mnemonic: mnemonic_of(&text),
            text,
            target: target_of(&decoded),
            memory: memory_of(&decoded),
        });
        at += decoded.len();
    }
    found
}

fn bad(address: u64) -> Instruction {
    Instruction {
        address,
        length: 1,
        text: BAD.to_owned(),
        mnemonic: BAD.to_owned(),
        target: None,
        memory: None,
    }
}

fn mnemonic_of(text: &str) -> String {
    let mut words = text.split(' ');
    let word = words.find(|word| !PREFIXES.contains(word));
    word.unwrap_or(text).to_owned()
}

fn target_of(decoded: &iced_x86::Instruction) -> Option<u64> {
    let kind = decoded.op0_kind();
    let near = matches!(
        kind,
        OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64
    );
    near.then(|| decoded.near_branch_target())
}

fn memory_of(decoded: &iced_x86::Instruction) -> Option<MemoryOperand> {
    let of = |segment, base| MemoryOperand {
        segment: name(segment).unwrap_or_default(),
        base: name(base),
        index: None,
        scale: 1,
        displacement: 0,
        relative: false,
    };
    let string = |base| Some(of(decoded.memory_segment(), base));
    decoded.op_kinds().find_map(|kind| match kind {
        OpKind::MemorySegSI => string(Register::SI),
        OpKind::MemorySegESI => string(Register::ESI),
        OpKind::MemorySegRSI => string(Register::RSI),
        OpKind::MemorySegDI => string(Register::DI),
        OpKind::MemorySegEDI => string(Register::EDI),
        OpKind::MemorySegRDI => string(Register::RDI),
        OpKind::MemoryESDI => Some(of(Register::ES, Register::DI)),
        OpKind::MemoryESEDI => Some(of(Register::ES, Register::EDI)),
        OpKind::MemoryESRDI => Some(of(Register::ES, Register::RDI)),
        OpKind::Memory => Some(MemoryOperand {
            index: name(decoded.memory_index()),
            scale: decoded.memory_index_scale(),
            displacement: decoded.memory_displacement64(),
            relative: decoded.is_ip_rel_memory_operand(),
            ..of(decoded.memory_segment(), decoded.memory_base())
        }),
        _ => None,
    })
}

/// Registers of which addresses are made, in the order of the decoder's numbers.
#[rustfmt::skip]
const ADDRESSING: [&str; 48] = [
    "ax", "cx", "dx", "bx", "sp", "bp", "si", "di",
    "r8w", "r9w", "r10w", "r11w", "r12w", "r13w", "r14w", "r15w",
    "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi",
    "r8d", "r9d", "r10d", "r11d", "r12d", "r13d", "r14d", "r15d",
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
];
const SEGMENTS: [&str; 6] = ["es", "cs", "ss", "ds", "fs", "gs"];

fn name(register: Register) -> Option<&'static str> {
    let in_table = |names: &[&'static str], first: Register| {
        let place = (register as usize).checked_sub(first as usize)?;
        names.get(place).copied()
    };
    in_table(&ADDRESSING, Register::AX).or_else(|| in_table(&SEGMENTS, Register::ES))
}

#[cfg(test)]
mod tests;
