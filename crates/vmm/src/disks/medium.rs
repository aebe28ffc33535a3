//! What lasts longer than the machines that write to it: files, and what answers in their place.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A file, by device and inode.
pub(super) type FileId = (u64, u64);

/// What disks of this process write to, one after the other; known for as long as a machine or a
/// snapshot refers to it.
#[derive(Debug, Default)]
pub(crate) struct Medium {
    /// Counts its changes.
    generation: Arc<AtomicU64>,
    /// Machines that may write to it.
    writers: AtomicU32,
}

static FILES: Mutex<BTreeMap<FileId, Weak<Medium>>> = Mutex::new(BTreeMap::new());

impl Medium {
    /// One that is not a file.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// That of a file.
    pub fn of_file(id: FileId) -> Arc<Self> {
        let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(medium) = files.get(&id).and_then(Weak::upgrade) {
            return medium;
        }
        files.retain(|_, medium| medium.strong_count() > 0);
        let medium = Self::new();
        files.insert(id, Arc::downgrade(&medium));
        medium
    }

    /// Counts the changes.
    pub fn generation(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.generation)
    }

    /// How often it was changed.
    pub fn changes(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Whether a machine may write to it.
    pub fn is_written(&self) -> bool {
        self.writers.load(Ordering::SeqCst) > 0
    }
}

/// That a machine has a medium.
#[derive(Debug)]
pub(crate) struct Use {
    medium: Arc<Medium>,
    writes: bool,
}

impl Use {
    /// It begins.
    pub fn new(medium: Arc<Medium>, writes: bool) -> Self {
        if writes {
            medium.writers.fetch_add(1, Ordering::SeqCst);
        }
        Self { medium, writes }
    }

    /// Of what.
    pub const fn medium(&self) -> &Arc<Medium> {
        &self.medium
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        if self.writes {
            self.medium.writers.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
