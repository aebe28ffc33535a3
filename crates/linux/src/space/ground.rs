//! What a space is made of, what it is asked, and what it asks of a machine.

use std::ops::Range;

use super::protection::Protection;
use super::tables::Edit;

/// When pages get memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// At once.
    Now,
    /// When they are touched, at the latest.
    Later,
}

/// What an access comes to that faulted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// It is allowed now.
    Mended,
    /// It was allowed all the time.
    Stale,
    /// It is not.
    Denied,
}

/// Pages of ours, which a program finds mapped and cannot change.
#[derive(Clone, Copy, Debug)]
pub struct Fixed {
    /// The first linear address.
    pub address: u64,
    /// Bytes.
    pub bytes: u64,
    /// Where they lie.
    pub gpa: u64,
    /// What is allowed there, and whether it is to ring 3.
    pub protection: Protection,
    /// Whether it is to ring 3.
    pub user: bool,
}

/// What a space is made of.
#[derive(Clone, Debug)]
pub struct Ground {
    /// Guest physical memory that a program gets.
    pub memory: Range<u64>,
    /// Guest physical memory of page tables, the top one first; zeros.
    pub tables: Range<u64>,
    /// Linear addresses that a program cannot map.
    pub reserved: Range<u64>,
    /// What lies there.
    pub fixed: Vec<Fixed>,
}

/// What a machine has to do, in this order, after a space has changed and before the program runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Words of page tables.
    pub edits: Vec<Edit>,
    /// Guest physical memory that becomes zeros: addresses and bytes.
    pub zeros: Vec<(u64, u64)>,
}
