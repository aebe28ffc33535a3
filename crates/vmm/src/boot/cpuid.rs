//! What CPUID says of a vCPU's place among the others (Intel SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E).

use kvm_bindings::{CpuId, kvm_cpuid_entry2};

/// Leaf 1, ECX: the local APIC's timer takes a deadline of the time-stamp counter.
const TSC_DEADLINE: u32 = 1 << 24;
/// Leaf 1, ECX: a hypervisor is below.
const HYPERVISOR: u32 = 1 << 31;
/// Leaf 1, EDX: EBX says how many logical processors there are.
const HTT: u32 = 1 << 28;
/// Leaf 0x80000001, ECX: leaf 0x80000008 says how many cores there are.
const CMP_LEGACY: u32 = 1 << 1;

/// Leaf 0xb, level types: threads of a core, cores of a package.
const LEVEL_THREAD: u32 = 1;
const LEVEL_CORE: u32 = 2;

/// The host's CPUID as one of `count` vCPUs sees it: a package of as many cores, APIC id = index.
pub fn of_vcpu(host: &CpuId, index: u32, count: u32) -> CpuId {
    let mut cpuid = host.clone();
    for entry in cpuid.as_mut_slice() {
        place(entry, index, count);
    }
    cpuid
}

fn place(entry: &mut kvm_cpuid_entry2, index: u32, count: u32) {
    // Bits of an APIC id that tell cores of one package apart.
    let bits = u32::BITS - (count - 1).leading_zeros();
    match entry.function {
        0x1 => {
            entry.ebx = entry.ebx & 0x0000_ffff | count << 16 | index << 24;
            entry.ecx |= TSC_DEADLINE | HYPERVISOR;
            entry.edx = with(entry.edx, HTT, count > 1);
        }
        // Cores of the package, less one; no cache is shared by threads of a core.
        0x4 => entry.eax = entry.eax & 0x0000_3fff | (count - 1) << 26,
        0xb | 0x1f => {
            let (shift, processors, level) = match entry.index {
                0 => (0, 1, LEVEL_THREAD),
                1 => (bits, count, LEVEL_CORE),
                _ => (0, 0, 0),
            };
            entry.eax = shift;
            entry.ebx = processors;
            entry.ecx = entry.index | level << 8;
            entry.edx = index;
        }
        0x8000_0001 => entry.ecx = with(entry.ecx, CMP_LEGACY, count > 1),
        0x8000_0008 => entry.ecx = entry.ecx & !0xf0ff | (count - 1) | bits << 12,
        0x8000_001e => {
            entry.eax = index;
            // One thread per core, one node.
            entry.ebx = index;
            entry.ecx = 0;
        }
        _ => {}
    }
}

const fn with(word: u32, bit: u32, set: bool) -> u32 {
    if set { word | bit } else { word & !bit }
}
