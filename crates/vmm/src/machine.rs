//! A virtual machine: memory, one vCPU, and the routes of its exits.

use std::sync::Arc;

use kvm_bindings::{kvm_regs, kvm_sregs};
use kvm_ioctls::{Cap, VmFd};

use crate::boot::{self, BootConfig};
use crate::config::{CpuMode, MachineConfig};
use crate::counters::Counters;
use crate::devices::{self, Device, Feed};
use crate::error::{Error, ErrorCode, Result};
use crate::exit::Exit;
use crate::host::Host;
use crate::kernel;
use crate::layout;
use crate::limits::PAGE_BYTES;
use crate::memory::{GuestMemory, MemorySlot};
use crate::routes::RouteTable;
use crate::vcpu::{Coalesced, Vcpu};

/// What KVM waits for before it can run the guest on.
#[derive(Debug)]
pub(crate) enum Pending {
    /// Nothing.
    Nothing,
    /// An I/O exit is answered, and KVM takes the answer over at the next entry.
    Answered,
    /// An I/O exit is yet to be answered, from this piece on.
    Open(Exit, usize),
    /// An unclaimed read ended a run; [`Machine::reply`] answers it.
    Reply(Exit),
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
    // Dropped in this order: KVM maps the memory until the VM is gone, and the vCPU belongs to the VM.
    pub(crate) vcpu: Vcpu,
    _vm: VmFd,
    memory: Arc<GuestMemory>,
    pub(crate) routes: RouteTable,
    pub(crate) devices: Vec<Device>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) pending: Pending,
    /// Whether the kernel gathers writes for us.
    pub(crate) coalesces: bool,
    /// A coalesced write that has left the kernel's ring, and how many of its pieces are posted.
    pub(crate) straggler: Option<(Coalesced, usize)>,
}

impl Machine {
    /// Creates the VM and puts its vCPU in front of the payload's first instruction.
    ///
    /// # Errors
    /// `KvmUnavailable`, `KvmCapability` or `KvmIoctl` for the host; `InvalidOption`, `Limit` or `Payload` for
    /// the configuration.
    pub fn new(config: MachineConfig) -> Result<Self> {
        config.check()?;
        let slots = config.all_slots();
        let routes = RouteTable::new(&config.routes, &slots)?;
        let host = Host::get()?;
        if slots.iter().any(|slot| slot.read_only) {
            host.require(Cap::ReadonlyMem, "KVM_CAP_READONLY_MEM")?;
        }
        let boot = BootConfig {
            mode: config.mode,
            privilege: config.privilege,
            entry_gpa: config.payload.entry_gpa,
            stack_top: config.memory_bytes,
            top: config.top(),
        };
        let memory = Arc::new(load(&config, slots, &boot)?);
        let vm = create_vm(host, config.mode)?;
        memory.register(&vm)?;
        let mut vcpu = Vcpu::new(&vm, 0, host.run_bytes, &host.cpuid)?;
        let targets = config.routes.iter().map(|route| Device::new(route.target));
        let devices = targets.collect::<Result<Vec<_>>>()?;
        let coalesces = kernel::claim(host, &vm, &config.routes, &devices)?;
        if coalesces {
            vcpu.map_coalesced()?;
        }
        vcpu.set_special_registers(&boot::special_registers(&boot, vcpu.special_registers()?))?;
        vcpu.set_registers(&boot::registers(&boot))?;
        Ok(Self {
            vcpu,
            _vm: vm,
            memory,
            devices,
            counters: Arc::new(Counters::new(config.routes.len())),
            routes,
            pending: Pending::Nothing,
            coalesces,
            straggler: None,
        })
    }

    /// The guest's memory, which may be read and written while it runs.
    pub fn memory(&self) -> &Arc<GuestMemory> {
        &self.memory
    }

    /// What was counted since the machine was made.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Where posted writes wait, by route; other routes have none.
    pub fn feeds(&self) -> Vec<Option<Feed>> {
        self.devices.iter().map(Device::feed).collect()
    }

    /// The oldest coalesced write that is not posted yet, and how many of its pieces are.
    pub(crate) fn next_coalesced(&mut self) -> Result<Option<(Coalesced, usize)>> {
        if let Some(straggler) = self.straggler.take() {
            return Ok(Some(straggler));
        }
        Ok(self.vcpu.next_coalesced()?.map(|write| (write, 0)))
    }

    /// General registers, RIP and RFLAGS. While a read waits for its value they are those before the instruction.
    ///
    /// # Errors
    /// `KvmIoctl`.
    pub fn registers(&self) -> Result<kvm_regs> {
        self.vcpu.registers()
    }

