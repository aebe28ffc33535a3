//! The parts of a machine, put together from a configuration or from a snapshot.

use std::sync::Arc;

use boot::state::BootConfig;
use boot::{MemorySlot, StartRegisters};
use kvm_bindings::CpuId;
use kvm_ioctls::Cap;

use crate::board::{self, Panel};
use crate::bus::{Bus, RouteId, Row, Standing, Table, irqchip};
use crate::config::MachineConfig;
use crate::counters::Counters;
use crate::disks::{self, Disk, Opened};
use crate::error::Result;
use crate::interrupts::Interrupts;
use crate::kvm::host::Host;
use crate::kvm::memory::GuestMemory;
use crate::kvm::origin::Origin;
use crate::kvm::vm::Vm;
use crate::limits::BOOT_VCPU;
use crate::machine::attach::{self, Surroundings};
use crate::machine::create;
use crate::machine::pool::{self, Spare};
use crate::offload;
use crate::placement::{self, Placement, Prepared};
use crate::run::{Crew, Processor};
use crate::screen::ScreenView;
use crate::snapshot::{Others, Shape, Snapshot};
use crate::user::{self, User};

/// The parts of a machine.
pub(crate) struct Made {
    pub bus: Bus,
    pub crew: Crew,
    pub interrupts: Arc<Interrupts>,
    pub vm: Arc<Vm>,
    pub origin: Origin,
    pub placement: Placement,
    pub counters: Arc<Counters>,
    pub disks: Vec<Disk>,
    pub shape: Shape,
    pub screen: Option<ScreenView>,
    pub panel: Panel,
}

/// Of a configuration.
pub(crate) fn new(config: &MachineConfig<'_>) -> Result<Made> {
    let format = config.check()?;
    let disks = disks::open(&config.disks, &[])?;
    let slots = config.all_slots();
    let rows = check_routes(config, &slots)?;
    let host = check_host(config, &slots)?;
    let Prepared {
        memory,
        boot,
        registers,
        placement,
        user,
    } = placement::prepare(config, format, &slots)?;
    let fd = create::vm(host, boot.mode, config)?;
    let vm = Arc::new(Vm::new(fd, memory)?);
    let mut crew = crew(
        host,
        &vm,
        config,
        None,
        Some((&boot, &registers)),
        boot.faults,
    )?;
    if let Some(plan) = user {
        let boot = crew.0.boot_mut();
        boot.user = Some(Box::new(user::install(&mut boot.vcpu, plan, host)?));
    }
    let origin = Origin::default();
    let shape = Shape::of(config, slots, boot.faults);
    assemble(config, shape, &rows, vm, crew, origin, placement, disks)
}

/// Of a snapshot: all vCPUs as they come, all routes empty.
pub(crate) fn again(snapshot: &Snapshot, others: &Others) -> Result<Made> {
    let config = snapshot.config_with(others)?;
    let disks = snapshot.open_disks(&config.disks, others)?;
    let slots = config.all_slots();
    let rows = check_routes(&config, &slots)?;
    let host = check_host(&config, &slots)?;
    let placement = snapshot.placement.clone();
    let shape = Shape::of(&config, slots, snapshot.shape.faults);
    let faults = shape.faults;
    if let Some(Spare {
        vcpu, origin, vm, ..
    }) = pool::take(snapshot)
    {
        let counters = Arc::new(Counters::default());
        let boot = Processor::new(
            vcpu,
            BOOT_VCPU,
            config.irqchip,
            faults,
            Arc::clone(&counters),
        );
        let crew = (Crew::new(boot, Vec::new()), counters);
        return assemble(&config, shape, &rows, vm, crew, origin, placement, disks);
    }
    let memory = GuestMemory::from_image(&snapshot.image)?;
    let fd = create::vm(host, placement.mode, &config)?;
    let vm = Arc::new(Vm::new(fd, memory)?);
    let origin = Origin::of_image(&snapshot.image);
    let mut crew = crew(host, &vm, &config, snapshot.cpuid.as_deref(), None, faults)?;
    if let Some(state) = &snapshot.user {
        crew.0.boot_mut().user = Some(Box::new(User::new(state.clone())));
    }
    assemble(&config, shape, &rows, vm, crew, origin, placement, disks)
}

#[allow(clippy::too_many_arguments)] // each is made in another way
fn assemble(
    config: &MachineConfig<'_>,
    shape: Shape,
    rows: &[Row],
    vm: Arc<Vm>,
    (mut crew, counters): (Crew, Arc<Counters>),
    origin: Origin,
    placement: Placement,
    disks: Opened,
) -> Result<Made> {
    let processors = crew.all_mut();
    let waiting = processors.map(|processor| Arc::clone(&processor.injections));
    let waiting = waiting.collect();
    let irqchip = config.irqchip.then(|| Arc::clone(&vm));
    let interrupts = Arc::new(Interrupts::new(irqchip, waiting));
    let surroundings = Surroundings {
        host: Host::get()?,
        vm: &vm,
        interrupts: &interrupts,
        faults: shape.faults,
    };
    let mut routes = Vec::new();
    for (row, route) in rows.iter().zip(&config.routes) {
        let route = attach::configured(&surroundings, *row, route, config.vcpus)?;
        routes.push(route);
    }
    let vga = Arc::default();
    let Opened {
        disks,
        devices: mut virtio,
        mut remotes,
    } = disks;
    virtio.extend(board::cards(config, &mut remotes));
    let (own, panel) = board::routes(config, &shape.slots, &interrupts, &vga, virtio)?;
    for route in own {
        routes.push(attach::plugged(&surroundings, route)?);
    }
    for route in routes.iter().filter(|route| route.is_gathered) {
        offload::sort_after(&vm, &route.row.claim, &routes)?;
    }
    let screen = config.screen.map(|screen| {
        let memory = Arc::clone(vm.memory());
        ScreenView::new(screen, vga, memory)
    });
    let mut bus = Bus::new(routes, config.pc)?;
    bus.remotes = remotes;
    Ok(Made {
        screen,
        bus,
        crew,
        interrupts,
        vm,
        origin,
        placement,
        counters,
        disks,
        shape,
        panel,
    })
}

fn check_host(config: &MachineConfig<'_>, slots: &[MemorySlot]) -> Result<&'static Host> {
    let host = Host::get()?;
    host.check_vcpus(config.vcpus)?;
    if slots.iter().any(|slot| slot.read_only) {
        host.require(Cap::ReadonlyMem, "KVM_CAP_READONLY_MEM")?;
    }
    Ok(host)
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

/// All vCPUs.
fn crew(
    host: &Host,
    vm: &Arc<Vm>,
    config: &MachineConfig<'_>,
    first: Option<&CpuId>,
    start: Option<(&BootConfig, &StartRegisters)>,
    faults: bool,
) -> Result<(Crew, Arc<Counters>)> {
    let counters = Arc::new(Counters::default());
    let create =
        |index| create::processor(host, vm, config, first, start, (&counters, faults), index);
    let first = create(BOOT_VCPU)?;
    let others = (1..config.vcpus).map(create).collect::<Result<Vec<_>>>()?;
    Ok((Crew::new(first, others), counters))
}
