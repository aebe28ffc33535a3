//! Snapshots in files.

mod format;
mod read;
mod write;

use std::path::Path;
use std::sync::Arc;

use boot::state::cpuid::Place;
use boot::state::fit;
use boot::{MemorySlot, layout};
use kvm_bindings::{CpuId, kvm_cpuid_entry2};
use serde::{Deserialize, Serialize};

use crate::bus::{BusState, Claim, RouteId, RouteTarget};
use crate::disks::SavedDisk;
use crate::error::{Error, ErrorCode, Result};
use crate::kvm::chips::ChipState;
use crate::kvm::host::Host;
use crate::kvm::image::pages::Layout;
use crate::limits::{MAX_GPA, PAGE_BYTES};
use crate::placement::Placement;
use crate::run::CrewState;
use crate::snapshot::{Shape, Snapshot};
use format::no_snapshot;
pub use read::LoadOptions;
use read::Opened;

/// Everything but the pages, as it stands in a file. A change of any of it needs another
/// [`VERSION`](format::VERSION).
#[derive(Debug, Deserialize, Serialize)]
struct Record {
    shape: Shape,
    /// All slots by address, ours included.
    memory: Vec<MemorySlot>,
    /// Of the host; those of the vCPUs follow from it.
    cpuid: Vec<kvm_cpuid_entry2>,
    claims: Vec<(RouteId, Claim)>,
    targets: Vec<Option<RouteTarget>>,
    placement: Placement,
    crew: CrewState,
    bus: BusState,
    chips: ChipState,
    disks: Vec<SavedDisk>,
    /// What the caller adds.
    note: Vec<u8>,
}

impl Snapshot {
    /// Writes it into a file, in the place of one that may be there, which stays as it is if this
    /// fails. `note` is the caller's, who gets it back from [`read_from`](Self::read_from).
    ///
    /// # Errors
    /// `Snapshot` with call and errno; `Limit` above the process's limit for files.
    pub fn write_to(&self, path: &Path, note: &[u8]) -> Result<()> {
        if self.user.is_some() {
            return Err(Error::new(
                ErrorCode::Snapshot,
                "a snapshot of a native program stays in its process; take it again where it is needed",
            ));
        }
        let host = Host::get()?.cpuid_of(self.cpuid.as_deref(), first(self.shape.irqchip))?;
        let spans = self.image.layout().spans().iter();
        let record = Record {
            shape: self.shape.clone(),
            memory: spans.map(|span| span.slot).collect(),
            cpuid: host.as_slice().to_vec(),
            claims: self.claims.clone(),
            targets: self.targets.clone(),
            placement: self.placement.clone(),
            crew: self.crew.clone(),
            bus: self.bus.clone(),
            chips: self.chips.clone(),
            disks: self.disks.clone(),
            note: note.to_vec(),
        };
        let state = postcard::to_allocvec(&record)
            .map_err(|error| Error::internal(&format!("a snapshot cannot be written: {error}")))?;
        write::write(path, &state, &self.image)
    }

    /// Reads a file that [`write_to`](Self::write_to) has written, here or on a host like this.
    /// Gives the note, too. Nothing in the file is believed; but what its pages hold is known only
    /// if [`LoadOptions::verify`] says so.
    ///
    /// # Errors
    /// `Snapshot` for another file, one of another version, a damaged one, and one whose vCPUs this
    /// host cannot run, each with the reason.
    pub fn read_from(path: &Path, options: LoadOptions) -> Result<(Self, Vec<u8>)> {
        let opened = Opened::open(path)?;
        let record = postcard::take_from_bytes::<Record>(&opened.state);
        let record = match record {
            Ok((record, [])) => record,
            Ok(_) => return Err(no_snapshot("its state is followed by more")),
            Err(error) => return Err(no_snapshot(format!("its state is none: {error}"))),
        };
        let cpuid = record.check_host(Host::get()?)?;
        let layout = record.layout()?;
        let image = Arc::new(opened.into_image(layout, options)?);
        let snapshot = Self {
            image,
            cpuid,
            shape: record.shape,
            claims: record.claims,
            targets: record.targets,
            placement: record.placement,
            crew: record.crew,
            bus: record.bus,
            chips: record.chips,
            disks: record.disks,
            user: None,
        };
        snapshot.refuse_impossible()?;
        Ok((snapshot, record.note))
    }

    /// Refuses what no machine can have been.
    fn refuse_impossible(&self) -> Result<()> {
        if self.claims.len() != self.targets.len() {
            return Err(no_snapshot("its routes are not as many as its claims"));
        }
        if self.crew.count() != self.shape.vcpus {
            return Err(no_snapshot("its vCPUs are not as many as it says"));
        }
        if !self.disks.iter().all(SavedDisk::is_possible) {
            return Err(no_snapshot("what was written to a disk does not fit it"));
        }
        let config = self.config(Vec::new());
        if config.all_slots() != self.shape.slots {
            return Err(no_snapshot("its screen has another memory"));
        }
        config.check_machine().map_err(inside)
    }
}

impl Record {
    /// Whether the vCPUs can go on here, and with which CPUID, if it is not that of this host.
    fn check_host(&self, host: &Host) -> Result<Option<Arc<CpuId>>> {
        let saved = CpuId::from_entries(&self.cpuid);
        let saved = saved.map_err(|_| no_snapshot("it lists too many leaves of CPUID"))?;
        let here = host.cpuid_of(None, first(self.shape.irqchip))?;
        match fit::misfit(saved.as_slice(), here.as_slice()) {
            None if saved.as_slice() == here.as_slice() => Ok(None),
            None => Ok(Some(Arc::new(saved))),
            Some(misfit) => Err(Error::new(
                ErrorCode::Snapshot,
                format!("the snapshot does not fit this host: {misfit}"),
            )),
        }
    }

    /// Where its pages are in memory.
    fn layout(&self) -> Result<Layout> {
        let is_whole = |slot: &MemorySlot| {
            slot.bytes > 0
                && slot.bytes.is_multiple_of(PAGE_BYTES)
                && slot.gpa.is_multiple_of(PAGE_BYTES)
                && slot
                    .gpa
                    .checked_add(slot.bytes)
                    .is_some_and(|end| end <= MAX_GPA)
        };
        let is_apart = self.memory.windows(2).all(|pair| match pair {
            [low, high] => low.gpa + low.bytes <= high.gpa,
            _ => true,
        });
        let is_known = |slot: &&MemorySlot| self.shape.slots.contains(slot);
        let own: Vec<_> = self.memory.iter().filter(|slot| !is_known(slot)).collect();
        let is_own = |slot: &&MemorySlot| {
            slot.gpa == layout::SYSTEM_START && slot.end() <= layout::SYSTEM_LIMIT
        };
        let is_complete = self.memory.len() == self.shape.slots.len() + own.len();
        if !self.memory.iter().all(is_whole) || !is_apart || !own.iter().all(is_own) || !is_complete
        {
            return Err(no_snapshot("its memory is not that of a machine"));
        }
        Ok(Layout::new(&self.memory))
    }
}

/// The place for which a host's list is compared.
const fn first(irqchip: bool) -> Place {
    Place {
        index: 0,
        count: 1,
        irqchip,
    }
}

/// The error of a configuration, in a file.
fn inside(error: Error) -> Error {
    no_snapshot(error.message)
}
