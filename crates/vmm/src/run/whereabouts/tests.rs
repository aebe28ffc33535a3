use boot::paging::PagingFeatures;

use super::*;

fn special(cr0: u64, cr3: u64, cr4: u64, efer: u64) -> kvm_sregs {
    kvm_sregs {
        cr0,
        cr3,
        cr4,
        efer,
        ..Default::default()
    }
}

const PAGED: u64 = CR0_PE | CR0_PG;

#[test]
fn bytes_end_where_memory_or_the_mapping_does() {
    let end = 0x3000;
    let read = |gpa: u64, into: &mut [u8]| {
        into.iter_mut()
            .zip(gpa..)
            .for_each(|(byte, at)| *byte = at as u8);
        gpa + into.len() as u64 <= end
    };
    let at = |base, rip| {
        let mut special = special(0, 0, 0, 0);
        special.cs.base = base;
        let registers = kvm_regs {
            rip,
            ..Default::default()
        };
        let features = PagingFeatures {
            max_phys_bits: 40,
            has_1gib: true,
            has_nx: true,
            is_amd: false,
        };
        let paging = PagingState::new(&special, features);
        instruction_bytes(&registers, &special, &paging, read)
    };
    assert_eq!(at(0x1000, 0x10), (0x10..0x1f).collect::<Vec<u8>>());
    // Across a page.
    assert_eq!(at(0, 0x1ffc).len(), MAX_INSTRUCTION_BYTES);
    assert_eq!(at(0x2000, 0xffe), [0xfe, 0xff]);
    assert_eq!(at(0x2000, 0x1000), []);
    // An address of 32 bits wraps.
    assert_eq!(at(0xffff_0000, 0x1_0000).len(), MAX_INSTRUCTION_BYTES);
    assert_eq!(at(0, u64::MAX), []);
}

#[test]
fn every_mode_has_its_word() {
    let word = |cr0, efer, l, rflags| {
        let mut special = special(cr0, 0, 0, efer);
        special.cs.l = l;
        let registers = kvm_regs {
            rflags,
            ..Default::default()
        };
        mode(&registers, &special)
    };
    assert_eq!(word(0, 0, 0, 0), "real");
    assert_eq!(word(CR0_PE, 0, 0, 0), "protected");
    assert_eq!(word(PAGED, 0, 0, 0), "paged32");
    assert_eq!(word(PAGED, 0, 0, RFLAGS_VM), "virtual-8086");
    assert_eq!(word(PAGED, EFER_LMA, 1, 0), "long");
    assert_eq!(word(PAGED, EFER_LMA, 0, 0), "compatibility");
}
