//! A vCPU's state as a value: taken out of KVM, and put back.
//!
//! Each kind of state is one ioctl, and the number of ioctls is what a restore costs: a vCPU is
//! loaded for each, which on a nested host takes nearly as long as an exit.
//!
//! | kind | ioctls of a restore | when |
//! | --- | --- | --- |
//! | general and special registers, events | 0, by the next entry; else 3 | always |
//! | XSAVE (x87, SSE, AVX, …) | 1 | always |
//! | DEBUGREGS | 1 | unless they are known to be the same |
//! | MSRs | 1 for each 255 | as DEBUGREGS |
//! | XCRS | 1 | as DEBUGREGS, where the vCPU has XSAVE |
//! | MP_STATE, LAPIC | 2, and 1 for the special registers | with an irqchip |

mod msrs;

use std::sync::OnceLock;

use kvm_bindings::{
    KVM_MP_STATE_RUNNABLE, KVM_MP_STATE_UNINITIALIZED, KVMIO, kvm_debugregs, kvm_lapic_state,
    kvm_mp_state, kvm_msr_entry, kvm_regs, kvm_sregs, kvm_vcpu_events, kvm_xcrs, kvm_xsave,
};
use kvm_ioctls::Cap;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::kvm::host::Host;
use crate::kvm::vcpu::Vcpu;

/// `_IOR(KVMIO, 0xa4, struct kvm_xsave)`.
const KVM_GET_XSAVE: libc::c_ulong = 2 << 30 | XSAVE_ARGUMENT | 0xa4;
/// `_IOW(KVMIO, 0xa5, struct kvm_xsave)`.
const KVM_SET_XSAVE: libc::c_ulong = 1 << 30 | XSAVE_ARGUMENT | 0xa5;
/// `_IOR(KVMIO, 0xcf, struct kvm_xsave)`.
const KVM_GET_XSAVE2: libc::c_ulong = 2 << 30 | XSAVE_ARGUMENT | 0xcf;
const XSAVE_ARGUMENT: libc::c_ulong =
    (size_of::<kvm_xsave>() as libc::c_ulong) << 16 | (KVMIO as libc::c_ulong) << 8;

/// All that KVM keeps of a vCPU between two entries, but for an access that it has yet to complete.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct VcpuState {
    pub regs: kvm_regs,
    pub sregs: kvm_sregs,
    pub events: kvm_vcpu_events,
    /// `struct kvm_xsave` with all that follows it.
    pub xsave: Box<[u32]>,
    /// Where the vCPU has XSAVE.
    pub xcrs: Option<kvm_xcrs>,
    pub debug: kvm_debugregs,
    pub msrs: Vec<kvm_msr_entry>,
    /// With a local APIC; without one a vCPU is always runnable.
    pub mp_state: Option<kvm_mp_state>,
    /// With a local APIC.
    pub lapic: Option<Box<kvm_lapic_state>>,
}

impl Vcpu {
    /// Takes the state out of KVM, which has no access of it to complete.
    pub fn save_state(&mut self, irqchip: bool) -> Result<VcpuState> {
        // Both of these may move on what waits inside KVM (KVM API, `KVM_GET_VCPU_EVENTS`), so
        // that they come before what they may change.
        let mp_state = irqchip.then(|| self.mp_state()).transpose()?;
        let events = self.events()?;
        self.is_untouched = true;
        Ok(VcpuState {
            mp_state,
            events,
            regs: self.registers()?,
            sregs: self.special_registers()?,
            xcrs: self.xcrs()?,
            xsave: self.xsave()?,
            debug: self.debug_registers()?,
            lapic: irqchip.then(|| self.lapic()).transpose()?,
            msrs: self.msrs(irqchip)?,
        })
    }

