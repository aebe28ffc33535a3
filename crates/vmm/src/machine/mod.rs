//! A virtual machine: memory, vCPUs, and the routes of their exits.

mod assembly;
mod attach;
mod create;
mod pool;
mod program;
mod runs;

use std::sync::Arc;

use devices::{Device, Remotes};
use kvm_bindings::{CpuId, kvm_regs, kvm_sregs};

use crate::board::Panel;
use crate::bus::{Backend, Bus, Claim, Feed, Route, RouteConfig, RouteId, Row, Table};
use crate::config::MachineConfig;
use crate::counters::Counters;
use crate::debug::Stops;
use crate::disks::{self, Disk};
use crate::error::{Error, ErrorCode, Result};
use crate::interrupts::Interrupts;
use crate::kvm::chips::ChipState;
use crate::kvm::host::Host;
use crate::kvm::memory::GuestMemory;
use crate::kvm::origin::Origin;
use crate::kvm::vm::Vm;
use crate::machine::attach::Surroundings;
use crate::offload;
use crate::placement::Placement;
use crate::run::{Crew, Processor};
use crate::screen::ScreenView;
use crate::snapshot::{Others, Shape, Snapshot};
pub use pool::trim as trim_spares;

/// A virtual machine that is not running; [`run`](Self::run) borrows it while it runs.
///
/// # Examples
/// ```no_run
/// use vmm::{CpuMode, KickHandle, Machine, MachineConfig, RunLimits};
///
/// // mov al, 42; out 0xe9, al; hlt
/// let config = MachineConfig::new(CpuMode::Real, vec![0xb0, 42, 0xe6, 0xe9, 0xf4]);
/// let mut machine = Machine::new(config)?;
/// // The handler `()` ends the run at an exit that no route claims.
/// let outcome = machine.run(&KickHandle::new(), RunLimits::default(), &mut ())?;
/// assert_eq!(outcome.exits, 1);
/// # Ok::<(), vmm::Error>(())
/// ```
#[derive(Debug)]
pub struct Machine {
    // The routes go first: what stands there holds descriptors of the VM.
    bus: Bus,
    crew: Crew,
    interrupts: Arc<Interrupts>,
    vm: Arc<Vm>,
    origin: Origin,
    placement: Placement,
    counters: Arc<Counters>,
    /// As configured.
    shape: Shape,
    screen: Option<ScreenView>,
    panel: Panel,
    /// Of the host on which its vCPUs began, if it has another CPUID than this one.
    cpuid: Option<Arc<CpuId>>,
    disks: Vec<Disk>,
    next_id: u32,
    stops: Stops,
}

impl Machine {
    /// Creates the VM, its vCPU before the payload's first instruction.
    ///
    /// # Errors
    /// `KvmUnavailable`, `KvmCapability` or `KvmIoctl` for the host; `InvalidOption`, `Limit` or
    /// `Payload` for the configuration.
    pub fn new(config: MachineConfig<'_>) -> Result<Self> {
        Self::assemble(assembly::new(&config)?, None)
    }

    /// A further machine in the state of a snapshot. It shares the snapshot's memory until it
    /// writes. `others` stand for what the snapshot has.
    ///
    /// # Errors
    /// `Snapshot` for what has no place in it, and for a disk that has moved on; else as of
    /// [`new`](Self::new).
    pub fn from_snapshot(snapshot: &Snapshot, others: impl Into<Others>) -> Result<Self> {
        let made = assembly::again(snapshot, &others.into())?;
        let mut machine = Self::assemble(made, snapshot.cpuid.clone())?;
        machine.put_back(snapshot)?;
        Ok(machine)
    }

    fn assemble(made: assembly::Made, cpuid: Option<Arc<CpuId>>) -> Result<Self> {
        let mut machine = Self {
            next_id: made.bus.routes().len() as u32,
            bus: made.bus,
            crew: made.crew,
            interrupts: made.interrupts,
            vm: made.vm,
            origin: made.origin,
            placement: made.placement,
            counters: made.counters,
            disks: made.disks,
            shape: made.shape,
            screen: made.screen,
            panel: made.panel,
            cpuid,
            stops: Stops::default(),
        };
        if machine.bus.coalesces {
            machine.crew.map_coalesced()?;
        }
        machine.list_routes();
        Ok(machine)
    }

