//! Disks.

use std::path::PathBuf;

use napi_derive::napi;
use vmm::{DiskConfig, DiskSource};

/// A virtio disk; exactly one of `file` and `bytes` is there.
#[napi(object)]
pub struct NativeDisk {
    /// The path of a file, or of a block device.
    pub file: Option<String>,
    /// The size of a disk that JavaScript answers by requests, a multiple of 512.
    pub bytes: Option<f64>,
    /// The guest cannot write.
    pub read_only: bool,
    /// The guest's writes to a file stay in memory.
    pub volatile: bool,
}

impl NativeDisk {
    pub fn parse(&self) -> DiskConfig {
        let source = match &self.file {
            Some(file) => DiskSource::File(PathBuf::from(file)),
            None => DiskSource::Remote {
                bytes: self.bytes.unwrap_or_default() as u64,
            },
        };
        DiskConfig {
            source,
            read_only: self.read_only,
            volatile: self.volatile,
        }
    }

    /// As JavaScript has it.
    pub fn of(config: &DiskConfig) -> Self {
        let (file, bytes) = match &config.source {
            DiskSource::File(path) => (Some(path.to_string_lossy().into_owned()), None),
            DiskSource::Remote { bytes } => (None, Some(*bytes as f64)),
        };
        Self {
            file,
            bytes,
            read_only: config.read_only,
            volatile: config.volatile,
        }
    }
}
