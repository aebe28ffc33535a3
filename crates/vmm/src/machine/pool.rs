//! What machines of a snapshot leave for the next one: a VM with its slots, and a vCPU.
//!
//! KVM needs some hundred microseconds to make them, and more to end them. A machine that shows the
//! memory of a snapshot therefore leaves them when it ends, and the next one of the same memory
//! takes them. The memory is the image's again by then. Nothing else is cleared, since nothing else
//! is shown: a machine that takes them sets every kind of state of its vCPU that there is, as a
//! restore does, and has a bus of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use boot::CpuMode;
use kvm_bindings::CpuId;

use crate::bus::{Bus, Feed};
use crate::kvm::image::MemoryImage;
use crate::kvm::origin::Origin;
use crate::kvm::vcpu::Vcpu;
use crate::kvm::vcpu_debug::control::GuestDebug;
use crate::kvm::vm::Vm;
use crate::run::Crew;
use crate::snapshot::Snapshot;

/// Kept at most, in the whole process: each has two descriptors and about 0.6 MiB of the kernel's
/// memory. A program that forks one machine after the other needs one of them, and one that forks a
/// batch at a time as many as there are in the batch.
const MOST_KEPT: usize = 8;

/// A VM and its only vCPU, without a machine.
#[derive(Debug)]
pub(crate) struct Spare {
    pub vcpu: Vcpu,
    pub origin: Origin,
    pub vm: Arc<Vm>,
    kind: Kind,
}

/// What KVM was told once and for all: what the mode needs, and a CPUID other than the host's.
type Kind = (CpuMode, Option<Arc<CpuId>>);

type Spares = Vec<(Weak<MemoryImage>, Spare)>;

fn spares() -> MutexGuard<'static, Spares> {
    static SPARES: Mutex<Spares> = Mutex::new(Vec::new());
    SPARES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One that fits a snapshot, with its memory.
pub(crate) fn take(snapshot: &Snapshot) -> Option<Spare> {
    if snapshot.shape.vcpus != 1 || snapshot.shape.irqchip {
        return None;
    }
    let image = Arc::as_ptr(&snapshot.image);
    let kind = (snapshot.placement.mode, snapshot.cpuid.clone());
    let mut all = spares();
    let index = all
        .iter()
        .position(|(shown, spare)| shown.as_ptr() == image && spare.kind == kind)?;
    let (_, mut spare) = all.swap_remove(index);
    spare.origin.adopt(&snapshot.image);
    Some(spare)
}

/// Whether what a machine is made of can be kept: nothing else has a part in it, in the kernel or
/// in this process, and somebody may still want its memory. KVM has no access of it to complete
/// then.
pub(crate) fn is_fit(crew: &mut Crew, bus: &Bus, vm: &Arc<Vm>, origin: &Origin) -> bool {
    let is_in_kernel = bus.routes().iter().any(|route| {
        let is_counted = matches!(route.feed, Some(Feed::Count(_)));
        is_counted || route.is_gathered || !route.doorbells.is_empty()
    });
    // KVM may remember the page tables of a program, which have changed.
    let has_program = crew.boot_mut().user.is_some();
    let has_one_vcpu = crew.count() == 1 && !crew.boot_mut().irqchip && !has_program;
    !is_in_kernel
        && has_one_vcpu
        && origin.is_wanted()
        && vm.memory().is_own()
        // The machine's, and that of the mapping of `kvm_run`.
        && Arc::strong_count(vm) == 2
        && crew.boot_mut().vcpu.is_own()
        && spares().len() < MOST_KEPT
        && crew.abandon().is_ok()
}

/// Keeps it, if its memory can be made the image's again; else it ends here.
pub(crate) fn keep(crew: Crew, mut origin: Origin, vm: Arc<Vm>, kind: Kind) {
    let mut vcpu = crew.into_boot().vcpu;
    vcpu.want_interrupt_window(false);
    if vcpu.set_debug(&GuestDebug::default()).is_err() {
        return;
    }
    if let Some(image) = origin.leave(&vm) {
        let spare = Spare {
            vcpu,
            origin,
            vm,
            kind,
        };
        spares().push((image, spare));
    }
}

/// Ends what machines have left whose memory no snapshot and no machine has any more.
pub fn trim() {
    let is_gone = |(image, _): &mut (Weak<MemoryImage>, Spare)| image.strong_count() == 0;
    let gone: Spares = spares().extract_if(.., is_gone).collect();
    // After the lock: to end a VM takes its time.
    drop(gone);
}

#[cfg(test)]
mod tests;
