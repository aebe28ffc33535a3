//! One vCPU that is never entered, for the sake of all others.
//!
//! KVM checks for vCPUs without an interrupt controller of the kernel's by a branch that it patches
//! into its own code: with the first of them on the host, and back with the last
//! (`kvm_has_noapic_vcpu`). Each time all processors are interrupted. While one such vCPU exists,
//! no other pays for that, and the life of a machine takes half as long.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

use kvm_bindings::KVMIO;

use crate::kvm::host::Host;

/// `_IO(KVMIO, 0x41)`.
const KVM_CREATE_VCPU: libc::c_ulong = (KVMIO as libc::c_ulong) << 8 | 0x41;

/// Keeps one such vCPU as long as the process, from the first call that succeeds on. Its VM has no
/// memory and no descriptor of its own. A host that refuses costs time and nothing else, so that is
/// no error; the next machine asks again.
pub(crate) fn keep(host: &Host) {
    static ANCHOR: OnceLock<OwnedFd> = OnceLock::new();
    if ANCHOR.get().is_none()
        && let Some(vcpu) = vcpu(host)
    {
        // Of two threads that come here at once one is second, and its vCPU goes again.
        let _ = ANCHOR.set(vcpu);
    }
}

/// A vCPU, which keeps its VM.
fn vcpu(host: &Host) -> Option<OwnedFd> {
    let vm = host.create_vm().ok()?;
    // SAFETY: KVM_CREATE_VCPU takes a number, and the fd is a VM's.
    let fd = unsafe { libc::ioctl(vm.as_raw_fd(), KVM_CREATE_VCPU as libc::Ioctl, 0) };
    // SAFETY: a descriptor that the kernel has just given, and that nobody else has.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}
