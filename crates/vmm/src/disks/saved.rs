//! Disks in a snapshot. What lasts is not in it: it goes on with the disk that it was, if that has
//! not moved on.

use std::sync::Arc;

use devices::virtio::block::{Clusters, are_clusters_of};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::config::{DiskConfig, DiskSource};
use super::disk::Disk;
use super::file::Stamp;
use super::medium::Medium;
use crate::error::{Error, ErrorCode, Result};

/// What a snapshot knows of a disk.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct SavedDisk {
    pub config: DiskConfig,
    bytes: u64,
    /// What was written to a volatile disk.
    #[serde(serialize_with = "put", deserialize_with = "take")]
    clusters: Clusters,
    /// Of the process that has taken it.
    #[serde(skip)]
    medium: Option<Arc<Medium>>,
    /// How often the medium was changed by then.
    changes: u64,
    /// Of a file.
    stamp: Option<Stamp>,
}

impl SavedDisk {
    /// Of a machine at rest.
    pub fn of(disk: &Disk) -> Self {
        let medium = disk.medium.medium();
        Self {
            config: disk.config.clone(),
            bytes: disk.bytes,
            clusters: disk
                .layer
                .as_ref()
                .map_or_else(Clusters::default, |layer| layer.clusters()),
            medium: Some(Arc::clone(medium)),
            changes: medium.changes(),
            stamp: match &disk.config.source {
                DiskSource::File(path) => Stamp::now(path),
                DiskSource::Remote { .. } => None,
            },
        }
    }

    /// The medium of a disk that is answered from outside, as it was.
    ///
    /// # Errors
    /// `Snapshot` for one that is not, and for all in a file, where nobody answers.
    pub fn answered(&self, index: usize) -> Result<Arc<Medium>> {
        let Some(medium) = &self.medium else {
            let name = self.config.name(index);
            let what = format!(
                "JavaScript answers {name}, and a file has no functions; give disks one for its place"
            );
            return Err(Error::new(ErrorCode::Snapshot, what));
        };
        self.check_medium(index, medium, None)?;
        Ok(Arc::clone(medium))
    }

    /// Whether a file can have it.
    pub fn is_possible(&self) -> bool {
        let is_layer = self.config.volatile || self.clusters.is_empty();
        is_layer && are_clusters_of(&self.clusters, self.bytes)
    }

    /// Refuses a machine's disk that cannot take the place of this one: in another machine one of
    /// the same kind, in the same one the same, unchanged.
    ///
    /// # Errors
    /// `Snapshot`.
    pub fn check_place(&self, index: usize, disk: &Disk) -> Result<()> {
        self.check_kind(index, disk)?;
        if !self.config.is_lasting() {
            return Ok(());
        }
        let medium = disk.medium.medium();
        let is_same = self
            .medium
            .as_ref()
            .is_some_and(|own| Arc::ptr_eq(own, medium));
        if !is_same {
            return Err(self.moved_on(index, "is another disk than the snapshot's"));
        }
        self.check_unchanged(index, medium)
    }

    /// Refuses a disk of another kind.
    ///
    /// # Errors
    /// `Snapshot`, naming the difference with both values.
    pub fn check_kind(&self, index: usize, disk: &Disk) -> Result<()> {
        let facts = |config: &DiskConfig, bytes: u64| {
            // What was written to a volatile disk needs one to be put on.
            let is_volatile = config.volatile && self.config.volatile;
            [
                ("bytes", bytes.to_string()),
                ("readOnly", config.read_only.to_string()),
                ("volatile", is_volatile.to_string()),
            ]
        };
        let ours = facts(&self.config, self.bytes);
        for ((what, ours), (_, theirs)) in ours.into_iter().zip(facts(&disk.config, disk.bytes)) {
            if ours != theirs {
                let what = format!(
                    "{what} of disks[{index}] must be {ours} as in the snapshot, got {theirs}"
                );
                return Err(Error::new(ErrorCode::Snapshot, what));
            }
        }
        Ok(())
    }

    /// Refuses to go on with a medium that is not as it was.
    ///
    /// # Errors
    /// `Snapshot`.
    pub fn check_medium(
        &self,
        index: usize,
        medium: &Arc<Medium>,
        stamp: Option<Stamp>,
    ) -> Result<()> {
        if self.config.is_lasting() {
            if medium.is_written() {
                let mut error = self.moved_on(index, "belongs to a machine that is open");
                // It may be about to go.
                error.errno = Some(libc::EBUSY);
                return Err(error);
            }
            if self.medium.is_some() {
                self.check_unchanged(index, medium)?;
            }
        }
        if stamp != self.stamp {
            return Err(self.moved_on(index, "was changed after the snapshot"));
        }
        Ok(())
    }

    fn check_unchanged(&self, index: usize, medium: &Medium) -> Result<()> {
        if medium.changes() == self.changes {
            return Ok(());
        }
        Err(self.moved_on(index, "was written to after the snapshot"))
    }

    fn moved_on(&self, index: usize, what: &str) -> Error {
        let name = self.config.name(index);
        let why = "whose guest would go on with another disk's content";
        let remedy = format!(
            "make a machine of the snapshot with disks that has a copy for disks[{index}], or use volatile: true"
        );
        Error::new(
            ErrorCode::Snapshot,
            format!("{name} {what}, {why}; {remedy}"),
        )
    }

    /// Gives a machine's disk what was written to this one.
    pub fn put_back(&self, disk: &Disk) {
        if let Some(layer) = &disk.layer {
            layer.set_clusters(Clusters::clone(&self.clusters));
        }
    }
}

/// The disks of a machine at rest.
pub(crate) fn save(disks: &[Disk]) -> Vec<SavedDisk> {
    disks.iter().map(SavedDisk::of).collect()
}

/// Refuses a machine whose disks cannot go back to what they were.
///
/// # Errors
/// `Snapshot`, naming the disk.
pub(crate) fn check_places(disks: &[Disk], saved: &[SavedDisk]) -> Result<()> {
    if disks.len() != saved.len() {
        let (ours, theirs) = (saved.len(), disks.len());
        let what = format!("disks must be {ours} as in the snapshot, got {theirs}");
        return Err(Error::new(ErrorCode::Snapshot, what));
    }
    let mut pairs = saved.iter().zip(disks).enumerate();
    pairs.try_for_each(|(index, (saved, disk))| saved.check_place(index, disk))
}

/// Gives disks what was written to volatile ones.
pub(crate) fn put_back(disks: &[Disk], saved: &[SavedDisk]) {
    for (disk, saved) in disks.iter().zip(saved) {
        saved.put_back(disk);
    }
}

/// As a list, which shares nothing.
fn put<S: Serializer>(clusters: &Clusters, into: S) -> Result<S::Ok, S::Error> {
    into.collect_seq(clusters.iter().map(|(number, bytes)| (number, &**bytes)))
}

fn take<'de, D: Deserializer<'de>>(from: D) -> Result<Clusters, D::Error> {
    let list = Vec::<(u64, Vec<u8>)>::deserialize(from)?;
    let clusters = list
        .into_iter()
        .map(|(number, bytes)| (number, bytes.into()));
    Ok(Clusters::new(clusters.collect()))
}
