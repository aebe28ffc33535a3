//! A system call: what it is, and how the program goes on after it.

use boot::Privilege;
use boot::state::RFLAGS_FIXED;
use boot::state::user::{ENTERED, USER_END, flags_of_ring_3, in_ring};
use kvm_bindings::{kvm_regs, kvm_sregs};
use linux::{Answer, Call, Thread};

use crate::error::Result;
use crate::kvm::memory::GuestMemory;
use crate::kvm::vcpu::Vcpu;
use crate::user::signals;
use crate::user::state::{Ruling, UserState, UserStop, go_on_in_ring_3, refused};

/// What a system call comes to; `registers` are those at the entry.
pub(super) fn system_call(
    state: &mut UserState,
    vcpu: &mut Vcpu,
    registers: &kvm_regs,
) -> Result<Ruling> {
    // What `syscall` has put there, or what a jump to the entry has left there.
    let (rip, flags) = (registers.rcx, flags_of_ring_3(registers.r11));
    if rip >= USER_END {
        return refused(
            vcpu,
            kvm_regs {
                rip: 0,
                ..*registers
            },
        );
    }
    let back = kvm_regs {
        rip,
        rcx: rip,
        rflags: flags,
        r11: flags,
        ..*registers
    };
    let call = call_of(registers);
    let special = vcpu.special_registers()?;
    let is_ring_0 = special.cs.dpl == 0;
    state.thread.rsp = registers.rsp;
    let before = state.thread;
    let answer = state.answer(&call, vcpu.page().memory());
    let stop = match answer {
        // A call that sets a base sends no signal, and what was sent before has come.
        Answer::Value(value) if before == state.thread && state.kernel.has_signal() => {
            let back = kvm_regs { rax: value, ..back };
            let delivered = signals::deliver(state, vcpu, &back, Some(call.number))?;
            return signals::go_on(delivered, vcpu, &back, &special);
        }
        Answer::Return => {
            let delivered = signals::leave(state, vcpu, &back)?;
            return signals::go_on(delivered, vcpu, &back, &special);
        }
        Answer::Value(value) if before == state.thread => {
            let registers = kvm_regs { rax: value, ..back };
            vcpu.set_registers(&if is_ring_0 {
                // There it goes back by itself.
                kvm_regs {
                    rip: ENTERED,
                    rflags: RFLAGS_FIXED,
                    ..registers
                }
            } else {
                registers
            })?;
            return Ok(Ruling::Go);
        }
        Answer::Value(value) => {
            let special = state.thread_registers(&special, before);
            let events = vcpu.events()?;
            vcpu.stage(&kvm_regs { rax: value, ..back }, &special, &events)?;
            return Ok(Ruling::Go);
        }
        Answer::Ask => UserStop::Call {
            number: call.number,
            arguments: call.arguments,
            rsp: registers.rsp,
        },
        Answer::Exit { code } => UserStop::Exit { code },
        Answer::Killed { signal } => UserStop::Killed { signal },
    };
    go_on_in_ring_3(vcpu, &back, &special)?;
    state.asked = Some(back);
    state.stop = Some(stop);
    Ok(Ruling::End)
}

const fn call_of(registers: &kvm_regs) -> Call {
    Call {
        number: registers.rax,
        arguments: [
            registers.rdi,
            registers.rsi,
            registers.rdx,
            registers.r10,
            registers.r8,
            registers.r9,
        ],
    }
}

impl UserState {
    fn answer(&mut self, call: &Call, memory: &GuestMemory) -> Answer {
        self.with_kernel(memory, |kernel, world| kernel.call(call, world))
    }

    /// What was asked of the caller, and the caller has left to the kernel.
    pub(super) fn go_on(&mut self, call: &Call, memory: &GuestMemory) -> Answer {
        self.with_kernel(memory, |kernel, world| kernel.go_on(call, world))
    }

    /// Special registers of ring 3, with the bases that a system call has set.
    pub(super) fn thread_registers(&self, special: &kvm_sregs, before: Thread) -> kvm_sregs {
        let mut changed = in_ring(special, Privilege::User);
        if before.fs_base != self.thread.fs_base {
            changed.fs.base = self.thread.fs_base;
        }
        if before.gs_base != self.thread.gs_base {
            changed.gs.base = self.thread.gs_base;
        }
        changed
    }
}
