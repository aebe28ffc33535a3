//! A virtual machine: memory, vCPUs, and the routes of their exits.

mod attach;
mod create;

use std::sync::Arc;
use std::time::Duration;

use boot::MemorySlot;
use devices::{Device, SerialPort};
use kvm_bindings::{kvm_regs, kvm_sregs};
use kvm_ioctls::Cap;

use crate::board;
use crate::bus::{
    Backend, Bus, Claim, Feed, Route, RouteConfig, RouteId, Row, Standing, Table, irqchip,
};
use crate::config::MachineConfig;
use crate::counters::Counters;
use crate::error::{Error, ErrorCode, Result};
use crate::interrupts::Interrupts;
use crate::kvm::host::Host;
use crate::kvm::kick::KickHandle;
use crate::kvm::memory::GuestMemory;
use crate::kvm::vm::Vm;
use crate::limits::BOOT_VCPU;
use crate::machine::attach::Surroundings;
use crate::offload;
use crate::placement::{self, Placement, Prepared};
use crate::run::{Crew, ExitHandler, Outcome, Processor, RunLimits, Scene};

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
    placement: Placement,
    counters: Arc<Counters>,
    /// As configured, without those of ours.
    slots: Vec<MemorySlot>,
    /// The id of the next route.
    next_id: u32,
}

impl Machine {
    /// Creates the VM, its vCPU before the payload's first instruction.
    ///
    /// # Errors
    /// `KvmUnavailable`, `KvmCapability` or `KvmIoctl` for the host; `InvalidOption`, `Limit` or
    /// `Payload` for the configuration.
    pub fn new(config: MachineConfig<'_>) -> Result<Self> {
        let format = config.check()?;
        let slots = config.all_slots();
        let rows = check_routes(&config, &slots)?;
        let host = Host::get()?;
        host.check_vcpus(config.vcpus)?;
        if slots.iter().any(|slot| slot.read_only) {
            host.require(Cap::ReadonlyMem, "KVM_CAP_READONLY_MEM")?;
        }
        let Prepared {
            memory,
            boot,
            registers,
            placement,
        } = placement::prepare(&config, format, &slots)?;
        let fd = create::vm(host, boot.mode, config.irqchip)?;
        let vm = Arc::new(Vm::new(fd, memory)?);
        let counters = Arc::new(Counters::default());
        let start = (&boot, &registers);
        let create = |index| create::processor(host, &vm, &config, start, &counters, index);
        let first = create(BOOT_VCPU)?;
        let others = (1..config.vcpus).map(create).collect::<Result<Vec<_>>>()?;
        let mut crew = Crew::new(first, others);
        let processors = crew.all_mut();
        let waiting = processors.map(|processor| Arc::clone(&processor.injections));
        let waiting = waiting.collect();
        let irqchip = config.irqchip.then(|| Arc::clone(&vm));
        let interrupts = Arc::new(Interrupts::new(irqchip, waiting));
        let surroundings = Surroundings {
            host,
            vm: &vm,
            interrupts: &interrupts,
        };
        let mut routes = Vec::new();
        for (row, route) in rows.iter().zip(&config.routes) {
            let route = attach::configured(&surroundings, *row, route, config.vcpus)?;
            routes.push(route);
        }
        for route in board::routes(&config, &slots, &interrupts)? {
            routes.push(attach::plugged(&surroundings, route)?);
        }
        for route in routes.iter().filter(|route| route.is_gathered) {
            offload::sort_after(&vm, &route.row.claim, &routes)?;
        }
        let bus = Bus::new(routes, config.pc)?;
        let mut machine = Self {
            bus,
            crew,
            interrupts,
            vm,
            placement,
            counters,
            slots,
            next_id: rows.len() as u32,
        };
        if machine.bus.coalesces {
            machine.crew.map_coalesced()?;
        }
        machine.list_routes();
        Ok(machine)
    }

    /// Attaches a route, as the configuration's are at construction. It may claim what the
    /// machine's own devices of a PC have: it then has those accesses until it is detached. In
    /// modes with paging the guest itself maps addresses above those of its configuration.
    ///
    /// # Errors
    /// `InvalidOption` or `Limit`, `KvmCapability` or `KvmIoctl`; nothing is then changed.
    pub fn attach(&mut self, route: &RouteConfig) -> Result<RouteId> {
        let row = self.check(route.claim(), |name, slots| route.check(name, slots))?;
        let table = self.bus.table_with(row)?;
        let route = attach::configured(&self.surroundings()?, row, route, self.crew.count())?;
        self.take(route, table)
    }

