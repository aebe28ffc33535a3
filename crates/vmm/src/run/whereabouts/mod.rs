//! Where a vCPU is when its run ends without an answer to why: pure functions over its registers
//! and a reader of memory.

use boot::state::{CR0_PE, CR0_PG, CR4_PAE, CR4_PSE, EFER_LMA};
use kvm_bindings::{kvm_regs, kvm_sregs};

use crate::kvm::exit::Exit;
use crate::kvm::kick::KickCause;
use crate::kvm::memory::GuestMemory;
use crate::run::outcome::{End, Shutdown, Whereabouts};
use crate::run::processor::Processor;

/// The longest instruction (Intel SDM vol. 2A §2.3.11).
const MOST_INSTRUCTION_BYTES: usize = 15;
const PAGE_BYTES: u64 = 4096;

/// RFLAGS.VM, virtual-8086 mode (Intel SDM vol. 3A §2.3).
const RFLAGS_VM: u64 = 1 << 17;
/// CR4.LA57, page tables of five levels (§2.5).
const CR4_LA57: u64 = 1 << 12;
/// A page-table entry's P and PS flags, and its address (§4.5).
const PRESENT: u64 = 1;
const LARGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Whether users ask of such an end where the guest was.
pub(crate) const fn is_asked(end: &End) -> bool {
    match end {
        End::Exit(record) => matches!(
            record.exit,
            Exit::Shutdown | Exit::FailEntry { .. } | Exit::InternalError { .. }
        ),
        End::Kicked(cause) => matches!(cause, KickCause::Timeout),
        End::Fault(_) => true,
        End::ExitPort { .. } | End::Power { .. } => false,
    }
}

/// Where a vCPU is that does not run; none if its registers cannot be read, or KVM has reset them.
pub(crate) fn of(
    processor: &mut Processor,
    memory: &GuestMemory,
    end: &End,
) -> Option<Whereabouts> {
    let registers = processor.registers().ok()?;
    let special = processor.special_registers().ok()?;
    let crashed = matches!(end, End::Exit(record) if record.exit == Exit::Shutdown);
    if crashed && is_reset(&registers, &special) {
        return None;
    }
    let read = |gpa, bytes: &mut [u8]| memory.read(gpa, bytes).is_ok();
    Some(Whereabouts {
        vcpu: processor.index,
        rip: registers.rip,
        cs: special.cs.selector,
        mode: mode(&registers, &special),
        bytes: instruction_bytes(&registers, &special, read),
        special,
    })
}

/// What KVM says of a vCPU that shut down: a state after power-on still has the exception. Of one
/// that had none it says 0, too, which is that of a division.
pub(crate) fn shutdown(processor: &mut Processor, at: Option<&Whereabouts>) -> Shutdown {
    let vector = processor.events().ok().map(|events| events.exception.nr);
    let is_possible = |vector: &u8| *vector != 0 || at.is_none_or(|at| divides(at));
    Shutdown {
        vector: vector.filter(is_possible),
        registers_kept: at.is_some(),
    }
}

/// Whether the next instruction is `div`, `idiv` or `aam`, by its first byte after prefixes (Intel
/// SDM vol. 2A §2.1.1, §2.2.1).
fn divides(at: &Whereabouts) -> bool {
    const PREFIXES: [u8; 11] = [
        0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3,
    ];
    let is_prefix = |byte: u8| PREFIXES.contains(&byte) || at.mode == "long" && byte & 0xf0 == 0x40;
    let code = at.bytes.iter().find(|byte| !is_prefix(**byte));
    matches!(code, Some(0xf6 | 0xf7 | 0xd4))
}

/// Reads at a linear address, over the borders of pages; false where no page or memory is.
pub(crate) fn read_linear(
    special: &kvm_sregs,
    memory: &GuestMemory,
    linear: u64,
    bytes: &mut [u8],
) -> bool {
    let read = |gpa, bytes: &mut [u8]| memory.read(gpa, bytes).is_ok();
    let mut at = linear;
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some(gpa) = physical(special, at, &read) else {
            return false;
        };
        let in_page = (PAGE_BYTES - gpa % PAGE_BYTES) as usize;
        let (piece, more) = rest.split_at_mut(in_page.min(rest.len()));
        if !read(gpa, piece) {
            return false;
        }
        at = at.wrapping_add(piece.len() as u64);
        rest = more;
    }
    true
}

/// KVM on SVM puts a vCPU that shuts down into its state after power-on (Intel SDM vol. 3A
/// §10.1.4).
const fn is_reset(registers: &kvm_regs, special: &kvm_sregs) -> bool {
    registers.rip == 0xfff0 && special.cs.base == 0xffff_0000 && special.cr0 & CR0_PE == 0
}

