//! The model-specific registers that are a vCPU's state: those that KVM lists, and those that it
//! emulates without listing them, each of them kept if it can be read and written back as it is.

use std::ops::RangeInclusive;
use std::sync::OnceLock;

use boot::state::cpuid::Place;
use kvm_bindings::{KVM_MAX_MSR_ENTRIES, Msrs, kvm_msr_entry};
use kvm_ioctls::VcpuFd;

use crate::error::{Error, Result};
use crate::kvm::host::{Host, uninterrupted};

/// What a guest can write though `KVM_GET_MSR_INDEX_LIST` need not name it: ranges of indices, the
/// last included. (Registers that the special registers and the local APIC hold are not here.)
const UNLISTED: [(u32, u32); 18] = [
    (0x10, 0x10),               // the time-stamp counter
    (0x48, 0x48),               // SPEC_CTRL
    (0x122, 0x122),             // TSX_CTRL
    (0x17a, 0x17b),             // MCG_STATUS, MCG_CTL
    (0x1a0, 0x1a0),             // MISC_ENABLE
    (0x1c4, 0x1c5),             // XFD, XFD_ERR
    (0x1d9, 0x1d9),             // DEBUGCTL
    (0x200, 0x20f),             // MTRRs: variable ranges
    (0x250, 0x250),             // MTRRs: fixed ranges
    (0x258, 0x259),             // and
    (0x268, 0x26f),             // more of them
    (0x277, 0x277),             // PAT
    (0x2ff, 0x2ff),             // MTRRs: default type
    (0x400, 0x47f),             // machine check banks
    (0x6e0, 0x6e0),             // TSC_DEADLINE
    (0xda0, 0xda0),             // XSS
    (0xc000_0103, 0xc000_0103), // TSC_AUX
    (0xc001_0140, 0xc001_0141), // OSVW
];

/// Hyper-V's, which no guest of ours has: CPUID does not offer them, and they cannot all be put
/// back in any order.
const HYPER_V: RangeInclusive<u32> = 0x4000_0000..=0x4000_01ff;

/// HWCR with McStatusWrEn: kernels before 6.7 do not take it back.
const HWCR: (u32, u64) = (0xc001_0015, 1 << 18);

/// How many one call of KVM's takes, which is fewer than `MAX_IO_MSRS`.
pub(crate) const MOST_AT_ONCE: usize = KVM_MAX_MSR_ENTRIES - 1;

/// Those that count on: they differ as soon as they are read again.
const TIME_STAMP_COUNTER: u32 = 0x10;

/// The indices for a vCPU with or without a local APIC, as many together as one call takes. They
/// are found out once per process, on a vCPU of a VM made for that.
pub(crate) fn saved(irqchip: bool) -> Result<&'static [Vec<u32>]> {
    static BARE: OnceLock<Vec<Vec<u32>>> = OnceLock::new();
    static WITH_APIC: OnceLock<Vec<Vec<u32>>> = OnceLock::new();
    let known = if irqchip { &WITH_APIC } else { &BARE };
    if let Some(indices) = known.get() {
        return Ok(indices);
    }
    let found = find(Host::get()?, irqchip)?;
    let calls = found.chunks(MOST_AT_ONCE).map(<[u32]>::to_vec);
    Ok(known.get_or_init(|| calls.collect()))
}

fn find(host: &Host, irqchip: bool) -> Result<Vec<u32>> {
    let vm = host.create_vm()?;
    if irqchip {
        vm.create_irq_chip()
            .map_err(Error::ioctl("KVM_CREATE_IRQCHIP"))?;
    }
    let scratch = uninterrupted(|| vm.create_vcpu(0)).map_err(Error::ioctl("KVM_CREATE_VCPU"))?;
    let place = Place {
        index: 0,
        count: 1,
        irqchip,
    };
    scratch
        .set_cpuid2(&host.cpuid_of(None, place)?)
        .map_err(Error::ioctl("KVM_SET_CPUID2"))?;
    let listed = host
        .kvm
        .get_msr_index_list()
        .map_err(Error::ioctl("KVM_GET_MSR_INDEX_LIST"))?;
    let listed = listed.as_slice().iter().copied();
    let mut indices: Vec<_> = listed.filter(|index| !HYPER_V.contains(index)).collect();
    for (first, last) in UNLISTED {
        let unlisted: Vec<_> = (first..=last).filter(|it| !indices.contains(it)).collect();
        indices.extend(unlisted);
    }
    let read = each(&scratch, &blank(indices), Call::Get)?;
    let (index, data) = HWCR;
    let hwcr = kvm_msr_entry {
        index,
        data,
        ..Default::default()
    };
    each(&scratch, &[hwcr], Call::Set)?;
    let written = each(&scratch, &read, Call::Set)?;
    let again = each(&scratch, &written, Call::Get)?;
    let is_kept = |now: &kvm_msr_entry| {
        now.index == TIME_STAMP_COUNTER || written.iter().any(|then| then == now)
    };
    let kept = again.into_iter().filter(is_kept);
    Ok(kept.map(|entry| entry.index).collect())
}

/// Entries without a value.
pub(crate) fn blank(indices: impl IntoIterator<Item = u32>) -> Vec<kvm_msr_entry> {
    let entry = |index| kvm_msr_entry {
        index,
        ..Default::default()
    };
    indices.into_iter().map(entry).collect()
}

/// Which way they go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Get,
    Set,
}

/// Reads or writes each one; those that KVM refuses are left out.
fn each(vcpu: &VcpuFd, entries: &[kvm_msr_entry], call: Call) -> Result<Vec<kvm_msr_entry>> {
    let mut done = Vec::with_capacity(entries.len());
    let mut rest = entries;
    // KVM stops at the first that it refuses.
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(MOST_AT_ONCE));
        let mut msrs = of(now)?;
        let (name, count) = match call {
            Call::Get => ("KVM_GET_MSRS", vcpu.get_msrs(&mut msrs)),
            Call::Set => ("KVM_SET_MSRS", vcpu.set_msrs(&msrs)),
        };
        let count = count.map_err(Error::ioctl(name))?;
        done.extend(msrs.as_slice().iter().take(count));
        rest = match now.get(count + 1..) {
            Some(_) => rest.get(count + 1..).unwrap_or_default(),
            None => later,
        };
    }
    Ok(done)
}

/// The list as KVM takes it.
pub(crate) fn of(entries: &[kvm_msr_entry]) -> Result<Msrs> {
    Msrs::from_entries(entries).map_err(|_| Error::internal("a list of MSRs is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registers_of_each_kind_are_saved_once_each() {
        if crate::kvm::host::Host::get().is_err() {
            return;
        }
        for irqchip in [false, true] {
            let indices = saved(irqchip).unwrap_or_default().concat();
            // STAR, PAT, an MTRR, the time-stamp counter.
            for index in [0xc000_0081, 0x277, 0x2ff, 0x10] {
                let count = indices.iter().filter(|it| **it == index).count();
                assert_eq!(count, 1, "{index:#x} of {indices:x?}");
            }
            assert!(indices.len() < 2 * MOST_AT_ONCE);
        }
    }
}
