use super::*;

type Words = [u32; 4];

fn ok<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error:?}"))
}

fn entry(function: u32, index: u32, [eax, ebx, ecx, edx]: Words) -> kvm_cpuid_entry2 {
    kvm_cpuid_entry2 {
        function,
        index,
        eax,
        ebx,
        ecx,
        edx,
        ..Default::default()
    }
}

/// Two caches of their own, a third that the host's cores share; and the end.
fn caches(function: u32) -> Vec<kvm_cpuid_entry2> {
    [0xfc00_4121, 0xfc00_4122, 0xfc07_c163, 0]
        .into_iter()
        .zip(0..)
        .map(|(eax, index)| entry(function, index, [eax, 0x01c0_003f, 0x3f, 0]))
        .collect()
}

/// A host of 32 threads that says so, in leaf 0xb as old kernels do or with its first subleaf
/// alone, empty, as new ones do.
fn intel(full: bool) -> CpuId {
    let mut entries = vec![
        entry(0, 0, [0x1f, 0x756e_6547, 0x6c65_746e, 0x4965_6e69]),
        entry(1, 0, [0x000a_0671, 0x0720_0800, 0x0000_2001, 0x178b_fbff]),
        entry(0xd, 0, [7, 0x340, 0x340, 0]),
        entry(0x8000_0000, 0, [0x8000_0008, 0, 0, 0]),
        entry(0x8000_0001, 0, [0, 0, 1, 0]),
        entry(0x8000_0008, 0, [0x3030, 0, 0, 0]),
    ];
    entries.extend(caches(4));
    for function in TOPOLOGY {
        if full {
            entries.push(entry(function, 0, [1, 2, 0x100, 7]));
            entries.push(entry(function, 1, [5, 32, 0x201, 7]));
            entries.push(entry(function, 2, [9, 64, 0x502, 7]));
        } else {
            entries.push(entry(function, 0, [0; 4]));
        }
    }
    ok(CpuId::from_entries(&entries))
}

/// A host of 32 threads; with its topology or without a word of it.
fn amd(full: bool) -> CpuId {
    let mut entries = vec![
        entry(0, 0, [0x10, 0x6874_7541, 0x444d_4163, 0x6974_6e65]),
        entry(1, 0, [0x00a1_0f11, 0x0720_0800, 0x8120_2000, 0x178b_fbff]),
        entry(4, 0, [0; 4]),
        entry(0x8000_0000, 0, [0x8000_0021, 0, 0, 0]),
        entry(0x8000_0001, 0, [0, 0, 0x0040_0393, 0]),
        entry(0x8000_0008, 0, [0x3030, 0, 0x0001_701f, 0]),
    ];
    entries.extend(caches(0x8000_001d));
    if full {
        entries.push(entry(0xb, 0, [1, 2, 0x100, 7]));
        entries.push(entry(0xb, 1, [5, 32, 0x201, 7]));
        entries.push(entry(0x8000_001e, 0, [7, 0x0103, 0x0301, 0]));
    }
    ok(CpuId::from_entries(&entries))
}

fn seen(host: &CpuId, index: u32, count: u32, irqchip: bool) -> CpuId {
    let place = Place {
        index,
        count,
        irqchip,
    };
    ok(of_vcpu(host, place).ok_or("no room"))
}

/// The one entry of a subleaf; zeros where there is none, as KVM answers.
fn words(cpuid: &CpuId, function: u32, index: u32) -> Words {
    let entries = cpuid.as_slice().iter();
    let mut found = entries.filter(|it| (it.function, it.index) == (function, index));
    let words = found
        .next()
        .map_or([0; 4], |it| [it.eax, it.ebx, it.ecx, it.edx]);
    assert_eq!(found.count(), 0, "leaf {function:#x}.{index} stands twice");
    words
}

/// Vcpus of a machine, and the bits of an APIC id that they need.
const COUNTS: [(u32, u32); 6] = [(1, 0), (2, 1), (3, 2), (4, 2), (33, 6), (64, 6)];

#[test]
fn levels_are_a_thread_per_core_and_a_core_per_vcpu_whatever_the_host_lists() {
    for (host, leaves) in [
        (intel(true), &TOPOLOGY[..]),
        (intel(false), &TOPOLOGY),
        (amd(true), &[0xb]),
        (amd(false), &[0xb]),
    ] {
        for (count, bits) in COUNTS {
            for index in [0, count - 1] {
                let cpuid = seen(&host, index, count, false);
                for leaf in leaves {
                    assert_eq!(words(&cpuid, *leaf, 0), [0, 1, 0x100, index]);
                    assert_eq!(words(&cpuid, *leaf, 1), [bits, count, 0x201, index]);
                    assert_eq!(words(&cpuid, *leaf, 2), [0; 4]);
                }
                let levels = cpuid.as_slice().iter();
                let levels = levels.filter(|it| TOPOLOGY.contains(&it.function));
                assert!(levels.clone().all(|it| it.flags == 1), "an index counts");
                assert_eq!(levels.count(), 2 * leaves.len());
            }
        }
    }
}

#[test]
fn a_leaf_that_no_guest_can_reach_is_not_added() {
    let mut old = amd(false);
    old.as_mut_slice()[0].eax = 0xa;
    old.as_mut_slice()[3].eax = 0x8000_001d;
    let cpuid = seen(&old, 1, 2, false);
    assert_eq!(cpuid.as_slice().len(), old.as_slice().len());
    assert_eq!(seen(&ok(CpuId::new(0)), 0, 1, true).as_slice(), []);
}

