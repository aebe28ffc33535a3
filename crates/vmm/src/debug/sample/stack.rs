//! The calls that led to an instruction, by the chain of saved base pointers: a pure function over
//! registers and a reader of memory.

use boot::state::{CR0_PE, CR0_PG, EFER_LMA, RFLAGS_VM};
use kvm_bindings::{kvm_regs, kvm_sregs};

use crate::limits::MAX_SAMPLE_FRAMES;

/// Instructions of one byte that begin and end a function: `push rbp`, `ret`.
const PUSH_BP: u8 = 0x55;
const RET: u8 = 0xc3;
/// `endbr64` and `endbr32`, but for their last byte.
const ENDBR: [u8; 3] = [0xf3, 0x0f, 0x1e];
/// `mov rbp, rsp` in its two encodings, after REX.W in 64-bit code.
const MOV_BP_SP: [[u8; 2]; 2] = [[0x89, 0xe5], [0x8b, 0xec]];
const REX_W: u8 = 0x48;

/// What code an address is of, beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CodeSpace {
    /// 16, 32 or 64.
    pub bits: u8,
    /// The current privilege level.
    pub cpl: u8,
    /// CR3 where there is paging, else 0.
    pub cr3: u64,
}

impl CodeSpace {
    /// That of a vCPU with these registers.
    pub fn of(registers: &kvm_regs, special: &kvm_sregs) -> Self {
        let is_virtual_8086 = registers.rflags & RFLAGS_VM != 0;
        let is_protected = special.cr0 & CR0_PE != 0;
        let bits = match special {
            _ if !is_protected || is_virtual_8086 => 16,
            _ if special.efer & EFER_LMA != 0 && special.cs.l != 0 => 64,
            _ if special.cs.db != 0 => 32,
            _ => 16,
        };
        let cpl = match () {
            () if !is_protected => 0,
            () if is_virtual_8086 => 3,
            // KVM has the CPL there on all processors.
            () => special.ss.dpl,
        };
        let is_paged = special.cr0 & CR0_PG != 0;
        Self {
            bits,
            cpl,
            cr3: if is_paged { special.cr3 } else { 0 },
        }
    }
}

/// How addresses of one size are made and read.
struct Reach<'a, R> {
    bits: u8,
    special: &'a kvm_sregs,
    read: R,
}

impl<R: Fn(u64, &mut [u8]) -> bool> Reach<'_, R> {
    const fn width(&self) -> usize {
        (self.bits / 8) as usize
    }

    const fn offset(&self, value: u64) -> u64 {
        value & (u64::MAX >> (64 - self.bits))
    }

    const fn linear(&self, base: u64, offset: u64) -> u64 {
        match self.bits {
            64 => offset,
            _ => base.wrapping_add(offset) & 0xffff_ffff,
        }
    }

    fn code(&self, offset: u64) -> u64 {
        self.linear(self.special.cs.base, offset)
    }

    /// `N` words of the stack; none beyond its last address.
    fn words<const N: usize>(&self, offset: u64) -> Option<[u64; N]> {
        let (mut bytes, width) = ([0; 16], self.width());
        let bytes = bytes.get_mut(..N * width)?;
        let last = offset.checked_add(bytes.len() as u64 - 1)?;
        if last != self.offset(last) {
            return None;
        }
        (self.read)(self.linear(self.special.ss.base, offset), bytes).then_some(())?;
        let mut words = [0; N];
        for (word, part) in words.iter_mut().zip(bytes.chunks(width)) {
            *word = part
                .iter()
                .rev()
                .fold(0, |all, byte| all << 8 | u64::from(*byte));
        }
        Some(words)
    }

    /// The linear address to which a call returns, if it may be one: the call before it is there.
    fn return_to(&self, offset: u64) -> Option<u64> {
        let before = self.code(offset.checked_sub(1)?);
        (self.read)(before, &mut [0]).then(|| self.code(offset))
    }

    /// Where the return address is on the stack, if the instruction is one at which RBP is still,
    /// or again, the caller's.
    fn bare_return(&self, registers: &kvm_regs) -> Option<u64> {
        let at = |offset: u64| {
            let mut byte = [0];
            (self.read)(self.code(self.offset(offset)), &mut byte).then(|| byte[0])
        };
        let (rip, rsp) = (registers.rip, self.offset(registers.rsp));
        let first = at(rip)?;
        if first == PUSH_BP || first == RET {
            return Some(rsp);
        }
        if first == ENDBR[0] {
            let is_all = (1..)
                .zip(&ENDBR[1..])
                .all(|(after, byte)| at(rip.wrapping_add(after)) == Some(*byte));
            return is_all.then_some(rsp);
        }
        let wide = u64::from(self.bits == 64);
        if wide == 1 && first != REX_W {
            return None;
        }
        let moved = [at(rip.wrapping_add(wide))?, at(rip.wrapping_add(wide + 1))?];
        let is_second = MOV_BP_SP.contains(&moved) && at(rip.wrapping_sub(1)) == Some(PUSH_BP);
        is_second.then(|| rsp.checked_add(self.width() as u64))?
    }
}

/// Linear addresses: of the next instruction, and then of those to which the calls return, the
/// innermost first. They end where the chain leaves memory, or does not lead up the stack.
pub(super) fn frames(
    registers: &kvm_regs,
    special: &kvm_sregs,
    bits: u8,
    read: impl Fn(u64, &mut [u8]) -> bool,
) -> Vec<u64> {
    let reach = Reach {
        bits,
        special,
        read,
    };
    let mut frames = vec![reach.code(reach.offset(registers.rip))];
    if let Some(caller) = reach
        .bare_return(registers)
        .and_then(|at| reach.return_to(reach.words::<1>(at)?[0]))
    {
        frames.push(caller);
    }
    let mut base = reach.offset(registers.rbp);
    let mut lowest = reach.offset(registers.rsp);
    // A base of 0 marks the outermost frame (System V ABI, AMD64, §3.4.1), or a stack to come.
    while frames.len() < MAX_SAMPLE_FRAMES && base != 0 && base >= lowest {
        let Some([outer, to]) = reach.words::<2>(base) else {
            break;
        };
        let Some(caller) = reach.return_to(to) else {
            break;
        };
        frames.push(caller);
        // The stack grows down: what does not lead up would lead in a circle.
        let Some(next) = base.checked_add(1) else {
            break;
        };
        (base, lowest) = (outer, next);
    }
    frames
}

#[cfg(test)]
mod tests;
