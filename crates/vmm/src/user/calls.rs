//! A system call: what it is, and how the program goes on after it.

use boot::Privilege;
use boot::layout::USER_CODE;
use boot::state::RFLAGS_FIXED;
use boot::state::user::{RFLAGS_OF_RING_3, in_ring};
use kvm_bindings::{kvm_regs, kvm_sregs};
use linux::{Answer, Call, Thread, World};

use super::host::{Facts, Physical};
use super::{RFLAGS_IF, Ruling, User, UserState, refused};
use crate::error::Result;
use crate::kvm::memory::GuestMemory;
use crate::kvm::vcpu::Vcpu;

/// Bytes of the entry's `out`, after which `sysretq` stands.
const OUT_BYTES: u64 = 2;
/// One past the addresses that ring 3 may have.
const USER_END: u64 = 1 << 47;

/// Why a program stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserStop {
    /// The function that was called is back.
    Returned,
    /// A system call that the caller answers.
    Call {
        /// RAX.
        number: u64,
        /// RDI, RSI, RDX, R10, R8, R9.
        arguments: [u64; 6],
        /// The stack pointer.
        rsp: u64,
    },
    /// `exit` or `exit_group`.
    Exit {
        /// Its code.
        code: i32,
    },
}

impl User {
    /// `registers` are those at the entry.
    pub(super) fn system_call(&mut self, vcpu: &mut Vcpu, registers: &kvm_regs) -> Result<Ruling> {
        // What `syscall` has put there, or what somebody says who has jumped to the entry.
        let (rip, flags) = (registers.rcx, registers.r11);
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
            rflags: flags & RFLAGS_OF_RING_3 | RFLAGS_FIXED | RFLAGS_IF,
            r11: flags & RFLAGS_OF_RING_3 | RFLAGS_FIXED | RFLAGS_IF,
            ..*registers
        };
        let call = Call {
            number: registers.rax,
            arguments: [
                registers.rdi,
                registers.rsi,
                registers.rdx,
                registers.r10,
                registers.r8,
                registers.r9,
            ],
        };
        let special = vcpu.special_registers()?;
        let is_ring_0 = special.cs.dpl == 0;
        let before = self.state.thread;
        let stop = match self.state.answer(&call, vcpu.page().memory()) {
            Answer::Value(value) if before == self.state.thread => {
                let registers = kvm_regs { rax: value, ..back };
                vcpu.set_registers(&if is_ring_0 {
                    // There it goes back by itself.
                    kvm_regs {
                        rip: USER_CODE + OUT_BYTES,
                        rflags: RFLAGS_FIXED,
                        ..registers
                    }
                } else {
                    registers
                })?;
                return Ok(Ruling::Go);
            }
            Answer::Value(value) => {
                let special = self.state.thread_registers(&special, before);
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
        };
        if is_ring_0 {
            let events = vcpu.events()?;
            vcpu.stage(&back, &in_ring(&special, Privilege::User), &events)?;
        } else {
            vcpu.set_registers(&back)?;
        }
        self.state.asked = Some(back);
        self.state.stop = Some(stop);
        Ok(Ruling::End)
    }
}

impl UserState {
    fn answer(&mut self, call: &Call, memory: &GuestMemory) -> Answer {
        self.kernel.call(
            call,
            &mut World {
                space: &mut self.space,
                memory: &Physical(memory),
                thread: &mut self.thread,
                host: &mut Facts,
            },
        )
    }

    /// Special registers of ring 3, with the bases that a system call has set.
    fn thread_registers(&self, special: &kvm_sregs, before: Thread) -> kvm_sregs {
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
