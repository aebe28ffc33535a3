use kvm_bindings::{CpuId, kvm_cpuid_entry2, kvm_sregs};

use super::*;

fn config(mode: CpuMode) -> BootConfig {
    BootConfig {
        mode,
        privilege: Privilege::Kernel,
        protocol: Protocol::Plain,
        faults: false,
        entry_gpa: 0x7c00,
        stack_top: 2 << 20,
        top: 2 << 20,
    }
}

fn words(table: &Table) -> Vec<u64> {
    table
        .bytes
        .chunks_exact(8)
        .map(|b| u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
        .collect()
}

#[test]
fn gdt_limit_is_five_entries_less_one() {
    for mode in [CpuMode::Protected, CpuMode::Paged32, CpuMode::Long] {
        let sregs = special_registers(&config(mode), None, kvm_sregs::default());
        assert_eq!(sregs.gdt.limit, 5 * 8 - 1, "{mode:?}");
        assert_eq!(sregs.gdt.base, layout::GDT);
        assert_eq!(tables(&config(mode))[0].bytes.len(), 40);
    }
}

#[test]
fn gdt_bytes_are_the_manuals_flat_descriptors() {
    let gdt = |mode| words(&tables(&config(mode))[0]);
    assert_eq!(
        gdt(CpuMode::Protected),
        [
            0,
            0x00cf_9b00_0000_ffff,
            0x00cf_9300_0000_ffff,
            0x00cf_f300_0000_ffff,
            0x00cf_fb00_0000_ffff
        ]
    );
    assert_eq!(
        gdt(CpuMode::Long),
        [
            0,
            0x00af_9b00_0000_ffff,
            0x00cf_9300_0000_ffff,
            0x00cf_f300_0000_ffff,
            0x00af_fb00_0000_ffff
        ]
    );
}

#[test]
fn linux_finds_its_selectors_and_their_descriptors() {
    for mode in [CpuMode::Protected, CpuMode::Long] {
        let linux = BootConfig {
            protocol: Protocol::Linux,
            ..config(mode)
        };
        let sregs = special_registers(&linux, None, kvm_sregs::default());
        // __BOOT_CS and __BOOT_DS.
        assert_eq!((sregs.cs.selector, sregs.ds.selector), (0x10, 0x18));
        assert_eq!((sregs.es.selector, sregs.ss.selector), (0x18, 0x18));
        assert_eq!(sregs.gdt.limit, 6 * 8 - 1);
        let gdt = words(&tables(&linux)[0]);
        let plain = words(&tables(&config(mode))[0]);
        assert_eq!((gdt[..2].to_vec(), &gdt[2..]), (vec![0, 0], &plain[1..]));
    }
}

#[test]
fn pvh_finds_paging_off_nothing_else_in_cr0_and_a_task() {
    let pvh = BootConfig {
        protocol: Protocol::Pvh,
        ..config(CpuMode::Protected)
    };
    let sregs = special_registers(&pvh, None, kvm_sregs::default());
    // ET cannot be cleared.
    assert_eq!((sregs.cr0, sregs.cr4, sregs.efer), (0x11, 0, 0));
    let tr = sregs.tr;
    assert_eq!((tr.base, tr.limit, tr.type_, tr.s), (0, 0x67, 11, 0));
}

#[test]
fn the_task_register_has_a_tss_whose_bitmap_opens_every_port() {
    for mode in [CpuMode::Protected, CpuMode::Paged32, CpuMode::Long] {
        let tr = special_registers(&config(mode), None, kvm_sregs::default()).tr;
        assert_eq!((tr.base, tr.limit), (0xfe00_1000, 0x2068), "{mode:?}");
        assert_eq!((tr.type_, tr.s, tr.present, tr.unusable), (11, 0, 1, 0));
        let mut tss = vec![0; tr.limit as usize + 1];
        for table in tables(&config(mode)) {
            let inside = table.gpa >= tr.base && table.gpa <= tr.base + u64::from(tr.limit);
            if inside {
                let at = (table.gpa - tr.base) as usize;
                tss[at..at + table.bytes.len()].copy_from_slice(&table.bytes);
            }
        }
        let bitmap = usize::from(u16::from_le_bytes([tss[0x66], tss[0x67]]));
        assert_eq!(bitmap, 0x68);
        assert_eq!(tss[bitmap..], [vec![0; 0x2000], vec![0xff]].concat());
    }
}

#[test]
fn a_descriptor_keeps_base_and_byte_limit_apart() {
    let segment = kvm_bindings::kvm_segment {
        base: 0x1234_5678,
        limit: 0xa_bcde,
        type_: 3,
        present: 1,
        s: 1,
        ..Default::default()
    };
    assert_eq!(segments::descriptor(&segment), 0x120a_9334_5678_bcde);
}

#[test]
fn real_mode_starts_in_the_entrys_frame() {
    let low = special_registers(&config(CpuMode::Real), None, kvm_sregs::default());
    assert_eq!((low.cs.base, low.cs.selector, low.cs.limit), (0, 0, 0xffff));
    assert_eq!(
        (low.cr0 & CR0_PE, registers(&config(CpuMode::Real)).rip),
        (0, 0x7c00)
    );
    let high = BootConfig {
        entry_gpa: 0x2_0010,
        ..config(CpuMode::Real)
    };
    let sregs = special_registers(&high, None, kvm_sregs::default());
    assert_eq!(
        (sregs.cs.base, sregs.cs.selector, registers(&high).rip),
        (0x2_0000, 0x2000, 0x10)
    );
    assert_eq!((sregs.ds.base, sregs.ds.selector), (0, 0));
    assert!(tables(&high).is_empty());
}

#[test]
fn real_mode_stack_stays_within_its_segment() {
    assert_eq!(registers(&config(CpuMode::Real)).rsp, 0);
    let small = BootConfig {
        stack_top: 0x8000,
        ..config(CpuMode::Real)
    };
    assert_eq!(registers(&small).rsp, 0x8000);
}

#[test]
fn control_registers_of_each_mode() {
    let of = |mode| {
        let s = special_registers(&config(mode), None, kvm_sregs::default());
        (s.cr0, s.cr3, s.cr4, s.efer)
    };
    assert_eq!(of(CpuMode::Protected), (0x1_0031, 0, 0, 0));
    assert_eq!(
        of(CpuMode::Paged32),
        (0x8001_0031, layout::TOP_TABLE, 0x10, 0)
    );
    assert_eq!(
        of(CpuMode::Long),
        (0x8001_0033, layout::TOP_TABLE, 0x620, 0x500)
    );
}

fn list(leaves: &[kvm_cpuid_entry2]) -> CpuId {
    CpuId::from_entries(leaves).unwrap_or_else(|error| panic!("{error:?}"))
}

fn leaf(function: u32, index: u32, [eax, ebx, ecx, edx]: [u32; 4]) -> kvm_cpuid_entry2 {
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

#[test]
fn long_mode_has_all_that_xsave_keeps_here_and_sse_without_it() {
    let avx = list(&[
        leaf(1, 0, [0, 0, 1 << 26, 0]),
        leaf(0xd, 1, [0xf, 0, 0, 0]),
        leaf(0xd, 0, [7, 0, 0, 1]),
    ]);
    let sse = list(&[leaf(1, 0, [0, 0, 1 << 26, 0])]);
    let none = list(&[leaf(1, 0, [0; 4]), leaf(0xd, 0, [7, 0, 0, 0])]);
    let long = config(CpuMode::Long);
    for (cpuid, expected, cr4) in [
        (&avx, Some(0x1_0000_0007), 0x4_0620),
        (&sse, Some(3), 0x4_0620),
        (&none, None, 0x620),
    ] {
        let found = xcr0(&long, cpuid);
        assert_eq!(found, expected);
        let sregs = special_registers(&long, found, kvm_sregs::default());
        assert_eq!(sregs.cr4, cr4);
    }
    for mode in [CpuMode::Real, CpuMode::Protected, CpuMode::Paged32] {
        assert_eq!(xcr0(&config(mode), &avx), None, "{mode:?}");
    }
}

#[test]
fn ring_3_has_user_selectors_iopl_3_and_user_bits_on_every_level() {
    let user = BootConfig {
        privilege: Privilege::User,
        ..config(CpuMode::Long)
    };
    let sregs = special_registers(&user, None, kvm_sregs::default());
    assert_eq!(
        (sregs.cs.selector, sregs.cs.dpl, sregs.cs.l, sregs.cs.db),
        (0x23, 3, 1, 0)
    );
    assert_eq!((sregs.ss.selector, sregs.ss.dpl), (0x1b, 3));
    assert_eq!(registers(&user).rflags, 0x3002);
    // Ring 3 reaches everything but what the processor reads.
    let is_system = |gpa| (layout::SYSTEM_START..layout::SYSTEM_LIMIT).contains(&gpa);
    for table in &tables(&user)[3..] {
        for entry in words(table) {
            let (is_page, gpa) = (entry & paging::LARGE != 0, entry & 0x000f_ffff_ffff_f000);
            let hidden = is_page && is_system(gpa);
            let expected = if hidden {
                USER_FLAGS & !paging::USER
            } else {
                USER_FLAGS
            };
            assert_eq!(entry & USER_FLAGS, expected, "{entry:#x}");
        }
    }
    assert_eq!((sregs.ldt.present, sregs.ldt.unusable), (0, 1));
}

const USER_FLAGS: u64 = paging::PRESENT | paging::WRITABLE | paging::USER;

#[test]
fn long_mode_maps_four_gib_one_to_one() {
    let tables = tables(&config(CpuMode::Long));
    let [_, _, _, pml4, pdpt, directories] = tables.as_slice() else {
        panic!("{tables:?}")
    };
    assert_eq!(words(pml4), [layout::PDPT | 3]);
    let expected: Vec<u64> = (0..4)
        .map(|i| (layout::DIRECTORIES + i * 4096) | 3)
        .collect();
    assert_eq!(words(pdpt), expected);
    let pages = words(directories);
    assert_eq!(pages.len(), 4 * 512);
    assert_eq!(
        (pages[0], pages[1], pages[2047]),
        (0x83, 0x20_0083, 0xffe0_0083)
    );
}

#[test]
fn memory_above_four_gib_is_mapped_too_and_fits_the_system_slot() {
    let top = (9 << 30) + 4096;
    let big = BootConfig {
        top,
        ..config(CpuMode::Long)
    };
    let tables = tables(&big);
    let last = &tables[5];
    assert_eq!(last.bytes.len(), 10 * 4096);
    assert_eq!(
        last.gpa + last.bytes.len() as u64,
        layout::SYSTEM_START + layout::system_bytes(top)
    );
}

#[test]
fn paged32_maps_four_gib_with_4_mib_pages() {
    let tables = tables(&config(CpuMode::Paged32));
    let directory: Vec<u32> = tables[3]
        .bytes
        .chunks_exact(4)
        .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    assert_eq!(directory.len(), 1024);
    assert_eq!(
        (directory[0], directory[1], directory[1023]),
        (0x83, 0x40_0083, 0xffc0_0083)
    );
}

#[test]
fn tables_never_overlap_and_stay_inside_the_system_slot() {
    for mode in CpuMode::ALL {
        let tables = tables(&config(mode));
        let end = layout::SYSTEM_START + layout::system_bytes(2 << 20);
        for (i, a) in tables.iter().enumerate() {
            assert!(a.gpa >= layout::SYSTEM_START && a.gpa + a.bytes.len() as u64 <= end);
            for b in &tables[i + 1..] {
                assert!(a.gpa + a.bytes.len() as u64 <= b.gpa, "{mode:?}");
            }
        }
    }
}
