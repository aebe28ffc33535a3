//! Whether an exit tells of a fault that the trap table has caught, and where it was.
//!
//! A stub writes to a port; so may any guest. What counts is that ring 0 does, at a stub, with IDTR
//! for our table: ring 3 reaches a stub through a gate alone, as it can neither execute nor write
//! the pages of the system slot. The vector is told by the place of the stub, and by nothing that
//! lies in memory.

use boot::state::{EFER_LMA, RFLAGS_FIXED, RFLAGS_VM, segment, traps};
use boot::{CpuMode, layout};
use kvm_bindings::{kvm_regs, kvm_segment, kvm_sregs};
use serde::{Deserialize, Serialize};

use crate::debug::virtual_memory::VirtualMemory;
use crate::kvm::exit::{Exit, PortAccess};

/// RFLAGS.RF, which the processor sets in what it pushes for a fault (Intel SDM vol. 3B §18.3.1.1),
/// and RFLAGS.VM, virtual-8086 mode (vol. 3A §2.3).
const RFLAGS_RF: u64 = 1 << 16;
/// The vector of an NMI, and of a page fault.
const NMI: u8 = 2;
const PAGE_FAULT: u8 = 14;
/// Words of the longest frame.
const MOST_WORDS: usize = 6;
/// A selector's requested privilege level, and the flag that it is for the local table (§3.4.2).
const RPL: u16 = 3;
const LOCAL: u16 = 1 << 2;
/// Of a segment's type: code; writable, if data; conforming, if code (table 3-1).
const CODE: u8 = 1 << 3;
const WRITABLE: u8 = 1 << 1;
const CONFORMING: u8 = 1 << 2;

/// A fault that the guest has no handler for (Intel SDM vol. 3A §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Fault {
    /// 0 to 31.
    pub vector: u8,
    /// What the processor pushed as the error code.
    pub error_code: Option<u32>,
    /// The linear address of a page fault (CR2).
    pub address: Option<u64>,
    /// The instruction, relative to the base of CS; of a trap the one after it.
    pub rip: u64,
}

impl Fault {
    /// Whether it is no fault of the guest's, but an NMI.
    pub(crate) const fn is_nmi(&self) -> bool {
        self.vector == NMI
    }
}

/// A fault, and the registers with which the guest goes on.
#[derive(Clone, Debug)]
pub(crate) struct Caught {
    pub fault: Fault,
    pub registers: kvm_regs,
    pub special: kvm_sregs,
}

/// Whether an exit is what a stub does.
pub(crate) fn is_told(exit: &Exit) -> bool {
    const PORT: u16 = traps::FAULT_PORT as u16;
    matches!(
        exit,
        Exit::PioOut(PortAccess {
            port: PORT,
            size: 1,
            count: 1,
            ..
        })
    )
}

/// The fault that a stub has told of, of a vCPU that sees this memory.
pub(crate) fn caught_in(
    registers: &kvm_regs,
    special: &kvm_sregs,
    memory: &VirtualMemory<'_>,
) -> Option<Caught> {
    let read = |linear, bytes: &mut [u8]| memory.read(linear, bytes).is_ok();
    recognise(registers, special, read)
}

/// The fault that a stub has told of, given how memory reads at linear addresses. None if it was no
/// stub, or if the frame is none that `iret` would take.
fn recognise(
    registers: &kvm_regs,
    special: &kvm_sregs,
    read: impl Fn(u64, &mut [u8]) -> bool,
) -> Option<Caught> {
    let is_long = special.efer & EFER_LMA != 0;
    let mode = if is_long {
        CpuMode::Long
    } else {
        CpuMode::Protected
    };
    let table = traps::register(mode);
    let is_ours = (special.idt.base, special.idt.limit) == (table.base, table.limit);
    let is_ring_0 = special.cs.selector & RPL == 0 && special.cs.dpl == 0;
    if !is_ours || !is_ring_0 {
        return None;
    }
    let vector = traps::vector_at(special.cs.base.wrapping_add(registers.rip))?;
    let frame = if is_long {
        Frame::of_long_mode(registers, &read)?
    } else {
        Frame::of_32_bits(vector, registers, special, &read)?
    };
    let fault = Fault {
        vector,
        error_code: frame.error_code,
        address: (vector == PAGE_FAULT).then_some(special.cr2),
        rip: frame.rip,
    };
    let (cs, ss) = frame.segments(special, is_long, &read)?;
    Some(Caught {
        fault,
        registers: kvm_regs {
            rip: frame.rip,
            rsp: frame.rsp,
            rflags: frame.rflags & !RFLAGS_RF | RFLAGS_FIXED,
            ..*registers
        },
        special: kvm_sregs { cs, ss, ..*special },
    })
}

/// What the processor has pushed (§6.12.1, §6.14.2).
struct Frame {
    error_code: Option<u32>,
    rip: u64,
    cs: u16,
    rflags: u64,
    rsp: u64,
    /// None if the fault was in the ring of its handler, and the stack stayed what it was.
    ss: Option<u16>,
}

