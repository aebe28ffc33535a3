//! What boot set-up is given, and what it yields.

use crate::mode::{CpuMode, Privilege};

/// What is wanted of the first instruction's surroundings.
#[derive(Clone, Copy, Debug)]
pub struct BootConfig {
    /// The mode to start in.
    pub mode: CpuMode,
    /// The ring to start in.
    pub privilege: Privilege,
    /// The first instruction.
    pub entry_gpa: u64,
    /// One past the last byte of slot 0: where the stack begins.
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