    /// Sets general registers, RIP and RFLAGS.
    ///
    /// # Errors
    /// `UnansweredRead` while an instruction waits for the value of a read, `KvmIoctl` when KVM refuses.
    pub fn set_registers(&mut self, registers: &kvm_regs) -> Result<()> {
        self.check_complete("set registers")?;
        self.vcpu.set_registers(registers)
    }

    /// Segment, descriptor-table and control registers.
    ///
    /// # Errors
    /// `KvmIoctl`.
    pub fn special_registers(&self) -> Result<kvm_sregs> {
        self.vcpu.special_registers()
    }

    /// Sets segment, descriptor-table and control registers.
    ///
    /// # Errors
    /// As [`set_registers`](Self::set_registers).
    pub fn set_special_registers(&mut self, registers: &kvm_sregs) -> Result<()> {
        self.check_complete("set special registers")?;
        self.vcpu.set_special_registers(registers)
    }

    /// Gives the unclaimed read that ended the last run its value, for every item of a string read.
    ///
    /// # Errors
    /// `UnansweredRead` when no read waits.
    pub fn reply(&mut self, value: u64) -> Result<()> {
        self.reply_with(|data, size| {
            devices::fill_items(data, size, value);
            Ok(())
        })
    }

    /// Gives the unclaimed read that ended the last run its bytes: item size times count.
    ///
    /// # Errors
    /// `UnansweredRead` when no read waits, `InvalidOption` when the number of bytes differs.
    pub fn reply_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.reply_with(|data, _| {
            if data.len() != bytes.len() {
                return Err(Error::new(
                    ErrorCode::InvalidOption,
                    format!(
                        "reply needs {} bytes (size times count), got {}",
                        data.len(),
                        bytes.len()
                    ),
                ));
            }
            data.copy_from_slice(bytes);
            Ok(())
        })
    }

    fn reply_with(&mut self, fill: impl FnOnce(&mut [u8], usize) -> Result<()>) -> Result<()> {
        let Pending::Reply(exit) = &self.pending else {
            return Err(Error::new(
                ErrorCode::UnansweredRead,
                "reply: the guest waits for no value; reply once, behind a run that ended with an unclaimed read",
            ));
        };
        let size = match exit {
            Exit::PioIn(access) => usize::from(access.size),
            _ => 8,
        };
        fill(self.vcpu.access_data(exit)?, size)?;
        self.pending = Pending::Answered;
        self.complete()
    }

    /// Lets KVM take over an answer, so that registers are final. What the same instruction asks next is kept.
    pub(crate) fn complete(&mut self) -> Result<()> {
        if !matches!(self.pending, Pending::Answered) {
            return Ok(());
        }
        self.pending = match self.vcpu.complete()? {
            None => Pending::Nothing,
            Some(exit) => {
                self.counters.count_exit(&exit);
                Pending::Open(exit, 0)
            }
        };
        Ok(())
    }

    fn check_complete(&self, what: &str) -> Result<()> {
        match self.pending {
            Pending::Nothing | Pending::Answered => Ok(()),
            Pending::Open(..) | Pending::Reply(_) => Err(Error::new(
                ErrorCode::UnansweredRead,
                format!(
                    "cannot {what}: an instruction of the guest waits for its I/O; reply or run on first"
                ),
            )),
        }
    }
}

/// Memory with the payload and the tables of the mode in it.
fn load(
    config: &MachineConfig,
    mut slots: Vec<MemorySlot>,
    boot: &BootConfig,
) -> Result<GuestMemory> {
    let tables = boot::tables(boot);
    if let Some(last) = tables.last() {
        let end = (last.gpa + last.bytes.len() as u64).next_multiple_of(PAGE_BYTES);
        slots.push(MemorySlot {
            gpa: layout::SYSTEM_START,
            bytes: end - layout::SYSTEM_START,
            read_only: false,
        });
    }
    let memory = GuestMemory::new(&slots)?;
    memory.write(config.payload.load_gpa, &config.payload.image)?;
    for table in &tables {
        memory.write(table.gpa, &table.bytes)?;
    }
    Ok(memory)
}

fn create_vm(host: &Host, mode: CpuMode) -> Result<VmFd> {
    let vm = host.create_vm()?;
    // Intel processors without unrestricted guests need pages of their own for modes without paging
    // (KVM API, KVM_SET_TSS_ADDR); other KVMs take the call and do nothing.
    if matches!(mode, CpuMode::Real | CpuMode::Protected) && vm.check_extension(Cap::SetTssAddr) {
        vm.set_tss_address(layout::TSS as usize)
            .map_err(Error::ioctl("KVM_SET_TSS_ADDR"))?;
    }
    Ok(vm)
}
