//! Signals on their way into a program, and handlers on their way back.

use std::sync::Arc;

use boot::state::user::{USER_END, flags_of_ring_3};
use kvm_bindings::{kvm_regs, kvm_sregs};
use linux::{Delivery, Registers, Trap};

use crate::error::Result;
use crate::kvm::vcpu::Vcpu;
use crate::user::state::{Ruling, UserState, UserStop, go_on_in_ring_3};

/// Words of the area that FXSAVE writes: the control and status words of the x87, MXCSR, and the
/// bits of it that there are (Intel SDM vol. 1 §10.5.1); and what XSAVE says of the rest (§13.4.2).
const X87_WORD: usize = 0;
const MXCSR_WORD: usize = 6;
const PRESENT_WORD: usize = 128;
/// What a processor begins with: x87 and SSE, with all exceptions masked.
const X87_BEGIN: u32 = 0x37f;
const MXCSR_BEGIN: u32 = 0x1f80;
const X87_AND_SSE: u32 = 3;
/// Exceptions of the x87 and of SSE (vol. 3A, table 6-1).
const X87_FAULT: u8 = 16;
const SSE_FAULT: u8 = 19;

/// How a program goes on after signals were delivered.
pub(super) enum Delivered {
    /// With these registers, in ring 3.
    Goes(kvm_regs),
    /// It does not, and `stop` says so.
    Killed,
}

/// Delivers what waits to a program that would go on in ring 3 with `registers`; `call` is the
/// number of the system call that it comes from.
pub(super) fn deliver(
    state: &mut UserState,
    vcpu: &mut Vcpu,
    registers: &kvm_regs,
    call: Option<u64>,
) -> Result<Delivered> {
    let mut plain = plain(registers);
    let page = Arc::clone(vcpu.page());
    let delivery = state.with_kernel(page.memory(), |kernel, world| {
        kernel.deliver(&mut plain, call, world)
    });
    let frames = match delivery {
        Delivery::Killed { signal } => {
            state.stop = Some(UserStop::Killed { signal });
            return Ok(Delivered::Killed);
        }
        Delivery::Goes(frames) => frames,
    };
    if let Some((first, others)) = frames.split_first() {
        let interrupted: Arc<[u32]> = vcpu.xsave()?.into();
        let begin: Arc<[u32]> = begin_of(&interrupted).into();
        vcpu.set_xsave(&begin)?;
        state.frames.put(*first, interrupted);
        for frame in others {
            state.frames.put(*frame, Arc::clone(&begin));
        }
    }
    Ok(Delivered::Goes(of_ring_3(&plain)))
}

/// `rt_sigreturn`, with the registers of that call.
pub(super) fn leave(
    state: &mut UserState,
    vcpu: &mut Vcpu,
    registers: &kvm_regs,
) -> Result<Delivered> {
    let mut plain = plain(registers);
    let page = Arc::clone(vcpu.page());
    let frame = state.with_kernel(page.memory(), |kernel, world| {
        kernel.leave_handler(&mut plain, world)
    });
    if let Some(interrupted) = frame.and_then(|frame| state.frames.take(frame)) {
        vcpu.set_xsave(&interrupted)?;
    }
    deliver(state, vcpu, &of_ring_3(&plain), None)
}

/// After a system call, at which the program would have gone on with `registers`.
pub(super) fn go_on(
    delivered: Delivered,
    vcpu: &mut Vcpu,
    registers: &kvm_regs,
    special: &kvm_sregs,
) -> Result<Ruling> {
    let (registers, ruling) = match delivered {
        Delivered::Goes(registers) => (registers, Ruling::Go),
        Delivered::Killed => (*registers, Ruling::End),
    };
    go_on_in_ring_3(vcpu, &registers, special)?;
    Ok(ruling)
}

/// A fault becomes a signal if the program has a handler for it: what it goes on with then.
pub(super) fn trapped(
    state: &mut UserState,
    vcpu: &mut Vcpu,
    trap: Trap,
    registers: &kvm_regs,
) -> Result<Option<Delivered>> {
    let exceptions = exceptions(vcpu, trap.vector)?;
    let trap = Trap { exceptions, ..trap };
    if !state.kernel.take_trap(&trap, &state.space) {
        return Ok(None);
    }
    deliver(state, vcpu, registers, None).map(Some)
}

/// Floating-point exceptions that are flagged and not masked.
fn exceptions(vcpu: &Vcpu, vector: u8) -> Result<u32> {
    if ![X87_FAULT, SSE_FAULT].contains(&vector) {
        return Ok(0);
    }
    let state = vcpu.xsave()?;
    let word = |index: usize| state.get(index).copied().unwrap_or_default();
    Ok(match vector {
        X87_FAULT => word(X87_WORD) >> 16 & !word(X87_WORD) & 0x3f,
        _ => word(MXCSR_WORD) & !(word(MXCSR_WORD) >> 7) & 0x3f,
    })
}

/// What a handler begins with, as large as another state.
fn begin_of(state: &[u32]) -> Vec<u32> {
    let mut words = vec![0; state.len()];
    let mask = state.get(MXCSR_WORD + 1).copied().unwrap_or_default();
    for (index, word) in [
        (X87_WORD, X87_BEGIN),
        (MXCSR_WORD, MXCSR_BEGIN),
        (MXCSR_WORD + 1, mask),
        (PRESENT_WORD, X87_AND_SSE),
    ] {
        if let Some(to) = words.get_mut(index) {
            *to = word;
        }
    }
    words
}

const fn plain(registers: &kvm_regs) -> Registers {
    Registers {
        r8: registers.r8,
        r9: registers.r9,
        r10: registers.r10,
        r11: registers.r11,
        r12: registers.r12,
        r13: registers.r13,
        r14: registers.r14,
        r15: registers.r15,
        rdi: registers.rdi,
        rsi: registers.rsi,
        rbp: registers.rbp,
        rbx: registers.rbx,
        rdx: registers.rdx,
        rax: registers.rax,
        rcx: registers.rcx,
        rsp: registers.rsp,
        rip: registers.rip,
        rflags: registers.rflags,
    }
}

/// Whatever a frame has said, no program has other flags, or instructions elsewhere.
const fn of_ring_3(registers: &Registers) -> kvm_regs {
    kvm_regs {
        r8: registers.r8,
        r9: registers.r9,
        r10: registers.r10,
        r11: registers.r11,
        r12: registers.r12,
        r13: registers.r13,
        r14: registers.r14,
        r15: registers.r15,
        rdi: registers.rdi,
        rsi: registers.rsi,
        rbp: registers.rbp,
        rbx: registers.rbx,
        rdx: registers.rdx,
        rax: registers.rax,
        rcx: registers.rcx,
        rsp: registers.rsp,
        rip: registers.rip & (USER_END - 1),
        rflags: flags_of_ring_3(registers.rflags),
    }
}
