//! A small machine whose vCPU is put to a place for each question anew.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use boot::paging::PagingState;
use boot::state::{self, BootConfig, Protocol, cpuid};
use boot::{CpuMode, MemorySlot, Privilege, layout};
use kvm_bindings::{kvm_regs, kvm_sregs, kvm_vcpu_events};

use super::place::Place;
use crate::debug::fault::{Caught, caught_in, is_told};
use crate::debug::virtual_memory::VirtualMemory;
use crate::error::{Error, Result};
use crate::kvm::exit::Exit;
use crate::kvm::host::{Host, MOST_INTERRUPTIONS};
use crate::kvm::kick::{KickCause, KickHandle};
use crate::kvm::memory::GuestMemory;
use crate::kvm::vcpu::{Entry, Vcpu};
use crate::kvm::vcpu_debug::control::GuestDebug;
use crate::kvm::vm::{Vm, prepare_unpaged};
use crate::limits::BOOT_VCPU;

/// Questions of one place that take longer have no answer.
const PLACE_TIMEOUT: Duration = Duration::from_secs(3);

/// Where the guests begin.
pub(super) const CODE: u64 = 0x1000;
/// What they write to.
pub(super) const DATA: u64 = 0x2000;
/// One past their stack.
const STACK: u64 = 0x8000;
const MEMORY_BYTES: u64 = 0x1_0000;

/// `out %al, $0x10`: where a guest comes to its end, in any ring.
pub(super) const END: [u8; 2] = [0xe6, END_PORT];
const END_PORT: u8 = 0x10;

/// Real mode's interrupt table up to the vector of `int3`, which leads to a guest's end.
const REAL_VECTORS: u64 = 4;
const REAL_VECTOR_BYTES: u64 = 4;
const REAL_HANDLER: u64 = 0x800;

/// How an entry ended, and where.
#[derive(Debug)]
pub(super) struct Left {
    pub exit: Exit,
    /// Bytes from where the guest began.
    pub at: u64,
}

impl Left {
    /// Whether it was an exception that the host has asked for.
    pub fn is_debug(&self, vector: u8) -> bool {
        matches!(self.exit, Exit::Debug { exception, .. } if exception == u32::from(vector))
    }

    /// Whether the guest came to its end without anything that the host has asked for.
    pub fn is_end(&self) -> bool {
        matches!(&self.exit, Exit::PioOut(access) if access.port == u16::from(END_PORT))
    }
}

/// The machine. What fails is an error, which the caller takes for "does not work".
pub(super) struct Subject {
    vcpu: Vcpu,
    vm: Arc<Vm>,
    /// Of long mode, whose tables serve all.
    boot: BootConfig,
    /// As KVM has made the vCPU.
    reset: (kvm_sregs, kvm_vcpu_events),
    kick: KickHandle,
    place: Place,
}

impl Subject {
    pub fn new(host: &Host) -> Result<Self> {
        // Page tables of ring 3 serve ring 0, too.
        let boot = BootConfig {
            mode: CpuMode::Long,
            privilege: Privilege::User,
            protocol: Protocol::Plain,
            faults: true,
            entry_gpa: CODE,
            stack_top: STACK,
            top: MEMORY_BYTES,
        };
        let memory = memory(&boot)?;
        let fd = host.create_vm()?;
        prepare_unpaged(&fd)?;
        let vm = Arc::new(Vm::new(fd, memory)?);
        let place = cpuid::Place {
            index: BOOT_VCPU,
            count: 1,
            irqchip: false,
        };
        let cpuid = host.cpuid_of(None, place)?;
        let mut vcpu = Vcpu::new(host, &vm, BOOT_VCPU, &cpuid)?;
        let reset = (vcpu.special_registers()?, vcpu.events()?);
        Ok(Self {
            vcpu,
            vm,
            boot,
            reset,
            kick: KickHandle::new(),
            place: Place::Real,
        })
    }

    /// Goes to a place, where questions have an answer until the alarm goes.
    pub fn go(&mut self, place: Place) -> Result<Alarm> {
        self.kick = KickHandle::new();
        self.place = place;
        Alarm::set(self.kick.clone())
    }

