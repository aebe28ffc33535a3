//! Opening the disks of a machine that is to be made.

use std::sync::Arc;

use devices::virtio::VirtioDevice;
use devices::virtio::block::{Block, Geometry, Layer, Native, Overlay, RemoteBlock};
use devices::{Remote, RemoteDisk, Remotes};

use super::config::{DiskConfig, DiskSource, SECTOR_BYTES, check_size};
use super::disk::Disk;
use super::file::{self, OpenFile};
use super::medium::{Medium, Use};
use super::saved::SavedDisk;
use crate::error::Result;
use crate::kvm::disk_file::DiskFile;

/// The disks of a machine that is made, and their virtio devices, in their order.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    pub disks: Vec<Disk>,
    pub devices: Vec<Box<dyn VirtioDevice>>,
    pub remotes: Remotes,
}

/// Opens the disks of a configuration. Those in `kept` are a snapshot's, and go on as what they
/// were there.
///
/// # Errors
/// `InvalidOption` naming the disk and its file; `Snapshot` for one in `kept` that is not what it
/// was.
pub(crate) fn open(configs: &[DiskConfig], kept: &[Option<&SavedDisk>]) -> Result<Opened> {
    let mut opened = Opened::default();
    for (index, config) in configs.iter().enumerate() {
        let kept = kept.get(index).copied().flatten();
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
                let medium = match kept {
                    Some(kept) => kept.answered(index)?,
                    None => Medium::new(),
                };
                remote(index, config, *bytes, &medium, &mut opened.remotes)
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
