//! What a guest finds at its first instruction, as values: nothing here opens, maps or writes
//! anything.
//!
//! ```text
//! image ──► loader ──► parts, mode, entry ──► state ──► registers, GDT, TSS, page tables, CPUID
//!             │                                 │
//!           slot: memory      layout: our addresses      firmware: a PC's devices, ACPI tables
//! ```
//!
//! `code` reads what a guest executes, and tells which memory that accesses.
//!
//! The maker of a machine writes the parts and tables into its memory and sets the registers.
#![forbid(unsafe_code)]

pub mod code;
mod error;
pub mod firmware;
pub mod layout;
pub mod limits;
mod loader;
mod mode;
mod named;
pub mod paging;
mod screen;
mod slot;
pub mod state;

pub use error::{Error, ErrorKind, Result};
pub use loader::{Format, LoadRequest, Loaded, Module, Part, StartRegisters, load};
pub use mode::{CpuMode, Faults, Privilege};
pub use screen::Screen;
pub use slot::{MemorySlot, writable};