#[test]
fn leaf_1_has_the_apic_id_the_count_and_the_timer_of_a_local_apic() {
    for host in [intel(false), amd(true)] {
        let [eax, ebx, ecx, edx] = words(&host, 1, 0);
        for (count, _) in COUNTS {
            let index = count - 1;
            let found = words(&seen(&host, index, count, true), 1, 0);
            let htt = if count > 1 { HTT } else { 0 };
            let expected = [
                eax,
                ebx & 0xffff | count << 16 | index << 24,
                ecx | HYPERVISOR | TSC_DEADLINE,
                edx & !HTT | htt,
            ];
            assert_eq!(found, expected, "{count}");
        }
        let alone = words(&seen(&host, 0, 1, false), 1, 0);
        assert_eq!(alone[2], ecx | HYPERVISOR);
    }
}

#[test]
fn the_third_cache_is_everybodys_and_the_others_are_a_cores_own() {
    for (count, _) in COUNTS {
        let cpuid = seen(&intel(true), 0, count, false);
        let eax = |index| words(&cpuid, 4, index)[0];
        let cores = (count - 1) << 26;
        assert_eq!((eax(0), eax(1)), (cores | 0x121, cores | 0x122));
        assert_eq!(eax(2), cores | (count - 1) << 14 | 0x163);
        // The end of the list stays one; AMD has nothing in this leaf at all.
        assert_eq!(eax(3), 0);

        let cpuid = seen(&amd(true), 0, count, false);
        assert_eq!(words(&cpuid, 4, 0), [0; 4]);
        let eax = |index| words(&cpuid, 0x8000_001d, index)[0];
        assert_eq!((eax(0), eax(1)), (0xfc00_0121, 0xfc00_0122));
        assert_eq!((eax(2), eax(3)), (0xfc00_0163 | (count - 1) << 14, 0));
    }
}

#[test]
fn amds_leaves_count_cores_and_name_ids() {
    for full in [true, false] {
        for (count, bits) in COUNTS {
            let index = count - 1;
            let cpuid = seen(&amd(full), index, count, false);
            let ecx = words(&cpuid, 0x8000_0008, 0)[2];
            assert_eq!(ecx, 0x0001_0000 | bits << 12 | (count - 1));
            assert_eq!(words(&cpuid, 0x8000_001e, 0), [index, index, 0, 0]);
            let legacy = words(&cpuid, 0x8000_0001, 0)[2];
            assert_eq!(legacy, 0x0040_0391 | u32::from(count > 1) << 1);
        }
    }
}

#[test]
fn what_is_no_topology_stays_the_hosts() {
    for host in [intel(true), amd(true)] {
        let cpuid = seen(&host, 3, 4, true);
        for function in [0, 0xd, 0x8000_0000] {
            assert_eq!(words(&cpuid, function, 0), words(&host, function, 0));
        }
    }
}

/// EAX, EBX, ECX, EDX of a leaf.
fn leaf(list: &CpuId, function: u32) -> Option<Words> {
    let mut found = list.as_slice().iter().filter(|it| it.function == function);
    let words = found.next().map(|it| [it.eax, it.ebx, it.ecx, it.edx]);
    assert!(found.next().is_none(), "{function:#x} twice");
    words
}

/// With KVM's own leaves.
fn on_kvm(host: &CpuId) -> CpuId {
    let mut entries = host.as_slice().to_vec();
    entries.push(entry(
        0x4000_0000,
        0,
        [0x4000_0001, 0x4b4d_564b, 0x564b_4d56, 0x4d],
    ));
    entries.push(entry(0x4000_0001, 0, [0x0100_7efb, 0, 0, 0]));
    ok(CpuId::from_entries(&entries))
}

#[test]
fn the_frequency_of_the_counter_is_where_the_vendor_and_hypervisors_have_it() {
    let seen = with_tsc(&on_kvm(&intel(true)), 2_445_403);
    assert_eq!(leaf(&seen, 0x15), Some([1, 2, 1_222_701_500, 0]));
    assert_eq!(leaf(&seen, 0x16), Some([2445, 2445, 100, 0]));
    let base = leaf(&seen, 0x4000_0000).unwrap_or_default();
    assert_eq!(base, [0x4000_0010, 0x4b4d_564b, 0x564b_4d56, 0x4d]);
    assert_eq!(leaf(&seen, 0x4000_0010), Some([2_445_403, 1_000_000, 0, 0]));
    // Its maximum leaf is 0x10, and it does not say that it is KVM.
    let seen = with_tsc(&amd(true), 2_445_403);
    assert_eq!(seen.as_slice(), amd(true).as_slice());
    // Again, with another frequency.
    let again = with_tsc(&with_tsc(&on_kvm(&intel(true)), 1), 4_000_000);
    assert_eq!(leaf(&again, 0x15), Some([1, 2, 2_000_000_000, 0]));
    assert_eq!(
        leaf(&again, 0x4000_0010),
        Some([4_000_000, 1_000_000, 0, 0])
    );
}

#[test]
fn a_list_without_a_frequency_or_without_room_stays_as_it_was() {
    let host = on_kvm(&intel(true));
    assert_eq!(with_tsc(&host, 0).as_slice(), host.as_slice());
    let mut entries = host.as_slice().to_vec();
    entries.resize(kvm_bindings::KVM_MAX_CPUID_ENTRIES, entry(0xd, 9, [0; 4]));
    let full = ok(CpuId::from_entries(&entries));
    assert_eq!(with_tsc(&full, 2_445_403).as_slice(), full.as_slice());
}
