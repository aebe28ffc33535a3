//! How stops are told, however they have shown.

use boot::state::EFER_LMA;
use boot::state::traps::{BREAKPOINT, DEBUG};
use kvm_bindings::{kvm_regs, kvm_sregs};

use crate::debug::{Stop, StopAt, StopKind};
use crate::kvm::exit::Exit;

/// DR6.BS, a single step (Intel SDM vol. 3B §18.2.3), and its four bits for the debug registers.
const DR6_STEP: u64 = 1 << 14;
pub(super) const DR6_HARDWARE: u64 = 0xf;

/// An instruction that is next.
pub(super) const fn breakpoint(pc: u64) -> Exit {
    Exit::Debug {
        exception: BREAKPOINT as u32,
        pc,
        dr6: 0,
        dr7: 0,
    }
}

/// An instruction that was executed, by the address of the next one.
pub(super) const fn stepped(pc: u64) -> Exit {
    Exit::Debug {
        exception: DEBUG as u32,
        pc,
        dr6: DR6_STEP,
        dr7: 0,
    }
}

/// The linear address of the next instruction.
pub(super) fn linear_rip(registers: &kvm_regs, special: &kvm_sregs) -> u64 {
    if special.efer & EFER_LMA != 0 && special.cs.l != 0 {
        registers.rip
    } else {
        special.cs.base.wrapping_add(registers.rip) & 0xffff_ffff
    }
}

pub(super) const fn linear_of(stop: &Stop) -> Option<u64> {
    match stop.kind {
        StopKind::Breakpoint(StopAt::Linear(linear)) => Some(linear),
        _ => None,
    }
}