impl Frame {
    fn of_long_mode(registers: &kvm_regs, read: &impl Fn(u64, &mut [u8]) -> bool) -> Option<Self> {
        let has_code = traps::pushed_error_code(registers.rsp)?;
        let mut bytes = [0; MOST_WORDS * 8];
        let begin = if has_code { 0 } else { 8 };
        let frame = bytes.get_mut(begin..)?;
        if !read(layout::FAULT_STACK_END - frame.len() as u64, frame) {
            return None;
        }
        let [code, rip, cs, rflags, rsp, ss] = words(&bytes);
        Some(Self {
            error_code: has_code.then_some(code as u32),
            rip,
            cs: cs as u16,
            rflags,
            rsp,
            ss: Some(ss as u16),
        })
    }

    fn of_32_bits(
        vector: u8,
        registers: &kvm_regs,
        special: &kvm_sregs,
        read: &impl Fn(u64, &mut [u8]) -> bool,
    ) -> Option<Self> {
        let within = if special.ss.db == 1 {
            0xffff_ffff
        } else {
            0xffff
        };
        let has_code = traps::has_error_code(vector);
        let pop = |index: u64| {
            let offset = registers.rsp.wrapping_add(index * 4) & within;
            let mut word = [0; 4];
            let linear = special.ss.base.wrapping_add(offset) & 0xffff_ffff;
            read(linear, &mut word).then(|| u64::from(u32::from_le_bytes(word)))
        };
        let first = u64::from(has_code);
        let error_code = if has_code { Some(pop(0)? as u32) } else { None };
        let (rip, cs, rflags) = (pop(first)?, pop(first + 1)? as u16, pop(first + 2)?);
        if rflags & RFLAGS_VM != 0 {
            return None;
        }
        let (rsp, ss) = if cs & RPL == 0 {
            let bytes = (first + 3) * 4;
            let rsp = registers.rsp & !within | registers.rsp.wrapping_add(bytes) & within;
            (rsp, None)
        } else {
            (pop(first + 3)?, Some(pop(first + 4)? as u16))
        };
        Some(Self {
            error_code,
            rip,
            cs,
            rflags,
            rsp,
            ss,
        })
    }

    /// CS and SS as `iret` loads them (Intel SDM vol. 2A, IRET).
    fn segments(
        &self,
        special: &kvm_sregs,
        is_long: bool,
        read: &impl Fn(u64, &mut [u8]) -> bool,
    ) -> Option<(kvm_segment, kvm_segment)> {
        let ring = (self.cs & RPL) as u8;
        let cs = descriptor(special, self.cs, read)?;
        let is_conforming = cs.type_ & CONFORMING != 0;
        let has_ring = cs.dpl == ring || is_conforming && cs.dpl < ring;
        let has_size = !is_long || cs.l == 0 || cs.db == 0;
        if cs.type_ & CODE == 0 || !has_ring || !has_size {
            return None;
        }
        let ss = match self.ss {
            None => special.ss,
            // 64-bit mode takes null there, but not in ring 3.
            Some(selector) if is_null(selector) && is_long && cs.l == 1 && ring < 3 => {
                kvm_segment {
                    selector,
                    dpl: ring,
                    unusable: 1,
                    ..Default::default()
                }
            }
            Some(selector) => {
                let ss = descriptor(special, selector, read)?;
                let is_stack = ss.type_ & (CODE | WRITABLE) == WRITABLE;
                if !is_stack || ss.dpl != ring || (selector & RPL) as u8 != ring {
                    return None;
                }
                ss
            }
        };
        Some((cs, ss))
    }
}

/// The words of a frame of 64-bit mode.
fn words(bytes: &[u8]) -> [u64; MOST_WORDS] {
    let mut words = [0; MOST_WORDS];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = bytes
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    words
}

const fn is_null(selector: u16) -> bool {
    selector & !RPL == 0
}

/// A present code or data segment out of the guest's own table.
fn descriptor(
    special: &kvm_sregs,
    selector: u16,
    read: &impl Fn(u64, &mut [u8]) -> bool,
) -> Option<kvm_segment> {
    let at = u64::from(selector & !(RPL | LOCAL));
    let (base, limit) = if selector & LOCAL == 0 {
        (special.gdt.base, u64::from(special.gdt.limit))
    } else if special.ldt.unusable == 0 && special.ldt.present == 1 {
        (special.ldt.base, u64::from(special.ldt.limit))
    } else {
        return None;
    };
    let mut bytes = [0; 8];
    if is_null(selector) || at + 7 > limit || !read(base.wrapping_add(at), &mut bytes) {
        return None;
    }
    let found = segment(selector, u64::from_le_bytes(bytes));
    (found.s == 1 && found.present == 1).then_some(found)
}

#[cfg(test)]
mod tests;