    /// Begins a guest, which is watched for nothing.
    pub fn begin(&mut self, code: &[&[u8]]) -> Result<kvm_regs> {
        self.vcpu.set_debug(&GuestDebug::default())?;
        self.vcpu.complete()?;
        let memory = self.vm.memory();
        for vector in 0..REAL_VECTORS {
            let at = vector * REAL_VECTOR_BYTES;
            memory.write(at, &(REAL_HANDLER as u32).to_le_bytes())?;
        }
        memory.write(REAL_HANDLER, &END)?;
        memory.write(CODE, &[code.concat(), END.to_vec()].concat())?;
        let mode = match self.place {
            Place::Real => CpuMode::Real,
            Place::Protected => CpuMode::Protected,
            Place::Long | Place::User => CpuMode::Long,
        };
        let is_user = self.place == Place::User;
        let boot = BootConfig {
            mode,
            privilege: if is_user {
                Privilege::User
            } else {
                Privilege::Kernel
            },
            faults: is_user,
            entry_gpa: CODE,
            stack_top: STACK,
            ..self.boot
        };
        let registers = kvm_regs {
            rbx: DATA,
            rbp: DATA,
            ..state::registers(&boot)
        };
        let (special, events) = &self.reset;
        let special = state::special_registers(&boot, None, *special);
        self.vcpu.stage(&registers, &special, events)?;
        Ok(registers)
    }

    /// Replaces one byte of the guest.
    pub fn patch(&self, at: u64, byte: u8) -> Result<()> {
        self.vm.memory().write(CODE + at, &[byte])
    }

    pub const fn vcpu(&mut self) -> &mut Vcpu {
        &mut self.vcpu
    }

    /// Enters the guest until an exit.
    pub fn enter(&mut self) -> Result<Left> {
        let page = Arc::clone(self.vcpu.page());
        let attached = self.kick.attach(BOOT_VCPU, &page)?;
        for _ in 0..MOST_INTERRUPTIONS {
            if self.kick.requested().is_some() {
                break;
            }
            attached.enter();
            let entry = self.vcpu.enter();
            attached.leave();
            attached.acknowledge();
            // A signal may be for something else.
            if let Entry::Exit(exit) = entry? {
                let rip = self.vcpu.registers()?.rip;
                return Ok(Left {
                    exit,
                    at: rip.wrapping_sub(CODE),
                });
            }
        }
        Err(Error::internal(
            "a guest of a probe did not come to an exit",
        ))
    }

    /// What the trap table was told, if it was.
    pub fn caught(&mut self, left: &Left) -> Result<Option<Caught>> {
        if !is_told(&left.exit) {
            return Ok(None);
        }
        let (registers, special) = (self.vcpu.registers()?, self.vcpu.special_registers()?);
        let state = PagingState::new(&special, self.vcpu.paging);
        let memory = VirtualMemory::new(state, self.vm.memory());
        Ok(caught_in(&registers, &special, &memory))
    }
}

/// Memory for guests, and the system slot.
fn memory(boot: &BootConfig) -> Result<GuestMemory> {
    let slot = |gpa, bytes| MemorySlot {
        gpa,
        bytes,
        read_only: false,
    };
    let memory = GuestMemory::new(&[
        slot(0, MEMORY_BYTES),
        slot(layout::SYSTEM_START, layout::system_bytes(boot.top)),
    ])?;
    for table in state::tables(boot) {
        memory.write(table.gpa, &table.bytes)?;
    }
    Ok(memory)
}

/// Ends the entries of a place that takes too long, until it is dropped.
pub(super) struct Alarm {
    /// Nothing is ever sent.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Alarm {
    fn set(kick: KickHandle) -> Result<Self> {
        let (stop, stopped) = channel();
        let ring = move || {
            if stopped.recv_timeout(PLACE_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
                kick.kick(KickCause::Timeout);
            }
        };
        let thread = thread::Builder::new()
            .name("vmexit-probe".into())
            .spawn(ring);
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread.map_err(Error::io("pthread_create"))?),
        })
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing that could panic.
            let _ = thread.join();
        }
    }
}
