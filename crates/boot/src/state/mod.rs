//! The state of a vCPU before its first instruction, as pure functions over plain values: they
//! return registers and bytes, and set nothing.

mod config;
pub mod cpuid;
pub mod extended;
pub mod fit;
mod paging;
mod refused;
mod segments;
pub mod spin;
mod task;
pub mod traps;
pub mod user;

use kvm_bindings::{CpuId, kvm_dtable, kvm_regs, kvm_sregs};

use crate::layout;
use crate::mode::{CpuMode, Privilege};
pub use config::{BootConfig, Protocol, Table};
pub use refused::refusal;
pub use segments::segment;
use segments::{Segments, gdt_bytes};

/// CR0.PE, protection enable (Intel SDM vol. 3A §2.5, as all below).
pub const CR0_PE: u64 = 1;
/// CR0.MP: with TS and EM clear, all of x87 and SSE run without a fault.
pub const CR0_MP: u64 = 1 << 1;
/// CR0.ET, always set on processors of this century.
pub const CR0_ET: u64 = 1 << 4;
/// CR0.NE, native x87 error reporting.
pub const CR0_NE: u64 = 1 << 5;
/// CR0.WP, supervisor writes honour read-only pages.
pub const CR0_WP: u64 = 1 << 16;
/// CR0.PG, paging.
pub const CR0_PG: u64 = 1 << 31;
/// CR4.PSE, 4 MiB pages.
pub const CR4_PSE: u64 = 1 << 4;
/// CR4.PAE, 64-bit page-table entries.
pub const CR4_PAE: u64 = 1 << 5;
/// CR4.LA57, page tables of five levels.
pub const CR4_LA57: u64 = 1 << 12;
/// EFER.LME, long mode enable (§2.2.1).
pub const EFER_LME: u64 = 1 << 8;
/// EFER.LMA, long mode active.
pub const EFER_LMA: u64 = 1 << 10;
/// EFER.NXE, the no-execute flag of page-table entries.
pub const EFER_NXE: u64 = 1 << 11;
/// RFLAGS bit 1, always set (vol. 1 §3.4.3).
pub const RFLAGS_FIXED: u64 = 1 << 1;
/// RFLAGS.TF: a debug exception follows the instruction (vol. 3B §18.3.1.4).
pub const RFLAGS_TF: u64 = 1 << 8;
/// RFLAGS.VM, virtual-8086 mode (§2.3).
pub const RFLAGS_VM: u64 = 1 << 17;
/// RFLAGS.IOPL = 3: port I/O is allowed at every privilege level.
pub const RFLAGS_IOPL_3: u64 = 3 << 12;

/// General registers at the first instruction: all zero but RIP, RSP and RFLAGS.
pub fn registers(config: &BootConfig) -> kvm_regs {
    let real = config.mode == CpuMode::Real;
    let iopl = match config.privilege {
        Privilege::Kernel => 0,
        Privilege::User => RFLAGS_IOPL_3,
    };
    if config.protocol == Protocol::LinuxReal {
        return kvm_regs {
            rsp: layout::LINUX_SETUP_HEAP_END,
            rflags: RFLAGS_FIXED,
            ..Default::default()
        };
    }
    kvm_regs {
        rip: if real {
            config.entry_gpa & 0xffff
        } else {
            config.entry_gpa
        },
        // In real mode SP = 0 is the top of the segment: the first push wraps to 0xfffe.
        rsp: if real {
            config.stack_top.min(0x1_0000) & 0xffff
        } else {
            config.stack_top
        },
        rflags: RFLAGS_FIXED | iopl,
        ..Default::default()
    }
}

/// XCR0 at the first instruction, where the mode and the processor have one.
pub fn xcr0(config: &BootConfig, cpuid: &CpuId) -> Option<u64> {
    match config.mode {
        CpuMode::Real | CpuMode::Protected | CpuMode::Paged32 => None,
        CpuMode::Long => extended::xcr0(cpuid),
    }
}

/// Special registers at the first instruction: `reset` (what KVM gave the vCPU) with all that the
/// mode defines.
pub fn special_registers(config: &BootConfig, xcr0: Option<u64>, reset: kvm_sregs) -> kvm_sregs {
    let segments = Segments::of(config);
    let mut sregs = kvm_sregs {
        cs: segments.code,
        ds: segments.data,
        es: segments.data,
        fs: segments.data,
        gs: segments.data,
        ss: segments.data,
        ..reset
    };
    if config.mode == CpuMode::Real {
        return sregs;
    }
    sregs.gdt = kvm_dtable {
        base: layout::GDT,
        limit: segments::gdt_limit(config.protocol),
        ..Default::default()
    };
    sregs.tr = task::register(config.protocol);
    if config.privilege == Privilege::User {
        // KVM's first LDT is the first 64 KiB of memory, in which ring 3 can write a call gate.
        sregs.ldt = segments::no_ldt();
    }
    // Without an IDT every fault is a triple fault, which is an exit, never a silent loop.
    sregs.idt = if config.faults {
        traps::register(config.mode)
    } else {
        kvm_dtable::default()
    };
    sregs.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP;
    if config.protocol == Protocol::Pvh {
        sregs.cr0 = CR0_PE | CR0_ET;
    }
    match config.mode {
        CpuMode::Real | CpuMode::Protected => {}
        CpuMode::Paged32 => {
            sregs.cr3 = layout::TOP_TABLE;
            sregs.cr4 = CR4_PSE;
            sregs.cr0 |= CR0_PG;
        }
        CpuMode::Long => {
            sregs.cr3 = layout::TOP_TABLE;
            sregs.cr4 = CR4_PAE | extended::cr4(xcr0);
            sregs.efer = EFER_LME | EFER_LMA;
            sregs.cr0 |= CR0_PG | CR0_MP;
        }
    }
    sregs
}

/// The bytes of the system slot: GDT, TSS, trap table and page tables, as far as the mode has them.
pub fn tables(config: &BootConfig) -> Vec<Table> {
    let gdt = Table {
        gpa: layout::GDT,
        bytes: gdt_bytes(config.mode, config.protocol),
    };
    let pages = match config.mode {
        CpuMode::Real => return Vec::new(),
        CpuMode::Protected => Vec::new(),
        CpuMode::Paged32 => vec![paging::page_directory_32()],
        CpuMode::Long => paging::long_mode_tables(config.top, config.privilege),
    };
    let traps = match config.faults {
        true => traps::tables(config.mode, segments::kernel_code(config.protocol)),
        false => Vec::new(),
    };
    std::iter::once(gdt)
        .chain(task::tables())
        .chain(traps)
        .chain(pages)
        .collect()
}

/// Puts the trap table of a mode into force for a guest that has come with, or without, tables of
/// its own: its special registers so changed, and what belongs into the system slot.
pub fn trapped(mode: CpuMode, special: &kvm_sregs) -> (kvm_sregs, Vec<Table>) {
    let protocol = Protocol::Plain;
    let gdt = Table {
        gpa: layout::GDT,
        bytes: gdt_bytes(mode, protocol),
    };
    let traps = traps::tables(mode, segments::kernel_code(protocol));
    let changed = kvm_sregs {
        gdt: kvm_dtable {
            base: layout::GDT,
            limit: segments::gdt_limit(protocol),
            ..Default::default()
        },
        tr: task::register(protocol),
        idt: traps::register(mode),
        ..*special
    };
    let tables = std::iter::once(gdt).chain(task::tables()).chain(traps);
    (changed, tables.collect())
}

#[cfg(test)]
mod tests;
