//! Whether a vCPU can leave ring 3: a pure function over its state and a reader of memory.
//!
//! A guest changes MSRs, XCR0 and debug registers by instructions of ring 0 (Intel SDM vol. 3A
//! §6.9), and ring 3 is left in the ways below only, of which none is open to a confined vCPU. So
//! these kinds of state are what they were as long as all that it does is to run, and to exit with
//! port and MMIO accesses. (A debug exception changes DR6, but it ends with a shutdown, which is
//! no such exit, or with a fault, for which the host sets special registers; an access with
//! RFLAGS.TF counts as no such exit, as the exception waits after it.)
//!
//! | way to ring 0 | why it is closed |
//! | --- | --- |
//! | interrupts, exceptions, `int n` | no gate in IDTR's limit, or the trap table: the run ends |
//! | `syscall` | EFER.SCE is 0, or its entry is that of native programs, which returns |
//! | `sysenter` | IA32_SYSENTER_CS is null |
//! | far calls and jumps through gates | GDT has none, which ring 3 cannot change; no LDT |
//! | tasks | there are no task switches in 64-bit mode |
//! | an interrupt controller's INIT and SIPI | there is none |
//!
//! Ring 3 cannot change any of that: it has no access to the pages of GDT and page tables, and what
//! the host writes there is counted ([`GuestMemory::system_writes`]). Both lie in the system slot,
//! which `memory.buffer` does not show. What counts or records by itself is off: branch records
//! (DEBUGCTL) and performance counters. So is what would give ring 3 a state of its own among the
//! MSRs, shadow stacks (CR4.CET).
//!
//! [`GuestMemory::system_writes`]: crate::kvm::memory::GuestMemory::system_writes

use boot::CpuMode;
use boot::layout::{SYSTEM_LIMIT, SYSTEM_START, TSS};
use boot::state::user::{self, EFER_SCE};
use boot::state::{CR0_PE, CR0_PG, EFER_LMA, Table, traps};
use kvm_bindings::{kvm_msr_entry, kvm_sregs};

use crate::kvm::vcpu_state::VcpuState;

const PAGE_BYTES: u64 = 4096;
/// CR4.LA57, CR4.CET, CR4.UINTR, CR4.FRED (§2.5).
const CR4_OTHERS: u64 = 1 << 12 | 1 << 23 | 1 << 25 | 1 << 32;
/// The first limit of IDTR with a whole gate of 64-bit mode.
const ONE_GATE: u16 = 15;
/// IA32_SYSENTER_CS; DEBUGCTL; selects and controls of performance counters, Intel's and AMD's.
const SYSENTER_CS: u32 = 0x174;
const DEBUGCTL: u32 = 0x1d9;
const COUNTERS: [std::ops::RangeInclusive<u32>; 5] = [
    0x186..=0x18d,
    0x38d..=0x38d,
    0x38f..=0x38f,
    0xc001_0000..=0xc001_0003,
    0xc001_0200..=0xc001_020b,
];
/// A page table's entry: present, writable, for users, a large page; the address (§5.5.4).
const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const LARGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Page tables of more pages than these are not looked at.
const MOST_TABLES: usize = 1024;

/// Whether the only vCPU of a machine without an irqchip stays in ring 3, given how its memory
/// reads.
pub(crate) fn is_confined(state: &VcpuState, read: impl Fn(u64, &mut [u8]) -> bool) -> bool {
    let sregs = &state.sregs;
    is_closed(sregs, &state.msrs) && tables_are_closed(sregs, &read).unwrap_or(false)
}

/// The registers alone.
fn is_closed(sregs: &kvm_sregs, msrs: &[kvm_msr_entry]) -> bool {
    let in_ring_3 = sregs.cs.dpl == 3 && sregs.ss.dpl == 3 && sregs.cs.selector & 3 == 3;
    let in_long_mode =
        sregs.cr0 & (CR0_PE | CR0_PG) == CR0_PE | CR0_PG && sregs.efer & EFER_LMA != 0;
    let has_no_ldt = sregs.ldt.unusable != 0 || sregs.ldt.present == 0;
    let is_off = |index: u32| {
        let what = matches!(index, SYSENTER_CS | DEBUGCTL);
        what || COUNTERS.iter().any(|range| range.contains(&index))
    };
    in_ring_3
        && in_long_mode
        && has_no_ldt
        && (sregs.idt.limit < ONE_GATE || has_trap_table(sregs))
        && (sregs.efer & EFER_SCE == 0 || has_entry(msrs))
        && sregs.cr4 & CR4_OTHERS == 0
        && msrs.iter().all(|msr| !is_off(msr.index) || msr.data == 0)
        // They are among those that are known, or `sysenter` may go anywhere.
        && msrs.iter().any(|msr| msr.index == SYSENTER_CS)
}

/// Whether IDTR is for the trap table. What lies there is yet to be looked at.
const fn has_trap_table(sregs: &kvm_sregs) -> bool {
    let ours = traps::register(CpuMode::Long);
    sregs.idt.base == ours.base && sregs.idt.limit == ours.limit && sregs.tr.base == TSS
}

/// Whether `syscall` is for the entry of native programs. What lies there is yet to be looked at.
fn has_entry(msrs: &[kvm_msr_entry]) -> bool {
    let is_set = |(index, value)| {
        let mut all = msrs.iter();
        all.any(|msr| msr.index == index && msr.data == value)
    };
    user::msrs().into_iter().all(is_set)
}

