//! What instructions push and pop, without the operands that they name.

use iced_x86::{Code, Instruction, Mnemonic};

use super::processor::{MemoryAccess, Processor};
use super::role::Role;
use crate::state::CR0_PE;

/// The levels of `enter` (Intel SDM vol. 2A, ENTER).
const LEVELS: u8 = 0x1f;

/// Words that `iret` pops within a ring, and in 64-bit mode always (vol. 2A, IRET).
const IRET_WORDS: u32 = 3;
const IRET_WORDS_64: u32 = 5;

/// What an interrupt pushes in real mode (vol. 3B §21.1.4): FLAGS, CS, IP.
const REAL_FRAME_BYTES: u32 = 6;
/// A vector of the table that it goes by.
const REAL_VECTOR_BYTES: u32 = 4;

/// Adds the accesses to the stack.
pub(super) fn accesses(
    decoded: &Instruction,
    processor: &Processor<'_>,
    found: &mut Vec<MemoryAccess>,
) {
    let word = word_bytes(decoded.code());
    let rsp = processor.registers.rsp;
    let push = |words: u32| {
        let bytes = words * word;
        let at = processor.on_stack(rsp, -i64::from(bytes));
        processor.access(at, bytes, Role::WRITTEN)
    };
    let pop = |words: u32| processor.access(processor.on_stack(rsp, 0), words * word, Role::READ);
    match decoded.mnemonic() {
        Mnemonic::Push | Mnemonic::Pushf | Mnemonic::Pushfd | Mnemonic::Pushfq => {
            found.push(push(1));
        }
        Mnemonic::Pop | Mnemonic::Popf | Mnemonic::Popfd | Mnemonic::Popfq | Mnemonic::Ret => {
            found.push(pop(1));
        }
        Mnemonic::Pusha | Mnemonic::Pushad => found.push(push(8)),
        Mnemonic::Popa | Mnemonic::Popad => found.push(pop(8)),
        Mnemonic::Call => found.push(push(if is_far(decoded.code()) { 2 } else { 1 })),
        Mnemonic::Retf => found.push(pop(2)),
        Mnemonic::Iret | Mnemonic::Iretd | Mnemonic::Iretq => {
            let is_64 = processor.bits == 64;
            found.push(pop(if is_64 { IRET_WORDS_64 } else { IRET_WORDS }));
        }
        Mnemonic::Leave => {
            let at = processor.on_stack(processor.registers.rbp, 0);
            found.push(processor.access(at, word, Role::READ));
        }
        Mnemonic::Enter => enter(decoded, processor, word, found),
        Mnemonic::Int | Mnemonic::Int3 | Mnemonic::Int1 | Mnemonic::Into => {
            interrupt(decoded, processor, found);
        }
        _ => {}
    }
}

/// Pushes the frame pointer, those of the frames around it, and the one of its own.
fn enter(
    decoded: &Instruction,
    processor: &Processor<'_>,
    word: u32,
    found: &mut Vec<MemoryAccess>,
) {
    let level = u32::from(decoded.immediate8_2nd() & LEVELS);
    let pushed = (1 + level) * word;
    let at = processor.on_stack(processor.registers.rsp, -i64::from(pushed));
    found.push(processor.access(at, pushed, Role::WRITTEN));
    if level > 1 {
        let around = (level - 1) * word;
        let at = processor.on_stack(processor.registers.rbp, -i64::from(around));
        found.push(processor.access(at, around, Role::READ));
    }
}

/// Of real mode alone: elsewhere a gate decides.
fn interrupt(decoded: &Instruction, processor: &Processor<'_>, found: &mut Vec<MemoryAccess>) {
    if processor.special.cr0 & CR0_PE != 0 {
        return;
    }
    let vector = match decoded.mnemonic() {
        Mnemonic::Int1 => 1,
        Mnemonic::Int3 => 3,
        Mnemonic::Into => 4,
        _ => decoded.immediate8(),
    };
    let bytes = REAL_FRAME_BYTES;
    let at = processor.on_stack(processor.registers.rsp, -i64::from(bytes));
    found.push(processor.access(at, bytes, Role::WRITTEN));
    let gate = u64::from(vector) * u64::from(REAL_VECTOR_BYTES);
    let gate = processor.special.idt.base.wrapping_add(gate);
    found.push(processor.access(gate, REAL_VECTOR_BYTES, Role::READ));
}

const fn is_far(code: Code) -> bool {
    matches!(
        code,
        Code::Call_ptr1616
            | Code::Call_ptr1632
            | Code::Call_m1616
            | Code::Call_m1632
            | Code::Call_m1664
    )
}

/// The size of what one push or pop of an instruction moves.
#[rustfmt::skip]
const fn word_bytes(code: Code) -> u32 {
    use Code as It;
    match code {
        It::Push_r16 | It::Push_rm16 | It::Push_imm16 | It::Pushw_imm8
        | It::Pushw_ES | It::Pushw_CS | It::Pushw_SS | It::Pushw_DS | It::Pushw_FS | It::Pushw_GS
        | It::Pop_r16 | It::Pop_rm16
        | It::Popw_ES | It::Popw_CS | It::Popw_SS | It::Popw_DS | It::Popw_FS | It::Popw_GS
        | It::Pushaw | It::Popaw | It::Pushfw | It::Popfw
        | It::Call_rel16 | It::Call_rm16 | It::Call_ptr1616 | It::Call_m1616
        | It::Retnw | It::Retnw_imm16 | It::Retfw | It::Retfw_imm16 | It::Iretw
        | It::Enterw_imm16_imm8 | It::Leavew => 2,
        It::Push_r64 | It::Push_rm64 | It::Pushq_imm8 | It::Pushq_imm32 | It::Pushq_FS | It::Pushq_GS
        | It::Pop_r64 | It::Pop_rm64 | It::Popq_FS | It::Popq_GS
        | It::Pushfq | It::Popfq
        | It::Call_rel32_64 | It::Call_rm64 | It::Call_m1664
        | It::Retnq | It::Retnq_imm16 | It::Retfq | It::Retfq_imm16 | It::Iretq
        | It::Enterq_imm16_imm8 | It::Leaveq => 8,
        _ => 4,
    }
}
