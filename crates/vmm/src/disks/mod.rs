//! The disks of a machine: what they are made of, and what a snapshot knows of them.

mod config;
mod disk;
mod file;
mod medium;
mod open;
mod saved;

pub(crate) use config::check;
pub use config::{DiskConfig, DiskSource};
pub(crate) use disk::Disk;
pub(crate) use open::{Opened, open};
pub(crate) use saved::{SavedDisk, check_places, put_back, save};