    /// Puts a state back, that of this vCPU or of another one of the same kind of machine. KVM has
    /// no access to complete, memory has what it shall have already, and so have the interrupt
    /// controllers: to restore them may interrupt a vCPU.
    ///
    /// If the state is the one that was saved or restored last, and the guest of that state is
    /// confined to ring 3, then what only ring 0 or the host changes is known to be the same.
    pub fn restore_state(&mut self, state: &VcpuState, is_confined: bool) -> Result<()> {
        let is_same = is_confined && self.is_untouched;
        if self.registers.may_step() {
            // KVM puts into DR6 what a waiting exception says when it is asked: so not after this.
            self.debug_registers()?;
        }
        self.is_untouched = false;
        let is_started = |it: kvm_mp_state| it.mp_state != KVM_MP_STATE_UNINITIALIZED;
        self.set_started(state.mp_state.is_none_or(is_started));
        if state.lapic.is_some() {
            // The mode of the local APIC is among them, and decides how its state is read.
            self.set_special_registers(&state.sregs)?;
        }
        // The rest does not depend on them, nor they on it.
        self.stage(&state.regs, &state.sregs, &state.events)?;
        if let Some(mp_state) = state.mp_state {
            // KVM lets a boot processor that has its registers of a reset run (`KVM_SET_SREGS`).
            self.fd
                .set_mp_state(mp_state)
                .map_err(Error::ioctl("KVM_SET_MP_STATE"))?;
        }
        if !is_same {
            if let Some(xcrs) = &state.xcrs {
                self.put_xcrs(xcrs)?;
            }
            self.set_debug_registers(&state.debug)?;
        }
        self.set_xsave(&state.xsave)?;
        if let Some(lapic) = &state.lapic {
            self.set_lapic(lapic)?;
        }
        if !is_same {
            // TSC_DEADLINE counts once the local APIC's timer is in its mode.
            self.set_msrs(&state.msrs)?;
        }
        self.is_untouched = true;
        Ok(())
    }

    /// `KVM_SET_VCPU_EVENTS`.
    pub fn set_events(&mut self, events: &kvm_vcpu_events) -> Result<()> {
        self.flush()?;
        self.forget_interrupts();
        self.fd
            .set_vcpu_events(events)
            .map_err(Error::ioctl("KVM_SET_VCPU_EVENTS"))
    }

    /// Has it take NMIs, as after the `iret` of a handler.
    pub fn unmask_nmi(&mut self) -> Result<()> {
        let mut events = self.events()?;
        events.nmi.masked = 0;
        self.set_events(&events)
    }

    /// `KVM_GET_DEBUGREGS`.
    pub fn debug_registers(&self) -> Result<kvm_debugregs> {
        self.fd
            .get_debug_regs()
            .map_err(Error::ioctl("KVM_GET_DEBUGREGS"))
    }

    /// `KVM_SET_DEBUGREGS`.
    pub fn set_debug_registers(&mut self, debug: &kvm_debugregs) -> Result<()> {
        self.is_untouched = false;
        self.fd
            .set_debug_regs(debug)
            .map_err(Error::ioctl("KVM_SET_DEBUGREGS"))
    }

    /// `KVM_GET_XCRS`, if the vCPU has XSAVE.
    pub fn xcrs(&self) -> Result<Option<kvm_xcrs>> {
        let xcrs = self.fd.get_xcrs().map_err(Error::ioctl("KVM_GET_XCRS"))?;
        Ok((xcrs.nr_xcrs > 0).then_some(xcrs))
    }

    fn put_xcrs(&mut self, xcrs: &kvm_xcrs) -> Result<()> {
        self.fd.set_xcrs(xcrs).map_err(Error::ioctl("KVM_SET_XCRS"))
    }

    /// `KVM_GET_XSAVE`, or `KVM_GET_XSAVE2` where the state is larger.
    pub fn xsave(&self) -> Result<Box<[u32]>> {
        let mut words = vec![0; xsave_words()?].into_boxed_slice();
        let (name, request) = if words.len() > LEAST_XSAVE_WORDS {
            ("KVM_GET_XSAVE2", KVM_GET_XSAVE2)
        } else {
            ("KVM_GET_XSAVE", KVM_GET_XSAVE)
        };
        // It writes as many bytes as KVM_CAP_XSAVE2 has said, at least 4096.
        self.command(name, request, words.as_mut_ptr() as libc::c_ulong)?;
        Ok(words)
    }

    /// `KVM_SET_XSAVE`.
    pub fn set_xsave(&mut self, words: &[u32]) -> Result<()> {
        if words.len() != xsave_words()? {
            return Err(Error::internal("an extended state of another size"));
        }
        // It reads as many bytes as KVM_CAP_XSAVE2 has said, at least 4096.
        self.command(
            "KVM_SET_XSAVE",
            KVM_SET_XSAVE,
            words.as_ptr() as libc::c_ulong,
        )
    }

    /// Whether it executes instructions when it is entered (`KVM_GET_MP_STATE`): it has a local
    /// APIC, and may else be halted, or wait to be started. One that cannot tell does.
    pub fn is_runnable(&self) -> bool {
        let state = self.mp_state();
        state.map_or(true, |it| it.mp_state == KVM_MP_STATE_RUNNABLE)
    }