    /// Attaches a device in Rust, as [`attach`](Self::attach) does.
    ///
    /// # Errors
    /// As of `attach`; `InvalidOption` with what the device misses.
    pub fn attach_device(&mut self, claim: Claim, device: Box<dyn Device>) -> Result<RouteId> {
        let row = self.check(claim, |name, slots| claim.check(name, slots))?;
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
            return Err(Error::new(
                ErrorCode::InvalidOption,
                format!("no route with id {} is attached", id.get()),
            ));
        }
        // What the guest has written is its route's until here.
        self.crew.gather(&mut self.bus)?;
        let mut all = self.bus.routes().iter();
        if let Some(route) = all.find(|route| route.row.id == id) {
            offload::unregister(&self.vm, route)?;
        }
        self.bus.detach(id)?;
        self.list_routes();
        Ok(())
    }

    /// Checks what a caller wants to attach; the row that it gets.
    fn check(
        &self,
        claim: Claim,
        check: impl FnOnce(&str, &[MemorySlot]) -> Result<()>,
    ) -> Result<Row> {
        let (id, standing) = (RouteId::new(self.next_id), Standing::Attached);
        if self.next_id == u32::MAX {
            return Err(Error::new(
                ErrorCode::Limit,
                "a machine has no more ids for routes",
            ));
        }
        check(&standing.name(id), &self.slots)?;
        if self.interrupts.has_irqchip() {
            irqchip::check(&claim, &standing.name(id))?;
        }
        Ok(Row {
            id,
            claim,
            standing,
        })
    }

    fn surroundings(&self) -> Result<Surroundings<'_>> {
        Ok(Surroundings {
            host: Host::get()?,
            vm: &self.vm,
            interrupts: &self.interrupts,
        })
    }

    fn take(&mut self, route: Route, table: Table) -> Result<RouteId> {
        let id = route.row.id;
        if route.is_gathered {
            let (claim, routes) = (&route.row.claim, self.bus.routes());
            let sorted = offload::sort_after(&self.vm, claim, routes);
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

    /// Runs the vCPU of a machine that has one, on this thread, until something ends the run.
    ///
    /// A further run continues where this one ended.
    ///
    /// # Errors
    /// `UnansweredRead` while the guest waits for [`reply`](Self::reply), `Handler` when the
    /// handler fails, `KvmIoctl` when `KVM_RUN` does, `InvalidOption` when there are several vCPUs,
    /// `Internal` ever after a run that panicked.
    pub fn run(
        &mut self,
        kick: &KickHandle,
        limits: RunLimits,
        handler: &mut dyn ExitHandler,
    ) -> Result<Outcome> {
        let scene = Scene {
            bus: &mut self.bus,
            counters: &self.counters,
            memory: self.vm.memory(),
        };
        self.crew.run_alone(scene, kick, limits, handler)
    }

    /// Runs every vCPU until one of them ends the run: the first on this thread, each other on a
    /// thread of its own. There is one handler for each vCPU.
    ///
    /// # Errors
    /// As [`run`](Self::run), but also for one vCPU; `InvalidOption` unless each has a handler.
    pub fn run_together<H: ExitHandler + Send>(
        &mut self,
        kick: &KickHandle,
        limits: RunLimits,
        handlers: &mut [H],
    ) -> Result<Outcome> {
        let scene = Scene {
            bus: &mut self.bus,
            counters: &self.counters,
            memory: self.vm.memory(),
        };
        self.crew.run_together(scene, kick, limits, handlers)
    }

    /// Enters the guest again and again until it halts, and returns the time that took. Its writes
    /// go nowhere and are not counted: this is the yardstick where no C compiler can build
    /// `bench/raw.c`.
    ///
    /// # Errors
    /// `InvalidOption` when the guest does anything but write and halt, or not within `timeout`;
    /// `KvmIoctl`.
    pub fn run_bare(&mut self, timeout: Duration) -> Result<Duration> {
        self.crew.run_bare(timeout)
    }

    /// The guest's memory, which may be read and written while it runs.
    pub fn memory(&self) -> &Arc<GuestMemory> {
        self.vm.memory()
    }

    /// What was put into it before the first instruction.
    pub const fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The host's end of COM1, if there is one.
    pub fn serial(&self) -> Option<Arc<SerialPort>> {
        self.bus.serial()
    }

    /// What was counted since the machine was made.
    pub const fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Raises interrupts, also while the machine runs.
    pub const fn interrupts(&self) -> &Arc<Interrupts> {
        &self.interrupts
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

    /// The boot vCPU's [`Processor::registers`].
    ///
    /// # Errors
    /// `KvmIoctl`.
    pub fn registers(&mut self) -> Result<kvm_regs> {
        self.crew.boot_mut().registers()
    }

    /// The boot vCPU's [`Processor::set_registers`].
    ///
    /// # Errors
    /// `UnansweredRead`, `KvmIoctl`.
    pub fn set_registers(&mut self, registers: &kvm_regs) -> Result<()> {
        self.crew.boot_mut().set_registers(registers)
    }

    /// The boot vCPU's [`Processor::special_registers`].
    ///
    /// # Errors
    /// `KvmIoctl`.
    pub fn special_registers(&mut self) -> Result<kvm_sregs> {
        self.crew.boot_mut().special_registers()
    }

    /// The boot vCPU's [`Processor::set_special_registers`].
    ///
    /// # Errors
    /// `UnansweredRead`, `KvmIoctl`.
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

/// All claims of a machine that is to be made, the caller's first.
fn check_routes(config: &MachineConfig<'_>, slots: &[MemorySlot]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (route, id) in config.routes.iter().zip(0..) {
        let (id, standing) = (RouteId::new(id), Standing::Configured);
        let (name, claim) = (standing.name(id), route.claim());
        route.check(&name, slots)?;
        rows.push(Row {
            id,
            claim,
            standing,
        });
    }
    rows.extend(board::rows(config));
    Table::new(&rows)?;
    if config.irqchip {
        for row in rows.iter().filter(|row| row.standing.is_callers()) {
            irqchip::check(&row.claim, &row.standing.name(row.id))?;
        }
    }
    Ok(rows)
}
