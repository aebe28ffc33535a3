//! The trap table: an IDT of ours, whose gates lead to stubs that tell the host of a fault (Intel
//! SDM vol. 3A §6.10 to §6.14).
//!
//! Each vector has a stub of its own, so that the instruction pointer alone says which one it was.
//! What is in the registers and in memory stays what it was at the fault, but for the frame that
//! the processor pushes: in long mode on a stack of ours, whatever RSP is; in 32 bits, where gates
//! cannot switch stacks within a ring, on the guest's own.

use kvm_bindings::kvm_dtable;

use super::config::Table;
use super::task;
use crate::layout::{EXCEPTIONS, FAULT_STACK_END, IDT, STUB_BYTES, STUBS};
use crate::mode::CpuMode;

/// The port that the stubs write to, which needs one byte of an instruction. No PC has anything
/// there.
pub const FAULT_PORT: u8 = 0xfa;
/// The vector of a debug exception (Intel SDM vol. 3A table 6-1).
pub const DEBUG: u8 = 1;
/// The vector of `int3`.
pub const BREAKPOINT: u8 = 3;

/// A present interrupt gate of 32 or 64 bits (figures 6-2 and 6-8).
const GATE: u8 = 0x8e;
/// A gate's DPL, for `int3` and `into` of ring 3.
const DPL_3: u8 = 3 << 5;
/// The vectors of these two.
const OF_INSTRUCTIONS: [u8; 2] = [BREAKPOINT, 4];
/// Long mode's gates switch to the first stack of the interrupt stack table.
const IST: u8 = 1;
/// Bytes of a stub's `out`.
const OUT_BYTES: u64 = 2;
/// Words that the processor pushes in 64-bit mode: SS, RSP, RFLAGS, CS, RIP.
const FRAME_WORDS: u64 = 5;

/// IDTR with the trap table of a mode.
pub const fn register(mode: CpuMode) -> kvm_dtable {
    let limit = EXCEPTIONS * gate_bytes(mode) - 1;
    kvm_dtable {
        base: IDT,
        limit: limit as u16,
        padding: [0; 3],
    }
}

const fn gate_bytes(mode: CpuMode) -> u64 {
    match mode {
        CpuMode::Long => 16,
        CpuMode::Real | CpuMode::Protected | CpuMode::Paged32 => 8,
    }
}

/// The gates, the stubs, and in long mode the pointer to their stack.
pub fn tables(mode: CpuMode, code: u16) -> Vec<Table> {
    let gates = vectors().flat_map(|vector| gate(mode, code, vector));
    let stubs = vectors().flat_map(|_| stub());
    let mut tables = vec![
        Table {
            gpa: IDT,
            bytes: gates.collect(),
        },
        Table {
            gpa: STUBS,
            bytes: stubs.collect(),
        },
    ];
    if mode == CpuMode::Long {
        tables.push(task::fault_stack());
    }
    tables
}

fn vectors() -> impl Iterator<Item = u8> {
    0..EXCEPTIONS as u8
}

fn gate(mode: CpuMode, code: u16, vector: u8) -> Vec<u8> {
    let stub = STUBS + u64::from(vector) * STUB_BYTES;
    let dpl = match vector {
        vector if OF_INSTRUCTIONS.contains(&vector) => DPL_3,
        _ => 0,
    };
    let is_long = mode == CpuMode::Long;
    let first = stub & 0xffff
        | u64::from(code) << 16
        | u64::from(if is_long { IST } else { 0 }) << 32
        | u64::from(GATE | dpl) << 40
        | (stub >> 16 & 0xffff) << 48;
    let second = is_long.then_some(stub >> 32);
    let words = std::iter::once(first).chain(second);
    words.flat_map(u64::to_le_bytes).collect()
}

/// `out FAULT_PORT, al; hlt; jmp` back to the `hlt`. The host takes the vCPU away at the first of
/// them.
const fn stub() -> [u8; STUB_BYTES as usize] {
    let mut bytes = [0; STUB_BYTES as usize];
    let code = [0xe6, FAULT_PORT, 0xf4, 0xeb, 0xfd];
    let mut at = 0;
    while at < code.len() {
        bytes[at] = code[at];
        at += 1;
    }
    bytes
}

/// The vector whose stub is at its `out`, or right after it: KVMs differ in when they count an
/// instruction that exits.
pub fn vector_at(linear: u64) -> Option<u8> {
    let at = linear.checked_sub(STUBS)?;
    let is_out = matches!(at % STUB_BYTES, 0 | OUT_BYTES);
    (is_out && at / STUB_BYTES < EXCEPTIONS).then_some((at / STUB_BYTES) as u8)
}

/// Whether the processor pushes an error code for a vector (table 6-1; AMD APM vol. 2 §8.2).
pub const fn has_error_code(vector: u8) -> bool {
    matches!(vector, 8 | 10..=14 | 17 | 21 | 29 | 30)
}

/// Whether 64-bit mode's stack for faults, of which one frame is all that ever lies there, has an
/// error code at `rsp`; none if that is no frame.
pub const fn pushed_error_code(rsp: u64) -> Option<bool> {
    match FAULT_STACK_END.wrapping_sub(rsp) / 8 {
        FRAME_WORDS if rsp.is_multiple_of(8) => Some(false),
        words if words == FRAME_WORDS + 1 && rsp.is_multiple_of(8) => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
