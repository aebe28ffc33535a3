//! A virtual machine: memory, vCPUs, and the routes of their exits.

use std::sync::{Arc, Mutex, PoisonError};

use boot::state::{self, BootConfig, cpuid::Place};
use boot::{CpuMode, StartRegisters, layout};
use devices::SerialPort;
use kvm_bindings::{KVM_PIT_SPEAKER_DUMMY, kvm_pit_config, kvm_regs, kvm_sregs};
use kvm_ioctls::{Cap, VmFd};

use crate::access::Access;
use crate::board;
use crate::bus::Bus;
use crate::config::MachineConfig;
use crate::counters::Counters;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::feed::Feed;
use crate::gate::Gate;
use crate::host::Host;
use crate::interrupts::Interrupts;
use crate::irqchip;
use crate::kernel;
use crate::limits::BOOT_VCPU;
use crate::memory::GuestMemory;
use crate::placement::{self, Placement};
use crate::processor::Processor;
use crate::routes::RouteTable;
use crate::vcpu::Vcpu;
use crate::vm::Vm;

/// What every vCPU of a machine reads and none changes.
#[derive(Debug)]
pub(crate) struct Wiring {
    pub routes: RouteTable,
    pub counters: Arc<Counters>,
    /// Whether the kernel gathers writes for us.
    pub coalesces: bool,
    /// Whether unclaimed accesses read as all ones and write nowhere, instead of ending the run.
    pub empty_bus: bool,
    /// By route: vCPUs ask about it one after the other.
    pub gates: Vec<Gate>,
    /// Where posted writes wait.
    pub feeds: Vec<Feed>,
    /// Whether the kernel counts writes for us.
    pub counts: bool,
    /// The routes that have text for the handler.
    pub consoles: Vec<usize>,
}

impl Wiring {
    /// An access counts once, when it is done, in however many runs it was asked about.
    pub fn count_items(&self, access: &Access) {
        if let Some(counters) = self.counters.routes.get(access.route) {
            let side = if access.write {
                &counters.writes
            } else {
                &counters.reads
            };
            side.add((access.bytes / access.item_bytes.max(1)) as u64);
        }
    }
}

/// A virtual machine that is not running; [`run`](Self::run) borrows it for as long as it does.
///
/// # Examples
/// ```no_run
/// use vmm::{Answer, CpuMode, KickHandle, Machine, MachineConfig, Question, RunLimits};
///
/// // mov al, 42; out 0xe9, al; hlt
/// let config = MachineConfig::new(CpuMode::Real, vec![0xb0, 42, 0xe6, 0xe9, 0xf4]);
/// let mut machine = Machine::new(config)?;
/// let mut end = |_: Question<'_>| Answer::End;
/// let outcome = machine.run(&KickHandle::new(), RunLimits::default(), &mut end)?;
/// assert_eq!(outcome.exits, 1);
/// # Ok::<(), vmm::Error>(())
/// ```
#[derive(Debug)]
pub struct Machine {
    pub(crate) boot: Processor,
    pub(crate) others: Vec<Processor>,
    interrupts: Arc<Interrupts>,
    vm: Arc<Vm>,
    placement: Placement,
    pub(crate) wiring: Wiring,
    pub(crate) bus: Mutex<Bus>,
    /// The vCPU whose exit ended the last run, and which `reply` answers.
    pub(crate) ended_by: u32,
    /// A run is under way, or was left by a panic: what its guest waits for is lost then.
    pub(crate) broken: bool,
}

