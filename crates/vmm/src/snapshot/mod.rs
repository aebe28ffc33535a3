//! A machine as a value: everything that its guest and its devices can have changed.

mod file;
mod shape;

use std::sync::Arc;

use boot::{Faults, Privilege};
use kvm_bindings::{CpuId, kvm_regs};

use crate::bus::{BusState, Claim, RouteConfig, RouteId, RouteTarget};
use crate::config::{MachineConfig, Payload};
use crate::disks::{self, Disk, DiskConfig, Opened, SavedDisk};
use crate::error::{Error, ErrorCode, Result};
use crate::kvm::chips::ChipState;
use crate::kvm::image::MemoryImage;
use crate::limits::PAGE_BYTES;
use crate::placement::Placement;
use crate::run::CrewState;
use crate::user::UserState;

pub use file::LoadOptions;
pub(crate) use shape::Shape;

/// The state of a machine at one moment. Nothing changes it; any number of machines go on from it,
/// and share its memory until they write.
#[derive(Debug)]
pub struct Snapshot {
    pub(crate) image: Arc<MemoryImage>,
    pub(crate) shape: Shape,
    /// Of the host on which the vCPUs began, if it has another CPUID than this one.
    pub(crate) cpuid: Option<Arc<CpuId>>,
    /// The caller's, in their order.
    pub(crate) claims: Vec<(RouteId, Claim)>,
    /// What the caller wants there; `None` for a device in Rust.
    pub(crate) targets: Vec<Option<RouteTarget>>,
    pub(crate) placement: Placement,
    pub(crate) crew: CrewState,
    /// Of a native program.
    pub(crate) user: Option<UserState>,
    pub(crate) bus: BusState,
    pub(crate) chips: ChipState,
    pub(crate) disks: Vec<SavedDisk>,
}

/// What a machine that is made of a snapshot has in the place of what the first one had.
#[derive(Clone, Debug, Default)]
pub struct Others {
    /// Each for the route with the same claim.
    pub routes: Vec<RouteConfig>,
    /// Each for the disk in its place; fewer, or `None`, for those that stay what they are.
    pub disks: Vec<Option<DiskConfig>>,
}

impl<const N: usize> From<&[RouteConfig; N]> for Others {
    fn from(routes: &[RouteConfig; N]) -> Self {
        Self {
            routes: routes.to_vec(),
            disks: Vec::new(),
        }
    }
}

/// A page that is not the same in two snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its address.
    pub gpa: u64,
    /// Its content in the one that was asked.
    pub before: Box<[u8; PAGE_BYTES as usize]>,
    /// Its content in the other.
    pub after: Box<[u8; PAGE_BYTES as usize]>,
}

impl Snapshot {
    /// The boot vCPU's registers.
    pub fn registers(&self) -> kvm_regs {
        self.crew.boot.vcpu.regs
    }

    /// The routes of the caller's that the machine had, in their order: those of a machine that is
    /// made of the snapshot have the ids 0, 1, ….
    pub fn claims(&self) -> &[(RouteId, Claim)] {
        &self.claims
    }