/// The mode that the vCPU is in (Intel SDM vol. 3A §2.2).
fn mode(registers: &kvm_regs, special: &kvm_sregs) -> &'static str {
    match special {
        _ if special.cr0 & CR0_PE == 0 => "real",
        _ if special.efer & EFER_LMA != 0 && special.cs.l != 0 => "long",
        _ if special.efer & EFER_LMA != 0 => "compatibility",
        _ if registers.rflags & RFLAGS_VM != 0 => "virtual-8086",
        _ if special.cr0 & CR0_PG != 0 => "paged32",
        _ => "protected",
    }
}

/// The bytes at RIP, up to the longest instruction, as far as pages are mapped and memory extends.
fn instruction_bytes(
    registers: &kvm_regs,
    special: &kvm_sregs,
    read: impl Fn(u64, &mut [u8]) -> bool,
) -> Vec<u8> {
    let is_64_bit = special.efer & EFER_LMA != 0 && special.cs.l != 0;
    let mut bytes = Vec::with_capacity(MOST_INSTRUCTION_BYTES);
    while bytes.len() < MOST_INSTRUCTION_BYTES {
        let at = registers.rip.wrapping_add(bytes.len() as u64);
        let linear = if is_64_bit {
            at
        } else {
            special.cs.base.wrapping_add(at) & 0xffff_ffff
        };
        let Some(gpa) = physical(special, linear, &read) else {
            break;
        };
        let in_page = (PAGE_BYTES - gpa % PAGE_BYTES) as usize;
        let mut piece = vec![0; in_page.min(MOST_INSTRUCTION_BYTES - bytes.len())];
        if !read(gpa, &mut piece) {
            break;
        }
        bytes.extend(piece);
    }
    bytes
}

/// A page table's levels: how far each shifts a linear address, the bits of an index, the bytes of
/// an entry.
struct Paging {
    shifts: &'static [u32],
    index_bits: u32,
    entry_bytes: usize,
    /// The largest shift of a level that may hold pages itself.
    largest_page: u32,
}

/// How the vCPU translates linear addresses; none without paging (Intel SDM vol. 3A §4.1.1).
const fn paging(special: &kvm_sregs) -> Option<Paging> {
    let (shifts, index_bits, entry_bytes, largest_page): (&[u32], _, _, _) =
        if special.cr0 & CR0_PG == 0 {
            return None;
        } else if special.efer & EFER_LMA != 0 && special.cr4 & CR4_LA57 != 0 {
            (&[48, 39, 30, 21, 12], 9, 8, 30)
        } else if special.efer & EFER_LMA != 0 {
            (&[39, 30, 21, 12], 9, 8, 30)
        } else if special.cr4 & CR4_PAE != 0 {
            (&[30, 21, 12], 9, 8, 21)
        } else if special.cr4 & CR4_PSE != 0 {
            (&[22, 12], 10, 4, 22)
        } else {
            (&[22, 12], 10, 4, 12)
        };
    Some(Paging {
        shifts,
        index_bits,
        entry_bytes,
        largest_page,
    })
}

/// The guest physical address of a linear one; none where no page is mapped.
fn physical(
    special: &kvm_sregs,
    linear: u64,
    read: &impl Fn(u64, &mut [u8]) -> bool,
) -> Option<u64> {
    let Some(paging) = paging(special) else {
        return Some(linear);
    };
    // The table of four pointers of PAE paging is aligned to 32 bytes, every other one to a page.
    let is_pae = paging.shifts.len() == 3;
    let mut table = if is_pae {
        special.cr3 & 0xffff_ffe0
    } else {
        special.cr3 & ADDRESS
    };
    for &shift in paging.shifts {
        let index = (linear >> shift) & ((1 << paging.index_bits) - 1);
        let mut bytes = [0; 8];
        let at = table.checked_add(index * paging.entry_bytes as u64)?;
        if !read(at, bytes.get_mut(..paging.entry_bytes)?) {
            return None;
        }
        let entry = u64::from_le_bytes(bytes);
        if entry & PRESENT == 0 {
            return None;
        }
        if shift == 12 || (entry & LARGE != 0 && shift <= paging.largest_page) {
            let offset = (1 << shift) - 1;
            // A page of 4 MiB has its address bits 32 to 39 in bits 13 to 20 (§4.3).
            let high = if shift == 22 {
                (entry >> 13 & 0xff) << 32
            } else {
                0
            };
            return Some(entry & ADDRESS & !offset | high | linear & offset);
        }
        table = entry & ADDRESS;
    }
    None
}

#[cfg(test)]
mod tests;
