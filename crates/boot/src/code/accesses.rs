//! Which memory an instruction reads and writes, by its bytes and the registers before it: for
//! watches that the processor cannot keep.
//!
//! Of what is not known it says both: rather an access too many than one too few. What it does not
//! say: descriptors and gates that the processor reads for itself, and the elements of `vpgather`
//! and `vpscatter`, whose addresses are in vector registers.

mod processor;
mod role;
mod stack;
mod width;

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use kvm_bindings::{kvm_regs, kvm_sregs};

pub use processor::MemoryAccess;
use processor::Processor;
use role::Role;

const LINE_BYTES: u64 = 64;
/// The opcode of `pushf` (Intel SDM vol. 2B, PUSHF).
const PUSHF: u8 = 0x9c;

/// What the first instruction of `bytes` accesses, of code with 16, 32 or 64 bits. Of an
/// instruction that repeats it is the first round; of bytes that begin none, nothing.
pub fn accesses(
    bytes: &[u8],
    bits: u32,
    registers: &kvm_regs,
    special: &kvm_sregs,
) -> Vec<MemoryAccess> {
    let counted = |_: &Processor<'_>| 1;
    of_rounds(bytes, bits, (registers, special), counted)
}

/// What it has accessed, by the registers before and after it: all rounds of one that repeats.
pub fn accesses_until(
    bytes: &[u8],
    bits: u32,
    registers: &kvm_regs,
    special: &kvm_sregs,
    after: &kvm_regs,
) -> Vec<MemoryAccess> {
    let counted = |processor: &Processor<'_>| {
        let after = Processor {
            registers: after,
            ..*processor
        };
        // One that faults has done none; it has read what it could.
        processor.counter().wrapping_sub(after.counter()).max(1)
    };
    of_rounds(bytes, bits, (registers, special), counted)
}

/// Whether the first instruction of `bytes` does something as often as (R)CX says, and may be left
/// and entered again in between: a string instruction with a `rep` prefix (Intel SDM vol. 2B, REP).
pub fn repeats(bytes: &[u8], bits: u32) -> bool {
    Decoder::try_with_ip(bits, bytes, 0, DecoderOptions::NONE).is_ok_and(|mut decoder| {
        let decoded = decoder.decode();
        string_address_bytes(&decoded).is_some() && has_rep(&decoded)
    })
}

/// Where the first instruction of `bytes` stores RFLAGS, if it is `pushf`.
pub fn pushed_flags(
    bytes: &[u8],
    bits: u32,
    registers: &kvm_regs,
    special: &kvm_sregs,
) -> Option<u64> {
    // Of most instructions this is known without decoding them.
    if !bytes.contains(&PUSHF) {
        return None;
    }
    let mut decoder = Decoder::try_with_ip(bits, bytes, 0, DecoderOptions::NONE).ok()?;
    let is_pushf = matches!(
        decoder.decode().mnemonic(),
        Mnemonic::Pushf | Mnemonic::Pushfd | Mnemonic::Pushfq
    );
    let found = is_pushf.then(|| accesses(bytes, bits, registers, special))?;
    found.first().map(|access| access.linear)
}

fn has_rep(decoded: &Instruction) -> bool {
    decoded.has_rep_prefix() || decoded.has_repne_prefix()
}

