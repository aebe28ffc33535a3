//! The walk of page tables against KVM's own (`KVM_TRANSLATE`), over random tables.

use boot::paging::{PagingState, walk};
use boot::state::{CR0_PE, CR0_PG, CR4_LA57, CR4_PAE, CR4_PSE, EFER_LMA, EFER_LME, EFER_NXE};

use super::*;

const MEMORIES: u32 = 40;
const ADDRESSES: u32 = 60;
/// The tables are random pages from here on, and point to each other.
const TABLES: u64 = 0x1_0000;
const PAGES: u64 = 8;
/// Pointers of PAE paging are of no other use: KVM's walk sets flags in the entries that it meets.
const POINTERS: u64 = TABLES + PAGES * PAGE + 0x20;
const PAGE: u64 = 4096;
/// Bits of entries that are compared: address bits above all memory are, one at a time.
const FORMS: [(&str, u64, u64); 5] = [
    ("32-bit", 0, 0),
    ("32-bit with pages of 4 MiB", CR4_PSE, 0),
    ("PAE", CR4_PAE, 0),
    ("4-level", CR4_PAE, EFER_LME | EFER_LMA),
    ("5-level", CR4_PAE | CR4_LA57, EFER_LME | EFER_LMA),
];

/// Marsaglia's xorshift64: the same in every run.
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    const fn below(&mut self, count: u64) -> u64 {
        (self.next() >> 11) % count
    }

    const fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

fn entry(random: &mut Random, bits: u64) -> u64 {
    let mut entry = (TABLES + random.below(PAGES) * PAGE) | 7;
    if random.one_in(10) {
        entry ^= 1 << random.below(3);
    }
    if random.one_in(5) {
        let shift = [21, 22, 30][random.below(3) as usize];
        entry = (entry & 7) | 1 << 7 | random.below(4) << shift;
        if random.one_in(4) {
            entry ^= 1 << (12 + random.below(18));
        }
    }
    if random.one_in(8) {
        entry ^= 1 << random.below(bits);
    }
    if bits == 32 && entry & 1 << 7 != 0 {
        // KVM takes 36 bits of such an address, processors up to 40.
        entry &= !(0xf << 17);
    }
    entry
}

fn fill(random: &mut Random, machine: &Machine, bits: u64) {
    let bytes = bits as usize / 8;
    let count = (PAGES * PAGE) as usize / bytes;
    let entries = (0..count).flat_map(|_| {
        let entry = entry(random, bits);
        entry.to_le_bytes().into_iter().take(bytes)
    });
    let entries: Vec<u8> = entries.collect();
    machine.memory().write(TABLES, &entries).unwrap();
}

/// The four pointers of PAE paging are loaded with CR3, which must not fail.
fn fill_pointers(random: &mut Random, machine: &Machine) {
    for index in 0..4 {
        let present = u64::from(!random.one_in(6));
        let pointer = (TABLES + random.below(PAGES) * PAGE) | present;
        let at = POINTERS + index * 8;
        machine.memory().write(at, &pointer.to_le_bytes()).unwrap();
    }
}

fn address(random: &mut Random, efer: u64, cr4: u64) -> u64 {
    let unused = match efer & EFER_LMA {
        0 => return random.next() >> 32,
        _ if cr4 & CR4_LA57 != 0 => 7,
        _ => 16,
    };
    ((random.next() << unused).cast_signed() >> unused).cast_unsigned()
}

/// Where there is none, KVM takes a guest out of long mode for one without paging.
fn has_32_bit_paging() -> bool {
    let report = crate::probe().unwrap();
    let mut modes = report.modes.iter();
    modes.any(|report| report.mode == CpuMode::Paged32 && report.reason.is_none())
}

/// Compares; none if this KVM has no such form of paging, else how many addresses had a page.
fn compare(machine: &mut Machine, cr4: u64, efer: u64) -> Option<u32> {
    if efer == 0 && !has_32_bit_paging() {
        return None;
    }
    let bits = if cr4 & CR4_PAE == 0 { 32 } else { 64 };
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut pages = 0;
    let reset = machine.special_registers().unwrap();
    for _ in 0..MEMORIES {
        fill(&mut random, machine, bits);
        let mut cr3 = TABLES + random.below(PAGES) * PAGE;
        if bits == 64 && efer == 0 {
            cr3 = POINTERS;
            fill_pointers(&mut random, machine);
        }
        // Through a state without paging, so that every pointer is loaded.
        machine.set_special_registers(&reset).unwrap();
        let mut special = reset;
        special.cr0 = CR0_PE | CR0_PG;
        special.cr3 = cr3;
        special.cr4 = cr4;
        special.efer = efer | if random.one_in(2) { EFER_NXE } else { 0 };
        if machine.set_special_registers(&special).is_err() {
            return None;
        }
        let vcpu = vcpu(machine);
        let state = PagingState::new(&special, vcpu.paging);
        let addresses: Vec<u64> = (0..ADDRESSES)
            .map(|_| address(&mut random, efer, cr4))
            .collect();
        let of_kvm: Vec<_> = addresses
            .iter()
            .map(|linear| {
                let found = vcpu.fd.translate_gva(*linear).unwrap();
                (found.valid != 0).then_some(found.physical_address)
            })
            .collect();
        for (linear, of_kvm) in addresses.into_iter().zip(of_kvm) {
            let memory = machine.memory();
            let walked = walk(&state, linear, |gpa, into| memory.read(gpa, into).is_ok());
            let ours = walked.result.ok().map(|page| page.gpa);
            assert_eq!(ours, of_kvm, "{linear:#x} {state:x?} {walked:x?}");
            pages += u32::from(ours.is_some());
        }
    }
    Some(pages)
}

#[test]
fn every_form_of_paging_is_walked_as_kvm_walks_it() {
    for mut machine in machines() {
        for (name, cr4, efer) in FORMS {
            let Some(pages) = compare(&mut machine, cr4, efer) else {
                eprintln!("skipped: this KVM has no {name} paging");
                continue;
            };
            let all = MEMORIES * ADDRESSES;
            assert!((all / 5..all).contains(&pages), "{name}: {pages} of {all}");
        }
    }
}
