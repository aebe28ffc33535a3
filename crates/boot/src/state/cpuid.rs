//! CPUID's description of a vCPU's place among the others (Intel SDM vol. 2A, CPUID; AMD APM vol.
//! 3, appendix E).
//!
//! A host's list describes the host's own place, or nothing. Its leaves are overwritten, and
//! missing leaves of the topology are added.

use kvm_bindings::{CpuId, KVM_CPUID_FLAG_SIGNIFCANT_INDEX, kvm_cpuid_entry2};

/// Leaf 1, ECX: the local APIC's timer takes a deadline of the time-stamp counter.
const TSC_DEADLINE: u32 = 1 << 24;
/// Leaf 1, ECX: a hypervisor is below.
const HYPERVISOR: u32 = 1 << 31;
/// Leaf 1, EDX: EBX says how many logical processors there are.
const HTT: u32 = 1 << 28;
/// Leaf 0x80000001, ECX: leaf 0x80000008 says how many cores there are.
const CMP_LEGACY: u32 = 1 << 1;

/// Leaves without subleaves, whose EAX is the highest leaf of their kind.
const MAX_LEAVES: [u32; 2] = [0, 0x8000_0000];
/// Leaves with a subleaf for each level of the topology.
const TOPOLOGY: [u32; 2] = [0xb, 0x1f];
/// AMD's leaf with the ids of APIC, core and node.
const AMD_IDS: u32 = 0x8000_001e;

/// Time-stamp counter and crystal; processor and bus frequencies.
const TSC_RATIO: u32 = 0x15;
const FREQUENCIES: u32 = 0x16;
/// The bus of Intel's processors since 2011.
const BUS_MHZ: u32 = 100;
/// A hypervisor's first leaf, and the one with the frequencies of the time-stamp counter and of the
/// local APIC's timer, in kHz.
const HYPERVISOR_BASE: u32 = 0x4000_0000;
const HYPERVISOR_TIMING: u32 = 0x4000_0010;
/// KVM's local APICs count nanoseconds (`APIC_BUS_CYCLE_NS`).
const APIC_BUS_KHZ: u32 = 1_000_000;

/// Leaves 0xb and 0x1f, level types: threads of a core, cores of a package. A level beyond these
/// reads as none.
const LEVEL_THREAD: u32 = 1;
const LEVEL_CORE: u32 = 2;

/// Leaves 4 and 0x8000001d, EAX: the type of a cache (0 ends the list) and its level.
const CACHE_TYPE: u32 = 0x1f;
const CACHE_LEVEL: u32 = 0xe0;
/// From this level on all cores share a cache.
const SHARED_LEVEL: u32 = 3 << 5;

/// A vCPU among those of its machine, with its index as APIC id.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Which one it is.
    pub index: u32,
    /// How many there are, at least one.
    pub count: u32,
    /// Whether there are local APICs.
    pub irqchip: bool,
}

impl Place {
    /// Bits of an APIC id that tell cores of one package apart.
    const fn bits(self) -> u32 {
        u32::BITS - (self.count - 1).leading_zeros()
    }
}

/// The host's list as a vCPU sees it: one package of as many cores as there are vCPUs, a thread
/// each. `None` where the list has no room for the leaves that it lacks.
pub fn of_vcpu(host: &CpuId, place: Place) -> Option<CpuId> {
    let [basic, extended] = MAX_LEAVES.map(|leaf| max_leaf(host, leaf));
    let is_level = |entry: &&kvm_cpuid_entry2| TOPOLOGY.contains(&entry.function);
    let entries = host.as_slice().iter();
    let mut own: Vec<_> = entries.filter(|it| !is_level(it)).copied().collect();
    for function in TOPOLOGY.into_iter().filter(|leaf| *leaf <= basic) {
        own.extend(levels(function, place));
    }
    if AMD_IDS <= extended && !own.iter().any(|entry| entry.function == AMD_IDS) {
        own.push(kvm_cpuid_entry2 {
            function: AMD_IDS,
            ..Default::default()
        });
    }
    for entry in &mut own {
        overwrite(entry, place);
    }
    CpuId::from_entries(&own).ok()
}