fn of_rounds(
    bytes: &[u8],
    bits: u32,
    (registers, special): (&kvm_regs, &kvm_sregs),
    rounds: impl Fn(&Processor<'_>) -> u64,
) -> Vec<MemoryAccess> {
    let mut found = Vec::new();
    let Ok(mut decoder) = Decoder::try_with_ip(bits, bytes, registers.rip, DecoderOptions::NONE)
    else {
        return found;
    };
    let decoded = decoder.decode();
    if decoded.is_invalid() {
        return found;
    }
    let mut processor = Processor {
        bits,
        counter_bytes: 0,
        registers,
        special,
    };
    if let Some(address_bytes) = string_address_bytes(&decoded) {
        processor.counter_bytes = address_bytes;
        let rounds = match has_rep(&decoded) {
            true if processor.counter() == 0 => return found,
            true => rounds(&processor).min(processor.counter()),
            false => 1,
        };
        string(&decoded, &processor, rounds, &mut found);
        return found;
    }
    for operand in 0..decoded.op_count() {
        if let Some(access) = explicit(&decoded, &processor, operand) {
            found.push(access);
        }
    }
    found.extend(line(&decoded, &processor));
    stack::accesses(&decoded, &processor, &mut found);
    found
}

/// A line of the cache that is written where a register leads.
fn line(decoded: &Instruction, processor: &Processor<'_>) -> Option<MemoryAccess> {
    let (segment, register) = match decoded.mnemonic() {
        Mnemonic::Movdir64b | Mnemonic::Enqcmd | Mnemonic::Enqcmds => {
            (Register::ES, decoded.op0_register())
        }
        Mnemonic::Clzero => (decoded.segment_prefix(), Register::RAX),
        _ => return None,
    };
    let base = processor.value(segment).unwrap_or(0);
    let linear = base.wrapping_add(processor.value(register)?);
    let linear = match decoded.mnemonic() {
        Mnemonic::Clzero => linear & !(LINE_BYTES - 1),
        _ => linear,
    };
    Some(processor.access(linear, LINE_BYTES as u32, Role::WRITTEN))
}

/// The size of the registers that a string instruction goes by, if it is one.
fn string_address_bytes(decoded: &Instruction) -> Option<u32> {
    decoded.op_kinds().find_map(|kind| match kind {
        OpKind::MemorySegSI | OpKind::MemoryESDI => Some(2),
        OpKind::MemorySegESI | OpKind::MemoryESEDI => Some(4),
        OpKind::MemorySegRSI | OpKind::MemoryESRDI => Some(8),
        _ => None,
    })
}

/// `movs`, `cmps`, `scas`, `lods`, `stos`, `ins`, `outs`: what is at (R)SI is read, and what is at
/// (R)DI is written, or compared.
fn string(
    decoded: &Instruction,
    processor: &Processor<'_>,
    rounds: u64,
    found: &mut Vec<MemoryAccess>,
) {
    let size = width::bytes(decoded.memory_size());
    let compares = matches!(
        decoded.mnemonic(),
        Mnemonic::Cmpsb
            | Mnemonic::Cmpsw
            | Mnemonic::Cmpsd
            | Mnemonic::Cmpsq
            | Mnemonic::Scasb
            | Mnemonic::Scasw
            | Mnemonic::Scasd
            | Mnemonic::Scasq
    );
    for operand in 0..decoded.op_count() {
        let is_destination = match decoded.op_kind(operand) {
            OpKind::MemoryESDI | OpKind::MemoryESEDI | OpKind::MemoryESRDI => true,
            OpKind::MemorySegSI | OpKind::MemorySegESI | OpKind::MemorySegRSI => false,
            _ => continue,
        };
        let Some(linear) = address(decoded, processor, operand) else {
            continue;
        };
        let role = if is_destination && !compares {
            Role::WRITTEN
        } else {
            Role::READ
        };
        found.extend(processor.run(linear, size, rounds, role));
    }
}

/// The access of one operand.
fn explicit(
    decoded: &Instruction,
    processor: &Processor<'_>,
    operand: u32,
) -> Option<MemoryAccess> {
    if !matches!(
        decoded.op_kind(operand),
        OpKind::Memory | OpKind::MemorySegDI | OpKind::MemorySegEDI | OpKind::MemorySegRDI
    ) {
        return None;
    }
    let role = role::of(decoded, operand)?;
    let linear = address(decoded, processor, operand)?;
    let linear = linear.wrapping_add(bit_offset(decoded, processor, operand));
    let size = width::bytes(decoded.memory_size());
    Some(processor.access(linear, size, role))
}

/// Of vectors of addresses there is none.
fn address(decoded: &Instruction, processor: &Processor<'_>, operand: u32) -> Option<u64> {
    // A pop to where the stack pointer leads has moved it before (Intel SDM vol. 2B, POP).
    let popped = match decoded.mnemonic() {
        Mnemonic::Pop => u64::from(width::bytes(decoded.memory_size())),
        _ => 0,
    };
    let linear = decoded.virtual_address(operand, 0, |register, _, _| {
        let value = processor.value(register)?;
        let is_stack = matches!(register, Register::RSP | Register::ESP | Register::SP);
        Some(value.wrapping_add(if is_stack { popped } else { 0 }))
    })?;
    Some(processor.linear(linear))
}

/// `bt` and its like take a bit of a string of bits that begins at their operand, if its number is
/// in a register (Intel SDM vol. 2A, BT).
fn bit_offset(decoded: &Instruction, processor: &Processor<'_>, operand: u32) -> u64 {
    let bits = match decoded.code() {
        Code::Bt_rm16_r16 | Code::Bts_rm16_r16 | Code::Btr_rm16_r16 | Code::Btc_rm16_r16 => 16,
        Code::Bt_rm32_r32 | Code::Bts_rm32_r32 | Code::Btr_rm32_r32 | Code::Btc_rm32_r32 => 32,
        Code::Bt_rm64_r64 | Code::Bts_rm64_r64 | Code::Btr_rm64_r64 | Code::Btc_rm64_r64 => 64,
        _ => return 0,
    };
    if operand != 0 {
        return 0;
    }
    let number = processor.value(decoded.op1_register()).unwrap_or(0);
    let signed = match bits {
        16 => i64::from(number as i16),
        32 => i64::from(number as i32),
        _ => number as i64,
    };
    (signed.div_euclid(bits) * (bits / 8)) as u64
}

#[cfg(test)]
mod tests;