    /// Its state as a value, from which it, and any other machine, can go on. The snapshot and the
    /// machine share their memory until the machine writes.
    ///
    /// # Errors
    /// `Snapshot` for a device that has no state to save, `Limit`, `KvmCapability`, `KvmIoctl`; the
    /// machine goes on as before.
    pub fn snapshot(&mut self) -> Result<Snapshot> {
        let user = self.crew.boot_mut().save_user()?;
        let crew = self.crew.save(&self.counters)?;
        let bus = self.crew.save_bus(&mut self.bus)?;
        let callers = || self.bus.callers();
        Ok(Snapshot {
            image: self.origin.image(&self.vm)?,
            shape: self.shape.clone(),
            cpuid: self.cpuid.clone(),
            claims: callers().map(Route::place).collect(),
            targets: callers().map(|route| route.target).collect(),
            placement: self.placement.clone(),
            crew,
            bus,
            disks: disks::save(&self.disks),
            user,
            chips: ChipState::save(&self.vm, self.interrupts.has_irqchip())?,
        })
    }

    /// Puts everything back to what it was in a snapshot, of this machine or of one like it.
    ///
    /// # Errors
    /// `Snapshot` for a machine of another shape, and nothing is changed; `KvmIoctl`, and the state
    /// is undefined until a further restore.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        snapshot.check_fits(&self.shape, self.cpuid.as_ref(), &self.disks)?;
        self.bus.check(&snapshot.bus)?;
        self.crew.abandon()?;
        let before = self.crew.boot_mut().leave_user();
        self.origin.restore(&self.vm, &snapshot.image)?;
        self.put_back(snapshot)?;
        self.crew
            .boot_mut()
            .restore_user(snapshot.user.as_ref(), &before);
        Ok(())
    }

    /// Ends it, or gives it back for a thread to drop that can wait for the kernel.
    pub fn retire(mut self: Box<Self>) -> Option<Box<Self>> {
        if !pool::is_fit(&mut self.crew, &self.bus, &self.vm, &self.origin) {
            return Some(self);
        }
        let kind = (self.placement.mode, self.cpuid);
        pool::keep(self.crew, self.origin, self.vm, kind);
        None
    }

    /// All but the memory.
    fn put_back(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.crew.restore_bus(&mut self.bus, &snapshot.bus)?;
        disks::put_back(&self.disks, &snapshot.disks);
        snapshot.chips.restore(&self.vm)?;
        self.crew.restore(&snapshot.crew, &self.counters)
    }

    /// Attaches a route, as the configuration's are at construction. It may claim what the
    /// machine's own devices of a PC have: it then has those accesses until it is detached. In
    /// modes with paging the guest itself maps addresses above those of its configuration.
    ///
    /// # Errors
    /// `InvalidOption` or `Limit`, `KvmCapability` or `KvmIoctl`; nothing is then changed.
    pub fn attach(&mut self, route: &RouteConfig) -> Result<RouteId> {
        let row = self.row(route.claim(), |name| route.check(name, &self.shape.slots))?;
        let table = self.bus.table_with(row)?;
        let route = attach::configured(&self.surroundings()?, row, route, self.crew.count())?;
        self.take(route, table)
    }

    /// Attaches a device in Rust, as [`attach`](Self::attach) does.
    ///
    /// # Errors
    /// As of `attach`; `InvalidOption` with what the device misses.
    pub fn attach_device(&mut self, claim: Claim, device: Box<dyn Device>) -> Result<RouteId> {
        let row = self.row(claim, |name| claim.check(name, &self.shape.slots))?;
        let table = self.bus.table_with(row)?;
        let route = Route::new(row, Backend::Device(device));
        let route = attach::plugged(&self.surroundings()?, route)?;
        self.take(route, table)
    }

    /// Removes a route of the caller's with its device. Posted writes that were not taken are
    /// dropped, and its text joins the next outcome's. What the machine's own devices have yielded
    /// to the route is theirs again.
    ///
    /// # Errors
    /// `InvalidOption` when there is no such route; `KvmIoctl`, and it stays.
    pub fn detach(&mut self, id: RouteId) -> Result<()> {
        if !self.bus.callers().any(|route| route.row.id == id) {
            let what = format!("no route with id {} is attached", id.get());
            return Err(Error::new(ErrorCode::InvalidOption, what));
        }
        // What the guest has written is its route's until here.
        self.crew.gather(&mut self.bus)?;
        if let Some(route) = self.bus.routes().iter().find(|route| route.row.id == id) {
            offload::unregister(&self.vm, route)?;
        }
        self.bus.detach(id)?;
        self.list_routes();
        Ok(())
    }

    /// The row of what a caller wants to attach.
    fn row(&self, claim: Claim, check: impl FnOnce(&str) -> Result<()>) -> Result<Row> {
        attach::row(self.next_id, claim, self.interrupts.has_irqchip(), check)
    }

    fn surroundings(&self) -> Result<Surroundings<'_>> {
        Ok(Surroundings {
            host: Host::get()?,
            vm: &self.vm,
            interrupts: &self.interrupts,
            faults: self.shape.faults,
        })
    }

    fn take(&mut self, route: Route, table: Table) -> Result<RouteId> {
        let id = route.row.id;
        if route.is_gathered {
            let sorted = offload::sort_after(&self.vm, &route.row.claim, self.bus.routes());
            if let Err(error) = sorted.and_then(|()| self.crew.map_coalesced()) {
                offload::unregister(&self.vm, &route)?;
                return Err(error);
            }
        }
        self.bus.attach(route, table);
        self.next_id += 1;
        self.list_routes();
        Ok(id)
    }

    fn list_routes(&self) {
        let callers = self.bus.callers();
        let counted = callers.map(|route| (route.row.id, Arc::clone(&route.counters)));
        self.counters.set_routes(counted.collect());
    }

    /// The guest's memory, which may be read and written while it runs.
    pub fn memory(&self) -> &Arc<GuestMemory> {
        self.vm.memory()
    }

    /// What was put into it before the first instruction.
    pub const fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The host's ends of its own devices.
    pub const fn panel(&self) -> &Panel {
        &self.panel
    }

    /// Its screen, if it has one.
    pub fn screen(&self) -> Option<ScreenView> {
        self.screen.clone()
    }

    /// What was counted since the machine was made.
    pub const fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Raises interrupts, also while the machine runs.
    pub const fn interrupts(&self) -> &Arc<Interrupts> {
        &self.interrupts
    }

    /// What is answered by requests from outside.
    pub const fn remotes(&self) -> &Remotes {
        &self.bus.remotes
    }

    /// How many vCPUs it has.
    pub const fn vcpus(&self) -> u32 {
        self.crew.count()
    }

    /// Where posted writes wait, of the routes that have such a place.
    pub fn feeds(&self) -> Vec<(RouteId, Feed)> {
        self.bus.feeds()
    }

    /// Console text of a paused run that its handlers have yet to get, by route.
    pub fn take_undelivered(&mut self) -> Vec<(RouteId, Vec<u8>)> {
        self.bus.take_undelivered()
    }

    /// One vCPU.
    pub fn vcpu(&mut self, index: u32) -> Option<&mut Processor> {
        self.crew.get_mut(index)
    }

    /// The boot vCPU's [`Processor::registers`], with its errors.
    pub fn registers(&mut self) -> Result<kvm_regs> {
        self.crew.boot_mut().registers()
    }

    /// The boot vCPU's [`Processor::set_registers`], with its errors.
    pub fn set_registers(&mut self, registers: &kvm_regs) -> Result<()> {
        self.crew.boot_mut().set_registers(registers)
    }

    /// The boot vCPU's [`Processor::special_registers`], with its errors.
    pub fn special_registers(&mut self) -> Result<kvm_sregs> {
        self.crew.boot_mut().special_registers()
    }

    /// The boot vCPU's [`Processor::set_special_registers`], with its errors.
    pub fn set_special_registers(&mut self, registers: &kvm_sregs) -> Result<()> {
        self.crew.boot_mut().set_special_registers(registers)
    }

    /// [`Processor::reply`] for the vCPU that ended the last run.
    ///
    /// # Errors
    /// `UnansweredRead`.
    pub fn reply(&mut self, value: u64) -> Result<()> {
        self.crew.last_ended().reply(value)
    }

    /// [`Processor::reply_bytes`] for the vCPU that ended the last run.
    ///
    /// # Errors
    /// `UnansweredRead`, `InvalidOption`.
    pub fn reply_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.crew.last_ended().reply_bytes(bytes)
    }
}
