//! Where a vCPU is when its run ends without an answer to why: pure functions over its registers
//! and a reader of memory.

use boot::code::MAX_INSTRUCTION_BYTES;
use boot::paging::{PagingState, walk};
use boot::state::{CR0_PE, CR0_PG, EFER_LMA, RFLAGS_VM};
use kvm_bindings::{kvm_regs, kvm_sregs};

use crate::kvm::exit::Exit;
use crate::kvm::kick::KickCause;
use crate::kvm::memory::GuestMemory;
use crate::limits::PAGE_BYTES;
use crate::run::outcome::{End, Shutdown, Whereabouts};
use crate::run::processor::Processor;

/// Whether users ask of such an end where the guest was.
pub(crate) const fn is_asked(end: &End) -> bool {
    match end {
        End::Exit(record) => matches!(
            record.exit,
            Exit::Shutdown | Exit::FailEntry { .. } | Exit::InternalError { .. }
        ),
        End::Kicked(cause) => matches!(cause, KickCause::Timeout),
        End::Fault(_) => true,
        End::ExitPort { .. } | End::Power { .. } | End::Stop(_) => false,
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
    let paging = PagingState::new(&special, processor.vcpu.paging);
    let read = |gpa, bytes: &mut [u8]| memory.read(gpa, bytes).is_ok();
    Some(Whereabouts {
        vcpu: processor.index,
        rip: registers.rip,
        cs: special.cs.selector,
        mode: mode(&registers, &special),
        bytes: instruction_bytes(&registers, &special, &paging, read),
        special,
    })
}

/// What KVM says of a vCPU that shut down: a state after power-on still has the exception. Of one
/// that had none it says 0, too, which is that of a division.
pub(crate) fn shutdown(processor: &mut Processor, at: Option<&Whereabouts>) -> Shutdown {
    let vector = processor.events().ok().map(|events| events.exception.nr);
    let is_possible = |vector: &u8| *vector != 0 || at.is_none_or(divides);
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
    paging: &PagingState,
    read: impl Fn(u64, &mut [u8]) -> bool,
) -> Vec<u8> {
    let is_64_bit = special.efer & EFER_LMA != 0 && special.cs.l != 0;
    let mut bytes = Vec::with_capacity(MAX_INSTRUCTION_BYTES);
    while bytes.len() < MAX_INSTRUCTION_BYTES {
        let at = registers.rip.wrapping_add(bytes.len() as u64);
        let linear = if is_64_bit {
            at
        } else {
            special.cs.base.wrapping_add(at) & 0xffff_ffff
        };
        let Ok(page) = walk(paging, linear, &read).result else {
            break;
        };
        let in_page = (PAGE_BYTES - page.gpa % PAGE_BYTES) as usize;
        let mut piece = vec![0; in_page.min(MAX_INSTRUCTION_BYTES - bytes.len())];
        if !read(page.gpa, &mut piece) {
            break;
        }
        bytes.extend(piece);
    }
    bytes
}

#[cfg(test)]
mod tests;
