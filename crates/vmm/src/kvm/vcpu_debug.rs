//! What the host has KVM watch a vCPU for (`KVM_SET_GUEST_DEBUG`). KVM takes all of it, and much of
//! it never happens: [`DebugMeans`](crate::DebugMeans) has what does.

pub mod control;

use std::sync::atomic::{AtomicBool, Ordering};

use control::GuestDebug;

use crate::error::{Error, Result};
use crate::kvm::vcpu::Vcpu;

/// Whether a vCPU that steps goes on stepping without another ioctl, whatever it has executed.
/// Known once a probe has found it out.
static STEPS_LAST: AtomicBool = AtomicBool::new(false);

/// Steps of all vCPUs last from here on.
pub(crate) fn let_steps_last(they_do: bool) {
    STEPS_LAST.store(they_do, Ordering::Relaxed);
}

impl Vcpu {
    /// Has the entries from here on end by what is named, and by nothing else
    /// (`KVM_SET_GUEST_DEBUG`). No ioctl if that is so already, but for steps that do not last.
    ///
    /// A processor steps by RFLAGS.TF, which KVM sets if the vCPU still is where it was at the
    /// ioctl: so registers are set before it, and whatever loads RFLAGS ends the stepping: `popf`,
    /// `iret`, registers that the host sets, an instruction that KVM emulates. There each step is
    /// an ioctl. Where KVM emulates all of a ring and asks itself after each instruction, as
    /// `kvm_pvm` does, one ioctl serves for all steps.
    ///
    /// What a step is differs:
    ///
    /// - An access ends it before [`Exit::Debug`](crate::Exit::Debug) does. That follows when KVM
    ///   completes the access, or does not, and then RIP tells that the step is over: of reads it
    ///   follows always, of writes to ports on `kvm_amd`, of writes to memory never.
    /// - Of a `hlt` the exit is `Hlt` on `kvm_amd`, and `Debug` on `kvm_pvm`, with RIP after it.
    /// - After `mov %ax, %ss`, `pop %ss` and `sti` a processor executes one instruction more
    ///   (Intel SDM vol. 3A §6.8.3); `kvm_pvm` does not.
    /// - Of an instruction with `rep` it is one round on a processor, and some on `kvm_pvm`.
    pub fn set_debug(&mut self, wanted: &GuestDebug) -> Result<()> {
        let is_lasting = !wanted.step || STEPS_LAST.load(Ordering::Relaxed);
        if is_lasting && self.debug == *wanted {
            return Ok(());
        }
        if wanted.step {
            self.flush()?;
        }
        self.fd
            .set_guest_debug(&wanted.raw())
            .map_err(Error::ioctl("KVM_SET_GUEST_DEBUG"))?;
        self.debug = *wanted;
        Ok(())
    }

    /// Makes the next entry end after one instruction, by [`Exit::Debug`](crate::Exit::Debug). An
    /// access comes before that, and may take its place.
    pub fn step_once(&mut self) -> Result<()> {
        self.set_debug(&GuestDebug {
            step: true,
            ..GuestDebug::default()
        })
    }

    /// Takes that back.
    pub fn step_no_more(&mut self) -> Result<()> {
        self.set_debug(&GuestDebug::default())
    }
}
