//! The disassembler, which needs no machine.

use napi::Either;
use napi::bindgen_prelude::{BigInt, Uint8Array};
use napi_derive::napi;
use vmm::{CodeSize, Error, ErrorCode, Instruction, MemoryOperand};

use crate::convert::failure::{Failure, either};

/// One instruction, or one byte that begins none.
#[napi(object)]
pub struct NativeInstruction {
    /// The instruction pointer at it.
    pub address: BigInt,
    /// How many bytes it has.
    pub length: u32,
    /// In Intel's syntax, or `(bad)`.
    pub text: String,
    /// The text's first word after prefixes.
    pub mnemonic: String,
    /// Where it jumps to or calls, if it says so itself.
    pub target: Option<BigInt>,
    /// Its memory operand; the first of two.
    pub memory: Option<NativeMemoryOperand>,
}

/// How an instruction finds its operand in memory: base, index times scale and displacement, modulo
/// the size of these registers.
#[napi(object)]
pub struct NativeMemoryOperand {
    /// The segment register.
    pub segment: String,
    /// A general register.
    pub base: Option<String>,
    /// A general register.
    pub index: Option<String>,
    /// By which the index is multiplied.
    pub scale: u32,
    /// The rest. Of an address relative to RIP it is all: the sum.
    pub displacement: BigInt,
    /// Whether the instruction says it relative to RIP.
    pub relative: bool,
}

impl From<Instruction> for NativeInstruction {
    fn from(instruction: Instruction) -> Self {
        Self {
            address: instruction.address.into(),
            length: instruction.length as u32,
            text: instruction.text,
            mnemonic: instruction.mnemonic,
            target: instruction.target.map(BigInt::from),
            memory: instruction.memory.map(NativeMemoryOperand::from),
        }
    }
}

impl From<MemoryOperand> for NativeMemoryOperand {
    fn from(memory: MemoryOperand) -> Self {
        Self {
            segment: memory.segment.to_owned(),
            base: memory.base.map(str::to_owned),
            index: memory.index.map(str::to_owned),
            scale: memory.scale,
            displacement: memory.displacement.into(),
            relative: memory.relative,
        }
    }
}

/// The first instructions of bytes that lie at an address, up to `count`, of code with 16, 32 or 64
/// bits. `ERR_INVALID_OPTION` for other bits.
#[napi(ts_return_type = "Array<NativeInstruction> | Failure")]
pub fn disassemble(
    bytes: Uint8Array,
    address: BigInt,
    bits: u32,
    count: u32,
) -> Either<Vec<NativeInstruction>, Failure> {
    let size = CodeSize::of(bits).ok_or_else(|| {
        let message = format!("bits must be 16, 32 or 64, got {bits}");
        Error::new(ErrorCode::InvalidOption, message)
    });
    either(size.map(|size| {
        let found = vmm::disassemble(&bytes, address.get_u64().1, size, count as usize);
        found.into_iter().map(NativeInstruction::from).collect()
    }))
}