    /// What a machine that is made of it is made of, but for memory's content. What it says of the
    /// payload is empty.
    ///
    /// # Errors
    /// `Snapshot` if a device in Rust is attached, which no snapshot can make again.
    pub fn description(&self) -> Result<MachineConfig<'static>> {
        self.config_with(&Others::default())
    }

    /// How many vCPUs the machine had.
    pub const fn vcpus(&self) -> u32 {
        self.shape.vcpus
    }

    /// Bytes of memory that it keeps: pages of zeros are not kept.
    pub fn used_bytes(&self) -> u64 {
        self.image.used().iter().count() as u64 * PAGE_BYTES
    }

    /// Whether it keeps the same memory as another one, which takes none in addition.
    pub fn shares_memory_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.image, &other.image)
    }

    /// The pages that are not the same in another snapshot, in the order of addresses.
    ///
    /// # Errors
    /// `Snapshot` when that has other memory.
    pub fn diff<'s>(&'s self, other: &'s Self) -> Result<impl Iterator<Item = Difference> + 's> {
        self.check_memory(other)?;
        let mut page = 0;
        Ok(std::iter::from_fn(move || {
            let found = self.next_difference(other, page)?;
            page = found.0 + 1;
            Some(found.1)
        }))
    }

    /// Refuses a machine that cannot go back to it.
    ///
    /// # Errors
    /// `Snapshot`, naming what differs.
    pub(crate) fn check_fits(
        &self,
        machine: &Shape,
        cpuid: Option<&Arc<CpuId>>,
        disks: &[Disk],
    ) -> Result<()> {
        self.shape.check(machine)?;
        disks::check_places(disks, &self.disks)?;
        if self.cpuid.as_ref() == cpuid {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::Snapshot,
            "the snapshot's vCPUs began on another processor than the machine's; make a machine of it instead",
        ))
    }

    /// Refuses a snapshot of other memory.
    ///
    /// # Errors
    /// `Snapshot`, naming the first difference with both values.
    pub fn check_memory(&self, other: &Self) -> Result<()> {
        self.shape.check_memory(&other.shape)
    }

    /// The first page from a number on that is not the same in another snapshot of the same memory,
    /// with its number.
    pub fn next_difference(&self, other: &Self, from: usize) -> Option<(usize, Difference)> {
        if self.shares_memory_with(other) {
            return None;
        }
        let (ours, theirs) = (&self.image, &other.image);
        let mut pages = ours.used().iter_with(theirs.used(), from);
        let page = pages.find(|page| !ours.is_same(theirs, *page))?;
        let difference = Difference {
            gpa: ours.layout().gpa(page)?,
            before: Box::new(ours.read(page)),
            after: Box::new(theirs.read(page)),
        };
        Some((page, difference))
    }

    /// The routes of a machine to be made, with others in the place of those with the same claims.
    ///
    /// # Errors
    /// `Snapshot` for one without a place.
    fn rebound(&self, others: &[RouteConfig]) -> Result<Vec<RouteConfig>> {
        let mut routes = Vec::new();
        for ((_, claim), target) in self.claims.iter().zip(&self.targets) {
            let Some(target) = *target else {
                return Err(Error::new(
                    ErrorCode::Snapshot,
                    format!(
                        "{} has a device in Rust, which no snapshot can make again",
                        claim.describe()
                    ),
                ));
            };
            let Claim { base, length } = *claim;
            routes.push(RouteConfig {
                base,
                length,
                target,
            });
        }
        for (index, other) in others.iter().enumerate() {
            let mut places = routes.iter_mut();
            match places.find(|route| route.claim() == other.claim()) {
                Some(place) => *place = *other,
                None => {
                    return Err(Error::new(
                        ErrorCode::Snapshot,
                        format!(
                            "routes[{index}] ({}) must be a claim of the snapshot's",
                            other.claim().describe()
                        ),
                    ));
                }
            }
        }
        Ok(routes)
    }

    /// What a machine of the same shape is made of, but for its content.
    pub(crate) fn config(&self, routes: Vec<RouteConfig>) -> MachineConfig<'static> {
        let shape = &self.shape;
        let main = shape.slots.first();
        MachineConfig {
            mode: Some(self.placement.mode),
            privilege: Privilege::Kernel,
            faults: Some(match shape.faults {
                true => Faults::Report,
                false => Faults::Off,
            }),
            memory_bytes: main.map_or(0, |slot| slot.bytes),
            slots: shape.further_slots().to_vec(),
            payload: Payload {
                format: Some(self.placement.format),
                ..Payload::default()
            },
            routes,
            vcpus: shape.vcpus,
            irqchip: shape.irqchip,
            serial: shape.serial,
            pc: shape.pc,
            disks: self.disks.iter().map(|disk| disk.config.clone()).collect(),
            screen: shape.screen,
            network: shape.network.clone(),
            ports: shape.ports.clone(),
            // What it was made of is in memory.
            user: None,
        }
    }

    /// The same for a machine that has these in the place of what is here.
    ///
    /// # Errors
    /// `Snapshot` for what has no place.
    pub(crate) fn config_with(&self, others: &Others) -> Result<MachineConfig<'static>> {
        let mut config = self.config(self.rebound(&others.routes)?);
        if others.disks.len() > config.disks.len() {
            let (most, got) = (config.disks.len(), others.disks.len());
            let what = format!("disks must be at most {most} as in the snapshot, got {got}");
            return Err(Error::new(ErrorCode::Snapshot, what));
        }
        for (disk, other) in config.disks.iter_mut().zip(&others.disks) {
            if let Some(other) = other {
                other.clone_into(disk);
            }
        }
        Ok(config)
    }

    /// Opens the disks of such a machine.
    ///
    /// # Errors
    /// `Snapshot` for one that is not what it was, or of another kind; `InvalidOption`.
    pub(crate) fn open_disks(&self, configs: &[DiskConfig], others: &Others) -> Result<Opened> {
        let is_other = |index: usize| others.disks.get(index).is_some_and(Option::is_some);
        let kept = self.disks.iter().enumerate();
        let kept: Vec<_> = kept
            .map(|(index, disk)| (!is_other(index)).then_some(disk))
            .collect();
        let opened = disks::open(configs, &kept)?;
        let pairs = self.disks.iter().zip(&opened.disks);
        for (index, (saved, disk)) in pairs.enumerate() {
            saved.check_kind(index, disk)?;
        }
        Ok(opened)
    }
}
