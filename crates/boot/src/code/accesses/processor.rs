//! Registers as addresses are made of them.

use iced_x86::Register;
use kvm_bindings::{kvm_regs, kvm_segment, kvm_sregs};

use super::role::Role;

/// Bytes that an instruction accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryAccess {
    /// The first one's linear address.
    pub linear: u64,
    /// How many. They may go on at 0 after the last address.
    pub bytes: u32,
    /// Whether it reads them.
    pub reads: bool,
    /// Whether it writes them.
    pub writes: bool,
}

/// RFLAGS.DF: strings go down (Intel SDM vol. 1 §3.4.3.2).
const RFLAGS_DF: u64 = 1 << 10;

/// A vCPU before an instruction.
#[derive(Clone, Copy)]
pub(super) struct Processor<'a> {
    /// Of its code.
    pub bits: u32,
    /// The size of (R)CX as the instruction counts by it.
    pub counter_bytes: u32,
    pub registers: &'a kvm_regs,
    pub special: &'a kvm_sregs,
}

impl Processor<'_> {
    /// The value of a general register that addresses are made of, or the base of a segment; of
    /// other registers there is none.
    pub fn value(&self, register: Register) -> Option<u64> {
        let at = |first: Register| (register as usize).checked_sub(first as usize);
        let general = |first, mask: u64| {
            let registers = self.general();
            at(first)
                .and_then(|at| registers.get(at))
                .map(|value| value & mask)
        };
        if register == Register::AL {
            return Some(self.registers.rax & 0xff);
        }
        self.segment(register)
            .or_else(|| general(Register::RAX, u64::MAX))
            .or_else(|| general(Register::EAX, 0xffff_ffff))
            .or_else(|| general(Register::AX, 0xffff))
    }

    /// In the order of their numbers.
    const fn general(&self) -> [u64; 16] {
        let it = self.registers;
        [
            it.rax, it.rcx, it.rdx, it.rbx, it.rsp, it.rbp, it.rsi, it.rdi, it.r8, it.r9, it.r10,
            it.r11, it.r12, it.r13, it.r14, it.r15,
        ]
    }

    /// In 64-bit mode only FS and GS have one (vol. 3A §3.4.4).
    fn segment(&self, register: Register) -> Option<u64> {
        let it = self.special;
        let (segment, is_kept) = match register {
            Register::ES => (&it.es, false),
            Register::CS => (&it.cs, false),
            Register::SS => (&it.ss, false),
            Register::DS => (&it.ds, false),
            Register::FS => (&it.fs, true),
            Register::GS => (&it.gs, true),
            _ => return None,
        };
        Some(if self.bits < 64 || is_kept {
            segment.base
        } else {
            0
        })
    }

    /// Linear addresses have 32 bits outside of 64-bit mode.
    pub const fn linear(&self, address: u64) -> u64 {
        if self.bits < 64 {
            address & 0xffff_ffff
        } else {
            address
        }
    }

    pub fn access(&self, linear: u64, bytes: u32, role: Role) -> MemoryAccess {
        MemoryAccess {
            linear: self.linear(linear),
            bytes,
            reads: role.reads,
            writes: role.writes,
        }
    }

    /// Rounds of a string instruction, of which the first is at an address.
    pub fn run(&self, linear: u64, size: u32, rounds: u64, role: Role) -> Option<MemoryAccess> {
        if rounds == 0 || size == 0 {
            return None;
        }
        let bytes = u64::from(size)
            .saturating_mul(rounds)
            .min(u64::from(u32::MAX));
        let first = match self.registers.rflags & RFLAGS_DF {
            0 => linear,
            _ => linear.wrapping_sub(bytes - u64::from(size)),
        };
        Some(self.access(first, bytes as u32, role))
    }

    /// (R)CX.
    pub const fn counter(&self) -> u64 {
        match self.counter_bytes {
            2 => self.registers.rcx & 0xffff,
            4 => self.registers.rcx & 0xffff_ffff,
            _ => self.registers.rcx,
        }
    }

    /// What is so many bytes above a stack pointer, or below (vol. 1 §6.2.3).
    pub const fn on_stack(&self, pointer: u64, offset: i64) -> u64 {
        let ss: &kvm_segment = &self.special.ss;
        let offset = pointer.wrapping_add(offset as u64);
        if self.bits == 64 {
            return offset;
        }
        let within = if ss.db == 1 { 0xffff_ffff } else { 0xffff };
        self.linear(ss.base.wrapping_add(offset & within))
    }
}