/// The tables, which lie out of the reach of ring 3.
fn tables_are_closed(sregs: &kvm_sregs, read: &impl Fn(u64, &mut [u8]) -> bool) -> Option<bool> {
    let tables = Tables::of(sregs.cr3 & ADDRESS, read)?;
    let mut guarded = tables.pages.clone();
    if has_trap_table(sregs) {
        guarded.extend(trap_pages(sregs, &tables, read)?);
    }
    if sregs.efer & EFER_SCE != 0 {
        guarded.extend(pages_with(&[user::entry()], &tables, read)?);
    }
    let bytes = u64::from(sregs.gdt.limit) + 1;
    for at in (0..bytes).step_by(8) {
        let linear = sregs.gdt.base.checked_add(at)?;
        // A descriptor that crosses a page border is not looked at.
        if linear % PAGE_BYTES > PAGE_BYTES - 8 {
            return None;
        }
        let gpa = tables.physical(linear, read)?;
        let mut descriptor = [0; 8];
        if !read(gpa, &mut descriptor) {
            return None;
        }
        if !is_harmless(u64::from_le_bytes(descriptor)) {
            return Some(false);
        }
        guarded.push(gpa & ADDRESS);
    }
    guarded.sort_unstable();
    guarded.dedup();
    let is_ours = |page: &u64| (SYSTEM_START..SYSTEM_LIMIT).contains(page);
    let is_writable = |page: &u64| {
        let maps = |(from, bytes): &(u64, u64)| *page >= *from && *page - from < *bytes;
        tables.writable.iter().any(maps)
    };
    Some(
        guarded
            .iter()
            .all(|page| is_ours(page) && !is_writable(page)),
    )
}

/// The pages of the trap table, if they have what was put there.
fn trap_pages(
    sregs: &kvm_sregs,
    tables: &Tables,
    read: &impl Fn(u64, &mut [u8]) -> bool,
) -> Option<Vec<u64>> {
    let mut gate = [0; 8];
    if !read(sregs.idt.base, &mut gate) {
        return None;
    }
    let [_, _, low, high, ..] = gate;
    let wanted = traps::tables(CpuMode::Long, u16::from_le_bytes([low, high]));
    pages_with(&wanted, tables, read)
}

/// The pages of what was put somewhere, if it is there.
fn pages_with(
    wanted: &[Table],
    tables: &Tables,
    read: &impl Fn(u64, &mut [u8]) -> bool,
) -> Option<Vec<u64>> {
    let is_there = |table: &Table| {
        let mut bytes = vec![0; table.bytes.len()];
        let is_mapped = tables.physical(table.gpa, read) == Some(table.gpa);
        is_mapped && read(table.gpa, &mut bytes) && bytes == table.bytes
    };
    let pages = wanted.iter().map(|table| table.gpa & ADDRESS);
    wanted.iter().all(is_there).then(|| pages.collect())
}

/// A code or data segment, or a task state segment, or nothing (§3.4.5, §3.5). The second half of a
/// system descriptor looks like nothing.
const fn is_harmless(descriptor: u64) -> bool {
    let (kind, is_system) = (descriptor >> 40 & 0xf, descriptor >> 44 & 1 == 0);
    let is_present = descriptor >> 47 & 1 == 1;
    !is_present || !is_system || matches!(kind, 9 | 11)
}

/// All page tables of four levels.
struct Tables {
    top: u64,
    /// Where they lie.
    pages: Vec<u64>,
    /// What ring 3 can write: guest physical addresses, and how many bytes.
    writable: Vec<(u64, u64)>,
}

impl Tables {
    /// `None` if they are too many, or not in memory.
    fn of(top: u64, read: &impl Fn(u64, &mut [u8]) -> bool) -> Option<Self> {
        let mut tables = Self {
            top,
            pages: vec![top],
            writable: Vec::new(),
        };
        // Each with the bits that all levels above it have, and the bytes that its entries map.
        let mut rest = vec![(top, WRITABLE | USER, 1_u64 << 39)];
        while let Some((table, above, maps)) = rest.pop() {
            let mut page = [0; PAGE_BYTES as usize];
            if tables.pages.len() > MOST_TABLES || !read(table, &mut page) {
                return None;
            }
            for entry in page.chunks_exact(8) {
                let entry = entry.try_into().map(u64::from_le_bytes).ok()?;
                if entry & PRESENT == 0 {
                    continue;
                }
                let bits = entry & above;
                let is_page = maps == PAGE_BYTES || entry & LARGE != 0;
                if !is_page {
                    tables.pages.push(entry & ADDRESS);
                    rest.push((entry & ADDRESS, bits, maps >> 9));
                } else if bits == WRITABLE | USER {
                    tables.writable.push((entry & ADDRESS & !(maps - 1), maps));
                }
            }
        }
        tables.pages.sort_unstable();
        tables.pages.dedup();
        Some(tables)
    }

    fn physical(&self, linear: u64, read: &impl Fn(u64, &mut [u8]) -> bool) -> Option<u64> {
        let (mut table, mut shift) = (self.top, 39);
        loop {
            let mut bytes = [0; 8];
            let index = linear >> shift & 0x1ff;
            if !read(table + index * 8, &mut bytes) {
                return None;
            }
            let entry = u64::from_le_bytes(bytes);
            if entry & PRESENT == 0 {
                return None;
            }
            if shift == 12 || entry & LARGE != 0 {
                let offset = (1 << shift) - 1;
                return Some(entry & ADDRESS & !offset | linear & offset);
            }
            (table, shift) = (entry & ADDRESS, shift - 9);
        }
    }
}

#[cfg(test)]
mod tests;
