//! The input and the output of boot set-up.

use crate::mode::{CpuMode, Privilege};

/// What a kernel's boot protocol wants in addition to the mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Nothing.
    Plain,
    /// Code and data segments with the selectors 0x10 and 0x18 (Linux
    /// Documentation/arch/x86/boot.rst, "32-bit Boot Protocol").
    Linux,
    /// Real mode, with the entry a segment of its own, and data and stack in the one that begins
    /// 0x200 bytes below (boot.rst, "Running the Kernel").
    LinuxReal,
    /// CR0 with PE alone, and a task register for a TSS of 0x68 bytes (Xen docs/misc/pvh.pandoc).
    Pvh,
}

/// The wanted state before the first instruction.
#[derive(Clone, Copy, Debug)]
pub struct BootConfig {
    /// The mode to start in.
    pub mode: CpuMode,
    /// The ring to start in.
    pub privilege: Privilege,
    /// The protocol to start by.
    pub protocol: Protocol,
    /// Whether the trap table is there, and IDTR is for it.
    pub faults: bool,
    /// The first instruction.
    pub entry_gpa: u64,
    /// One past the stack's first byte: where it begins.
    pub stack_top: u64,
    /// One past everything that has to be mapped.
    pub top: u64,
}

/// Bytes that belong at a guest physical address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Where.
    pub gpa: u64,
    /// What.
    pub bytes: Vec<u8>,
}
