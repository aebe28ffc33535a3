//! What every image format becomes: parts with addresses, a mode, an entry, registers. No KVM is
//! needed, since loading writes nothing.
// The helpers are tests, too: a panic is the report.
#![allow(clippy::unwrap_used, clippy::panic)]
// One reserved range is a list of ranges, too.
#![allow(clippy::single_range_in_vec_init)]

mod bzimage;
mod elf;
mod flat;
mod hostile;
mod images;
mod memory_map;
mod multiboot;
mod multiboot2;
mod pvh;
mod real_mode;
mod requests;
mod rom;
mod screens;
