//! Faults as signals (`arch/x86/kernel/traps.c`).

use linux_raw_sys::general::{
    BUS_ADRALN, FPE_FLTDIV, FPE_FLTINV, FPE_FLTOVF, FPE_FLTRES, FPE_FLTUND, FPE_INTDIV, ILL_ILLOPN,
    SEGV_ACCERR, SEGV_MAPERR, SI_KERNEL, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP, TRAP_TRACE,
};

use super::pending::Sent;
use super::state::Signals;
use crate::space::Space;

/// A processor's vectors (Intel SDM vol. 3A, table 6-1).
const DIVIDE: u8 = 0;
const DEBUG: u8 = 1;
const BREAKPOINT: u8 = 3;
const INVALID_OPCODE: u8 = 6;
const NOT_PRESENT: u8 = 11;
const STACK: u8 = 12;
const PAGE_FAULT: u8 = 14;
const FLOATING_POINT: u8 = 16;
const ALIGNMENT: u8 = 17;
const VECTOR_FLOATING_POINT: u8 = 19;

/// A fault of the program's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trap {
    /// 0 to 31.
    pub vector: u8,
    /// What the processor has pushed, or 0.
    pub error_code: u32,
    /// Of a page fault.
    pub address: u64,
    /// The instruction.
    pub rip: u64,
    /// Floating-point exceptions that are flagged and not masked, in the order of MXCSR.
    pub exceptions: u32,
}

/// Makes a signal of a fault; false if no handler would be entered for it.
pub fn take(signals: &mut Signals, trap: &Trap, space: &Space) -> bool {
    let sent = sent(trap, space);
    let is_taken = signals.is_taken(sent.signal);
    if is_taken {
        signals.trap = [trap.error_code.into(), trap.vector.into(), trap.address];
        signals.force(sent);
    }
    is_taken
}

fn sent(trap: &Trap, space: &Space) -> Sent {
    let (signal, code, address) = match trap.vector {
        DIVIDE => (SIGFPE, FPE_INTDIV, trap.rip),
        DEBUG => (SIGTRAP, TRAP_TRACE, trap.rip),
        BREAKPOINT => (SIGTRAP, SI_KERNEL, 0),
        INVALID_OPCODE => (SIGILL, ILL_ILLOPN, trap.rip),
        NOT_PRESENT | STACK => (SIGBUS, SI_KERNEL, 0),
        ALIGNMENT => (SIGBUS, BUS_ADRALN, 0),
        PAGE_FAULT if space.protection(trap.address).is_some() => {
            (SIGSEGV, SEGV_ACCERR, trap.address)
        }
        PAGE_FAULT => (SIGSEGV, SEGV_MAPERR, trap.address),
        FLOATING_POINT | VECTOR_FLOATING_POINT => (SIGFPE, exception(trap.exceptions), trap.rip),
        _ => (SIGSEGV, SI_KERNEL, 0),
    };
    Sent {
        signal,
        code: code.cast_signed(),
        details: [address, 0],
    }
}

/// The first of them, in the kernel's order.
const fn exception(flagged: u32) -> u32 {
    match flagged {
        _ if flagged & 1 != 0 => FPE_FLTINV,
        _ if flagged & 4 != 0 => FPE_FLTDIV,
        _ if flagged & 8 != 0 => FPE_FLTOVF,
        _ if flagged & 0x12 != 0 => FPE_FLTUND,
        _ if flagged & 0x20 != 0 => FPE_FLTRES,
        _ => SI_KERNEL,
    }
}
