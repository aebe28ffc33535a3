//! The result of loading: bytes and their places, and how the first instruction finds them.

use std::borrow::Cow;
use std::ops::Range;

use super::request::Format;
use crate::mode::CpuMode;
use crate::state::Protocol;

/// General registers that a boot protocol defines; the others are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartRegisters {
    /// RAX: multiboot's magic number.
    pub rax: u64,
    /// RBX: the address of multiboot's info block or of PVH's start info.
    pub rbx: u64,
    /// RSI: the address of Linux's `boot_params`.
    pub rsi: u64,
}

/// Bytes and their place. The memory after them, up to `memory_bytes`, belongs to the part as well
/// and has to be zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Its role: `image`, `segment`, `bss`, `kernel`, `initrd`, `module`, `command-line`,
    /// `boot-params`, `start-info`, `info`, `memory-map`, `module-list`, `module-string`,
    /// `loader-name`, `bios`.
    pub what: &'static str,
    /// Its first address.
    pub gpa: u64,
    /// Its bytes.
    pub bytes: Cow<'a, [u8]>,
    /// All of its memory, at least as much as `bytes`.
    pub memory_bytes: u64,
}

impl Part<'_> {
    /// Its addresses.
    pub fn range(&self) -> Range<u64> {
        self.gpa..self.gpa.saturating_add(self.memory_bytes)
    }
}

/// An image that is ready to be written: its parts lie in memory and do not overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded<'a> {
    /// The format that was asked for or found.
    pub format: Format,
    /// The mode that the format starts in; a flat image leaves it to the caller.
    pub mode: Option<CpuMode>,
    /// What else the format wants of the first instruction's state.
    pub protocol: Protocol,
    /// The first instruction.
    pub entry_gpa: u64,
    /// What it finds in registers.
    pub registers: StartRegisters,
    /// What goes where, in the order of placing.
    pub parts: Vec<Part<'a>>,
}
