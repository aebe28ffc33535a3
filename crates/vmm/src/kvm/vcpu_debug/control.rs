//! What KVM is told to watch a vCPU for, as plain values.

use kvm_bindings::{
    KVM_GUESTDBG_BLOCKIRQ, KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_SINGLESTEP, KVM_GUESTDBG_USE_HW_BP,
    KVM_GUESTDBG_USE_SW_BP, kvm_guest_debug, kvm_guest_debug_arch,
};

/// How many addresses the processor's debug registers hold (Intel SDM vol. 3B §18.2.1).
pub(crate) const HARDWARE_STOPS: usize = 4;

/// DR7.LE and DR7.GE, which later processors ignore, and bit 10, which is always set (§18.2.4).
const DR7_FIXED: u64 = 0x700;

/// What ends an entry into the guest by [`Exit::Debug`](crate::Exit::Debug).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GuestDebug {
    /// One instruction.
    pub step: bool,
    /// No interrupt and no NMI that waits in the kernel is taken (`KVM_GUESTDBG_BLOCKIRQ`).
    pub block_interrupts: bool,
    /// Every `int3`.
    pub int3: bool,
    /// DR0 to DR3, by DR7.
    pub hardware: [Option<HardwareStop>; HARDWARE_STOPS],
}

/// What one debug register watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HardwareStop {
    /// Linear; of a watch it is a multiple of its size.
    pub address: u64,
    pub kind: HardwareKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HardwareKind {
    /// The instruction there, before it is executed.
    Execute,
    /// A write to so many bytes: 1, 2, 4 or 8.
    Write(u8),
    /// A read or a write of them.
    Access(u8),
}

impl HardwareKind {
    /// R/W and LEN (§18.2.4).
    const fn bits(self) -> u64 {
        let (kind, bytes) = match self {
            Self::Execute => (0, 1),
            Self::Write(bytes) => (1, bytes),
            Self::Access(bytes) => (3, bytes),
        };
        let length = match bytes {
            2 => 1,
            4 => 3,
            8 => 2,
            _ => 0,
        };
        kind | length << 2
    }
}

impl GuestDebug {
    /// As KVM takes it.
    pub fn raw(&self) -> kvm_guest_debug {
        let mut control = 0;
        let mut debugreg = [0; 8];
        let mut dr7 = 0;
        for (index, stop) in self.hardware.iter().enumerate() {
            if let Some(stop) = stop {
                debugreg[index] = stop.address;
                dr7 |= 2 << (index * 2) | stop.kind.bits() << (16 + index * 4);
            }
        }
        if dr7 != 0 {
            debugreg[7] = dr7 | DR7_FIXED;
            control |= KVM_GUESTDBG_USE_HW_BP;
        }
        for (wanted, bits) in [
            (self.step, KVM_GUESTDBG_SINGLESTEP),
            (self.int3, KVM_GUESTDBG_USE_SW_BP),
            (self.block_interrupts, KVM_GUESTDBG_BLOCKIRQ),
        ] {
            control |= if wanted { bits } else { 0 };
        }
        if control != 0 {
            control |= KVM_GUESTDBG_ENABLE;
        }
        kvm_guest_debug {
            control,
            arch: kvm_guest_debug_arch { debugreg },
            ..Default::default()
        }
    }
}

#[cfg(test)]
mod tests;