/// The list with the frequency of the time-stamp counter in the leaves that are there for it, as
/// far as its maximum leaves reach: Intel's, and the one that hypervisors have agreed on. With 0,
/// or where the list has no room, it is as it was.
pub fn with_tsc(list: &CpuId, khz: u32) -> CpuId {
    let mut own = list.as_slice().to_vec();
    let basic = max_leaf(list, MAX_LEAVES[0]);
    let hypervisor = own.iter_mut().find(|entry| is_kvms(entry));
    let mut leaves = Vec::new();
    if let Some(base) = hypervisor {
        base.eax = base.eax.max(HYPERVISOR_TIMING);
        leaves.push((HYPERVISOR_TIMING, [khz, APIC_BUS_KHZ, 0, 0]));
    }
    // Twice a crystal of half the frequency: exact, and neither the crystal's hertz nor the product
    // that kernels form exceed 32 bits below 8.5 GHz.
    let crystal = khz.saturating_mul(500);
    let mhz = khz / 1000;
    let intels = [
        (TSC_RATIO, [1, 2, crystal, 0]),
        (FREQUENCIES, [mhz, mhz, BUS_MHZ, 0]),
    ];
    leaves.extend(intels.into_iter().filter(|(leaf, _)| *leaf <= basic));
    for (function, [eax, ebx, ecx, edx]) in leaves {
        own.retain(|entry| entry.function != function);
        own.push(kvm_cpuid_entry2 {
            function,
            eax,
            ebx,
            ecx,
            edx,
            ..Default::default()
        });
    }
    match CpuId::from_entries(&own) {
        Ok(list) if khz != 0 => list,
        _ => list.clone(),
    }
}

/// Whether it is the leaf in which KVM says that it is KVM, and how many leaves it has.
fn is_kvms(entry: &kvm_cpuid_entry2) -> bool {
    let name = [entry.ebx, entry.ecx, entry.edx].map(u32::to_le_bytes);
    entry.function == HYPERVISOR_BASE && name.as_flattened() == b"KVMKVMKVM\0\0\0"
}

/// What a leaf of [`MAX_LEAVES`] says; 0 if the list lacks it.
fn max_leaf(host: &CpuId, function: u32) -> u32 {
    let mut entries = host.as_slice().iter();
    let found = entries.find(|entry| entry.function == function);
    found.map_or(0, |entry| entry.eax)
}

/// The subleaves of a leaf of [`TOPOLOGY`].
fn levels(function: u32, place: Place) -> [kvm_cpuid_entry2; 2] {
    let level = |index, shift, processors, kind: u32| kvm_cpuid_entry2 {
        function,
        index,
        flags: KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
        eax: shift,
        ebx: processors,
        ecx: index | kind << 8,
        edx: place.index,
        ..Default::default()
    };
    [
        level(0, 0, 1, LEVEL_THREAD),
        level(1, place.bits(), place.count, LEVEL_CORE),
    ]
}

fn overwrite(entry: &mut kvm_cpuid_entry2, place: Place) {
    let Place { index, count, .. } = place;
    match entry.function {
        0x1 => {
            entry.ebx = entry.ebx & 0x0000_ffff | count << 16 | index << 24;
            entry.ecx |= HYPERVISOR | if place.irqchip { TSC_DEADLINE } else { 0 };
            entry.edx = with(entry.edx, HTT, count > 1);
        }
        // Cores of the package and sharers of the cache, less one.
        0x4 if entry.eax & CACHE_TYPE != 0 => {
            entry.eax =
                entry.eax & 0x0000_3fff | sharers(entry.eax, count) << 14 | (count - 1) << 26;
        }
        0x8000_001d if entry.eax & CACHE_TYPE != 0 => {
            entry.eax = entry.eax & 0xfc00_3fff | sharers(entry.eax, count) << 14;
        }
        0x8000_0001 => entry.ecx = with(entry.ecx, CMP_LEGACY, count > 1),
        0x8000_0008 => entry.ecx = entry.ecx & !0xf0ff | (count - 1) | place.bits() << 12,
        AMD_IDS => {
            entry.eax = index;
            // One thread per core, one node.
            entry.ebx = index;
            entry.ecx = 0;
        }
        _ => {}
    }
}

/// Who has a cache beside the core that asks.
const fn sharers(eax: u32, count: u32) -> u32 {
    if eax & CACHE_LEVEL >= SHARED_LEVEL {
        count - 1
    } else {
        0
    }
}

const fn with(word: u32, bit: u32, set: bool) -> u32 {
    if set { word | bit } else { word & !bit }
}

#[cfg(test)]
mod tests;
