//! The words of what works where.

/// Where a vCPU is, as far as means depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Real mode.
    Real,
    /// 32 bits at ring 0, with and without paging.
    Protected,
    /// Long mode at ring 0.
    Long,
    /// Ring 3 of long mode.
    User,
}

impl Place {
    /// Every place.
    pub const ALL: [Self; 4] = [Self::Real, Self::Protected, Self::Long, Self::User];

    /// As users see it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Protected => "protected",
            Self::Long => "long",
            Self::User => "user",
        }
    }
}

/// By which exit an `int3` of the host's ends an entry. RIP is at it both times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Int3 {
    /// [`Exit::Debug`](crate::Exit::Debug).
    Debug,
    /// [`Exit::InternalError`](crate::Exit::InternalError) 1, as KVM cannot emulate it.
    InternalError,
}

/// What works at one place. What could not be found out does not work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Means {
    /// `KVM_GUESTDBG_SINGLESTEP` ends an entry after one instruction.
    pub step: bool,
    /// `KVM_GUESTDBG_BLOCKIRQ` keeps interrupts away from a step.
    pub blocks_interrupts: bool,
    /// An `int3` ends an entry, and goes to no handler of the guest's.
    pub int3: Option<Int3>,
    /// A `hlt` ends an entry with RIP after it, in a machine without irqchip.
    pub hlt: bool,
    /// An address in DR0 to DR3 ends an entry before the instruction there
    /// (`KVM_GUESTDBG_USE_HW_BP`).
    pub hardware: bool,
    /// Bytes in DR0 to DR3 end an entry after the instruction that has written them.
    pub watch: bool,
    /// RFLAGS.TF leads to the trap table after one instruction, with vector 1.
    pub trap_step: bool,
    /// An `int3` leads to the trap table, with vector 3 and RIP after it.
    pub trap_int3: bool,
}
