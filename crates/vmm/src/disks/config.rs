//! What a disk is made of.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorCode, Result};
use crate::limits::MAX_DISKS;

/// Bytes of a sector: all sizes are multiples.
pub const SECTOR_BYTES: u64 = 512;

/// A virtio disk of a machine's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct DiskConfig {
    /// What stands behind it.
    pub source: DiskSource,
    /// The guest cannot write.
    pub read_only: bool,
    /// What the guest writes stays in memory, and is part of snapshots. For files.
    pub volatile: bool,
}

/// What stands behind a disk.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum DiskSource {
    /// A file, or a block device.
    File(PathBuf),
    /// Requests are answered through [`Machine::remotes`](crate::Machine::remotes).
    Remote {
        /// Its size, a multiple of [`SECTOR_BYTES`].
        bytes: u64,
    },
}

impl DiskConfig {
    /// Whether writes change what lasts longer than the machine.
    pub(super) const fn is_lasting(&self) -> bool {
        !self.read_only && !self.volatile
    }

    /// As messages call it: `disks[0] (root.img)`.
    pub(super) fn name(&self, index: usize) -> String {
        let what = match &self.source {
            DiskSource::File(path) => path.file_name().unwrap_or(path.as_os_str()),
            DiskSource::Remote { .. } => "device".as_ref(),
        };
        format!("disks[{index}] ({})", what.display())
    }
}

/// Refuses more disks than there is room for, and disks that nothing announces.
///
/// # Errors
/// `InvalidOption`, `Limit`.
pub(crate) fn check(disks: &[DiskConfig], pc: bool) -> Result<()> {
    let (count, most) = (disks.len(), MAX_DISKS);
    if count > most {
        let what = format!("disks: at most {most}, got {count}");
        return Err(Error::new(ErrorCode::Limit, what));
    }
    if count > 0 && !pc {
        let what = "disks needs pc: true, as ACPI tells the guest where they are, got false";
        return Err(Error::new(ErrorCode::InvalidOption, what));
    }
    Ok(())
}

/// Refuses what is no number of sectors.
pub(super) fn check_size(name: &str, bytes: u64) -> Result<()> {
    if bytes > 0 && bytes.is_multiple_of(SECTOR_BYTES) {
        return Ok(());
    }
    let what = format!("{name} must be a multiple of {SECTOR_BYTES} above 0, got {bytes}");
    Err(Error::new(ErrorCode::InvalidOption, what))
}