impl Machine {
    /// Creates the VM and puts its vCPU in front of the payload's first instruction.
    ///
    /// # Errors
    /// `KvmUnavailable`, `KvmCapability` or `KvmIoctl` for the host; `InvalidOption`, `Limit` or `Payload` for
    /// the configuration.
    pub fn new(config: MachineConfig<'_>) -> Result<Self> {
        let format = config.check()?;
        let slots = config.all_slots();
        let mut all = config.routes.clone();
        all.extend(board::routes(&config));
        let routes = RouteTable::new(&all, &slots)?;
        if config.irqchip {
            irqchip::check_routes(&config.routes)?;
        }
        let host = Host::get()?;
        host.check_vcpus(config.vcpus)?;
        if slots.iter().any(|slot| slot.read_only) {
            host.require(Cap::ReadonlyMem, "KVM_CAP_READONLY_MEM")?;
        }
        let prepared = placement::prepare(&config, format, &slots)?;
        let fd = create_vm(host, prepared.boot.mode, config.irqchip)?;
        let vm = Arc::new(Vm::new(fd, prepared.memory)?);
        let targets = config.routes.iter().map(|route| Device::new(route.target));
        let mut devices = targets.collect::<Result<Vec<_>>>()?;
        let coalesces = kernel::claim(host, &vm, &config.routes, &devices, config.vcpus)?;
        let feeds: Vec<_> = devices.iter().filter_map(Device::feed).collect();
        let wiring = Wiring {
            counts: feeds.iter().any(|feed| matches!(feed, Feed::Count(_))),
            feeds,
            gates: all.iter().map(|_| Gate::default()).collect(),
            consoles: board::consoles(&config),
            counters: Arc::new(Counters::new(all.len())),
            routes,
            coalesces,
            empty_bus: config.pc,
        };
        let (boot, start) = (&prepared.boot, &prepared.registers);
        let create = |index| create_processor(host, &vm, &config, (boot, start), &wiring, index);
        let first = create(BOOT_VCPU)?;
        let others = (1..config.vcpus).map(create).collect::<Result<Vec<_>>>()?;
        let events = std::iter::once(&first)
            .chain(&others)
            .map(|processor| Arc::clone(&processor.events));
        let irqchip = config.irqchip.then(|| Arc::clone(&vm));
        let interrupts = Arc::new(Interrupts::new(irqchip, events.collect()));
        devices.extend(board::devices(&config, &slots, &interrupts)?);
        Ok(Self {
            interrupts,
            boot: first,
            others,
            vm,
            placement: prepared.placement,
            wiring,
            bus: Mutex::new(Bus::new(devices)),
            ended_by: BOOT_VCPU,
            broken: false,
        })
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
        let bus = self.bus.lock().unwrap_or_else(PoisonError::into_inner);
        bus.devices.iter().find_map(|device| match device {
            Device::Com1(com1) => Some(Arc::clone(&com1.port)),
            _ => None,
        })
    }

    /// What was counted since the machine was made.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.wiring.counters
    }

    /// Raises interrupts, also while the machine runs.
    pub const fn interrupts(&self) -> &Arc<Interrupts> {
        &self.interrupts
    }

    /// How many vCPUs it has.
    pub const fn vcpus(&self) -> u32 {
        1 + self.others.len() as u32
    }

    /// Where posted writes wait, by route; other routes have none.
    pub fn feeds(&self) -> Vec<Option<Feed>> {
        let bus = self.bus.lock().unwrap_or_else(PoisonError::into_inner);
        bus.devices.iter().map(Device::feed).collect()
    }

    /// One vCPU.
    pub fn vcpu(&mut self, index: u32) -> Option<&mut Processor> {
        match index {
            BOOT_VCPU => Some(&mut self.boot),
            _ => self.others.get_mut(index as usize - 1),
        }
    }

    /// The boot vCPU's [`Processor::registers`].
    ///
    /// # Errors
    /// `KvmIoctl`.
    pub fn registers(&self) -> Result<kvm_regs> {
        self.boot.registers()
    }

    /// The boot vCPU's [`Processor::set_registers`].
    ///
    /// # Errors
    /// `UnansweredRead`, `KvmIoctl`.
    pub fn set_registers(&mut self, registers: &kvm_regs) -> Result<()> {
        self.boot.set_registers(registers)
    }

    /// The boot vCPU's [`Processor::special_registers`].
    ///
    /// # Errors
    /// `KvmIoctl`.
    pub fn special_registers(&self) -> Result<kvm_sregs> {
        self.boot.special_registers()
    }

    /// The boot vCPU's [`Processor::set_special_registers`].
    ///
    /// # Errors
    /// `UnansweredRead`, `KvmIoctl`.
    pub fn set_special_registers(&mut self, registers: &kvm_sregs) -> Result<()> {
        self.boot.set_special_registers(registers)
    }

    /// [`Processor::reply`] for the vCPU that ended the last run.
    ///
    /// # Errors
    /// `UnansweredRead`.
    pub fn reply(&mut self, value: u64) -> Result<()> {
        self.last_ended().reply(value)
    }

    /// [`Processor::reply_bytes`] for the vCPU that ended the last run.
    ///
    /// # Errors
    /// `UnansweredRead`, `InvalidOption`.
    pub fn reply_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.last_ended().reply_bytes(bytes)
    }

    pub(crate) fn last_ended(&mut self) -> &mut Processor {
        match self.ended_by {
            BOOT_VCPU => &mut self.boot,
            index => match self.others.get_mut(index as usize - 1) {
                Some(processor) => processor,
                None => &mut self.boot,
            },
        }
    }
}

