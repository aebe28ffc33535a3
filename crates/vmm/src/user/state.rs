//! What there is of a program beside its registers and its memory, and what its exits come to.

use boot::Privilege;
use boot::state::user::in_ring;
use kvm_bindings::{kvm_regs, kvm_sregs};
use linux::{Kernel, Space, Thread, World};

use crate::error::Result;
use crate::kvm::memory::GuestMemory;
use crate::kvm::vcpu::Vcpu;
use crate::user::frames::Frames;
use crate::user::host::Facts;

/// The vector of a general-protection exception.
const GENERAL_PROTECTION: u8 = 13;

/// Where a program lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserProgram {
    /// What is added to the addresses of its image.
    pub base: u64,
    /// Its first instruction; none of a library without a start.
    pub entry: Option<u64>,
    /// Where its stack begins.
    pub stack: u64,
}

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
    /// The vCPU has looked for calls without an exit, and there was none for long.
    Parked,
    /// `exit` or `exit_group`.
    Exit {
        /// Its code.
        code: i32,
    },
    /// A signal has ended the program.
    Killed {
        /// 1 to 64.
        signal: u32,
    },
}

/// All that belongs to a program's state beside its registers and its memory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UserState {
    pub program: UserProgram,
    pub kernel: Kernel,
    pub(super) thread: Thread,
    pub space: Space,
    pub(super) facts: Facts,
    /// The extended state of what handlers have interrupted.
    pub(super) frames: Frames,
    /// Why it stands still, if the caller is to know.
    pub(super) stop: Option<UserStop>,
    /// The registers with which it goes on after a call, but for RAX.
    pub(super) asked: Option<kvm_regs>,
}

impl UserState {
    /// What answers a program, with all that it may look at and change.
    pub(super) fn with_kernel<T>(
        &mut self,
        memory: &GuestMemory,
        act: impl FnOnce(&mut Kernel, &mut World<'_>) -> T,
    ) -> T {
        let mut world = World {
            space: &mut self.space,
            memory,
            thread: &mut self.thread,
            host: &mut self.facts,
        };
        act(&mut self.kernel, &mut world)
    }
}

/// What a processor has refused, or the machine in its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    pub vector: u8,
    pub error_code: Option<u32>,
    /// Of a page fault.
    pub address: Option<u64>,
    pub rip: u64,
    /// With which the program would go on.
    pub registers: kvm_regs,
    pub special: kvm_sregs,
}

/// What becomes of an exit.
pub(crate) enum Ruling {
    /// The program goes on.
    Go,
    /// The run ends.
    End,
    /// It ends with a fault.
    Fault(Box<Refusal>),
}

/// The vCPU goes on in ring 3, whichever ring it is in.
pub(super) fn go_on_in_ring_3(
    vcpu: &mut Vcpu,
    registers: &kvm_regs,
    special: &kvm_sregs,
) -> Result<()> {
    if special.cs.dpl == 3 {
        return vcpu.set_registers(registers);
    }
    let events = vcpu.events()?;
    vcpu.stage(registers, &in_ring(special, Privilege::User), &events)
}

/// Ring 3 has written to the port, which is no business of its own.
pub(super) fn refused(vcpu: &mut Vcpu, registers: kvm_regs) -> Result<Ruling> {
    let special = vcpu.special_registers()?;
    Ok(Ruling::Fault(Box::new(Refusal {
        vector: GENERAL_PROTECTION,
        error_code: Some(0),
        address: None,
        rip: registers.rip,
        registers,
        special: in_ring(&special, Privilege::User),
    })))
}