    fn mp_state(&self) -> Result<kvm_mp_state> {
        self.fd
            .get_mp_state()
            .map_err(Error::ioctl("KVM_GET_MP_STATE"))
    }

    fn lapic(&self) -> Result<Box<kvm_lapic_state>> {
        let lapic = self.fd.get_lapic().map_err(Error::ioctl("KVM_GET_LAPIC"))?;
        Ok(Box::new(lapic))
    }

    /// `KVM_SET_LAPIC`.
    pub fn set_lapic(&mut self, lapic: &kvm_lapic_state) -> Result<()> {
        self.fd
            .set_lapic(lapic)
            .map_err(Error::ioctl("KVM_SET_LAPIC"))
    }

    /// All that are state.
    fn msrs(&self, irqchip: bool) -> Result<Vec<kvm_msr_entry>> {
        let mut all = Vec::new();
        for indices in msrs::saved(irqchip)? {
            all.extend(self.read_msrs(indices)?);
        }
        Ok(all)
    }

    fn read_msrs(&self, indices: &[u32]) -> Result<Vec<kvm_msr_entry>> {
        let mut msrs = msrs::of(&msrs::blank(indices.iter().copied()))?;
        let count = self
            .fd
            .get_msrs(&mut msrs)
            .map_err(Error::ioctl("KVM_GET_MSRS"))?;
        match indices.get(count) {
            Some(index) => Err(refused("KVM_GET_MSRS", *index)),
            None => Ok(msrs.as_slice().to_vec()),
        }
    }

    fn set_msrs(&mut self, entries: &[kvm_msr_entry]) -> Result<()> {
        self.is_untouched = false;
        for entries in entries.chunks(msrs::MOST_AT_ONCE) {
            let count = self
                .fd
                .set_msrs(&msrs::of(entries)?)
                .map_err(Error::ioctl("KVM_SET_MSRS"))?;
            if let Some(entry) = entries.get(count) {
                return Err(refused("KVM_SET_MSRS", entry.index));
            }
        }
        Ok(())
    }

    /// One model-specific register (`KVM_GET_MSRS`).
    pub fn read_msr(&mut self, index: u32) -> Result<u64> {
        // Some of them are special registers by another name: the bases of FS and GS, EFER.
        self.flush()?;
        let entries = self.read_msrs(&[index])?;
        Ok(entries.first().map_or(0, |entry| entry.data))
    }

    /// Sets one (`KVM_SET_MSRS`).
    pub fn write_msr(&mut self, index: u32, data: u64) -> Result<()> {
        // As above.
        self.flush()?;
        self.forget_registers();
        self.set_msrs(&[kvm_msr_entry {
            index,
            data,
            ..Default::default()
        }])
    }
}

/// A local APIC's state in which it takes no interrupt: the task priority is the highest, and each
/// entry of the local vector table is masked (Intel SDM vol. 3A §12.5.1, §12.8.3). The timer's mode
/// stays, since KVM forgets a deadline when it changes.
pub(crate) fn deaf(lapic: &kvm_lapic_state) -> Box<kvm_lapic_state> {
    const TASK_PRIORITY: usize = 0x80;
    const VECTOR_TABLE: [usize; 6] = [0x320, 0x330, 0x340, 0x350, 0x360, 0x370];
    let mut deaf = Box::new(*lapic);
    if let Some(byte) = deaf.regs.get_mut(TASK_PRIORITY) {
        *byte = 0xf0_u8 as _;
    }
    for entry in VECTOR_TABLE {
        // Bit 16.
        if let Some(byte) = deaf.regs.get_mut(entry + 2) {
            *byte |= 1;
        }
    }
    deaf
}

const LEAST_XSAVE_WORDS: usize = size_of::<kvm_xsave>() / size_of::<u32>();

/// The size of the extended state, which KVM never changes while nobody asks for more of it
/// (`KVM_CAP_XSAVE2`).
fn xsave_words() -> Result<usize> {
    static WORDS: OnceLock<usize> = OnceLock::new();
    if let Some(words) = WORDS.get() {
        return Ok(*words);
    }
    let bytes = Host::get()?.kvm.check_extension_int(Cap::Xsave2).max(0) as usize;
    let words = bytes.div_ceil(size_of::<u32>()).max(LEAST_XSAVE_WORDS);
    Ok(*WORDS.get_or_init(|| words))
}

/// KVM says no by the number of those that it took.
fn refused(call: &'static str, index: u32) -> Error {
    Error {
        message: format!("{call}: KVM refuses MSR {index:#x}"),
        ..Error::call(call, libc::EINVAL)
    }
}

#[cfg(test)]
mod tests;