/// A vCPU in front of its first instruction. With an irqchip all but the first wait for INIT and SIPI.
fn create_processor(
    host: &Host,
    vm: &Arc<Vm>,
    config: &MachineConfig<'_>,
    (boot, start): (&BootConfig, &StartRegisters),
    wiring: &Wiring,
    index: u32,
) -> Result<Processor> {
    let cpuid = host.cpuid_of(Place {
        index,
        count: config.vcpus,
        irqchip: config.irqchip,
    })?;
    let mut vcpu = Vcpu::new(vm, index, host.run_bytes, &cpuid)?;
    if wiring.coalesces {
        vcpu.map_coalesced()?;
    }
    if index == BOOT_VCPU || !config.irqchip {
        let (xcr0, reset) = (state::xcr0(boot, &cpuid), vcpu.special_registers()?);
        vcpu.set_special_registers(&state::special_registers(boot, xcr0, reset))?;
        xcr0.map_or(Ok(()), |xcr0| vcpu.set_xcr0(xcr0))?;
        vcpu.set_registers(&kvm_regs {
            rax: start.rax,
            rbx: start.rbx,
            rsi: start.rsi,
            rdi: u64::from(index),
            ..state::registers(boot)
        })?;
    }
    Ok(Processor::new(vcpu, index, Arc::clone(&wiring.counters)))
}

fn create_vm(host: &Host, mode: CpuMode, irqchip: bool) -> Result<VmFd> {
    let vm = host.create_vm()?;
    // Intel processors without unrestricted guests need pages of their own for modes without paging
    // (KVM API, KVM_SET_TSS_ADDR); other KVMs take the call and do nothing. An application processor
    // begins in real mode.
    let unpaged = matches!(mode, CpuMode::Real | CpuMode::Protected) || irqchip;
    if unpaged && vm.check_extension(Cap::SetTssAddr) {
        vm.set_tss_address(layout::KVM_TSS as usize)
            .map_err(Error::ioctl("KVM_SET_TSS_ADDR"))?;
    }
    if irqchip {
        host.require(Cap::Irqchip, "KVM_CAP_IRQCHIP")?;
        host.require(Cap::Pit2, "KVM_CAP_PIT2")?;
        vm.create_irq_chip()
            .map_err(Error::ioctl("KVM_CREATE_IRQCHIP"))?;
        // The speaker's port answers without an exit.
        let pit = kvm_pit_config {
            flags: KVM_PIT_SPEAKER_DUMMY,
            ..Default::default()
        };
        vm.create_pit2(pit)
            .map_err(Error::ioctl("KVM_CREATE_PIT2"))?;
    }
    Ok(vm)
}
