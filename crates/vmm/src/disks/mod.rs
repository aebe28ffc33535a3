//! The disks of a machine: what they are made of, and what a snapshot knows of them.

mod file;
mod medium;
mod saved;

use std::path::PathBuf;
use std::sync::Arc;

use devices::virtio::VirtioDevice;
use devices::virtio::block::{Block, Geometry, Layer, Native, Overlay, RemoteBlock};
use devices::{Remote, RemoteDisk, Remotes};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorCode, Result};
use crate::kvm::disk_file::DiskFile;
use file::{OpenFile, Stamp};
use medium::{Medium, Use};
pub(crate) use saved::SavedDisk;

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
    const fn is_lasting(&self) -> bool {
        !self.read_only && !self.volatile
    }

    /// As messages call it: `disks[0] (root.img)`.
    fn name(&self, index: usize) -> String {
        let what = match &self.source {
            DiskSource::File(path) => path.file_name().unwrap_or(path.as_os_str()),
            DiskSource::Remote { .. } => "device".as_ref(),
        };
        format!("disks[{index}] ({})", what.display())
    }
}

/// A disk of a machine's.
#[derive(Debug)]
pub(crate) struct Disk {
    config: DiskConfig,
    bytes: u64,
    medium: Use,
    /// What was written to a volatile one.
    layer: Option<Layer>,
}

/// The disks of a machine that is made, and their virtio devices, in their order.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    pub disks: Vec<Disk>,
    pub devices: Vec<Box<dyn VirtioDevice>>,
}

/// Opens the disks of a configuration. Those in `kept` are a snapshot's, and go on as what they
/// were there.
///
/// # Errors
/// `InvalidOption` naming the disk and its file; `Snapshot` for one in `kept` that is not what it
/// was.
pub(crate) fn open(
    configs: &[DiskConfig],
    kept: &[Option<SavedDisk>],
    remotes: &mut Remotes,
) -> Result<Opened> {
    let mut opened = Opened::default();
    for (index, config) in configs.iter().enumerate() {
        let kept = kept.get(index).and_then(Option::as_ref);
        let (disk, device) = match &config.source {
            DiskSource::File(path) => {
                if let (Some(kept), Some((medium, stamp))) = (kept, file::look(path)) {
                    kept.check_medium(index, &medium, Some(stamp))?;
                }
                let file = file::open(&format!("disks[{index}].file"), path, config)?;
                native(index, config, file)
            }
            DiskSource::Remote { bytes } => {
                check_size(&format!("disks[{index}].device.bytes"), *bytes)?;
                let medium = kept.map_or_else(Medium::new, SavedDisk::medium);
                if let Some(kept) = kept {
                    kept.check_medium(index, &medium, None)?;
                }
                remote(index, config, *bytes, &medium, remotes)
            }
        };
        opened.disks.push(disk);
        opened.devices.push(device);
    }
    Ok(opened)
}

fn native(index: usize, config: &DiskConfig, file: OpenFile) -> (Disk, Box<dyn VirtioDevice>) {
    let OpenFile {
        file,
        bytes,
        medium,
    } = file;
    let file = DiskFile::new(file);
    let generation = medium.generation();
    let geometry = geometry(index, config, bytes);
    let layer = config.volatile.then(Layer::default);
    let device: Box<dyn VirtioDevice> = match &layer {
        Some(layer) => Box::new(Block::new(Native {
            storage: Overlay::new(file, bytes, layer.clone()),
            geometry,
            generation: Arc::default(),
        })),
        None => Box::new(Block::new(Native {
            storage: file,
            geometry,
            generation,
        })),
    };
    let disk = Disk {
        config: config.clone(),
        bytes,
        medium: Use::new(medium, config.is_lasting()),
        layer,
    };
    (disk, device)
}

fn remote(
    index: usize,
    config: &DiskConfig,
    bytes: u64,
    medium: &Arc<Medium>,
    remotes: &mut Remotes,
) -> (Disk, Box<dyn VirtioDevice>) {
    let end = Arc::new(RemoteDisk::new(Arc::clone(&remotes.bell)));
    remotes.ends.push(Remote::Disk(Arc::clone(&end)));
    let geometry = geometry(index, config, bytes);
    let disk = Disk {
        config: config.clone(),
        bytes,
        medium: Use::new(Arc::clone(medium), config.is_lasting()),
        layer: None,
    };
    let device = RemoteBlock::new(end, geometry, medium.generation());
    (disk, Box::new(device))
}

fn geometry(index: usize, config: &DiskConfig, bytes: u64) -> Geometry {
    Geometry {
        sectors: bytes / SECTOR_BYTES,
        read_only: config.read_only,
        id: format!("vmexit-disk-{index}"),
    }
}

/// Refuses what is no number of sectors.
fn check_size(name: &str, bytes: u64) -> Result<()> {
    if bytes > 0 && bytes.is_multiple_of(SECTOR_BYTES) {
        return Ok(());
    }
    let what = format!("{name} must be a multiple of {SECTOR_BYTES} above 0, got {bytes}");
    Err(Error::new(ErrorCode::InvalidOption, what))
}
