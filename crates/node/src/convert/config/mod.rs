//! A machine's configuration, converted from JavaScript's types to Rust's.

mod disks;
mod payload;
mod routes;
mod screen;
mod user;

use std::time::Duration;

use napi_derive::napi;
use vmm::limits::MAX_TIMEOUT_MS;
use vmm::{
    CpuMode, Faults, HitKind, MachineConfig, MemorySlot, Privilege, Result, RunLimits, Steps,
};

pub use self::disks::NativeDisk;
pub use self::payload::NativePayload;
pub use self::routes::NativeRoute;
use self::screen::NativeScreen;
pub use self::screen::NativeScreenSize;
use self::user::NativeUser;
use crate::convert::words::{NativeFaults, NativeMode, NativePrivilege};

/// A machine, with every default filled in. Numbers are whole and not negative.
#[napi(object)]
pub struct NativeConfig {
    /// The mode of the first instruction. Only a flat image needs it: ELF32, multiboot and PVH
    /// start in `'protected'`, ELF64 in `'long'`, a bzImage in `'long'` if it can; `'real'` chooses
    /// its 16-bit entry.
    pub mode: Option<NativeMode>,
    /// The privilege of the first instruction, default `'kernel'`; `'user'` needs mode `'long'`.
    pub privilege: NativePrivilege,
    /// What becomes of a fault that the guest has no handler for: `'report'` ends the run with
    /// reason `'fault'`, by a trap table of ours, which is the guest's IDT until it loads its own;
    /// `'off'` leaves it to the processor, which shuts down. Default `'report'` for flat and ELF
    /// images with privilege `'user'` and one vCPU, else `'off'`. Mode `'real'` and several vCPUs
    /// have no trap table.
    pub faults: Option<NativeFaults>,
    /// Bytes of memory from address 0 on: a multiple of 4096, up to 3 GiB, default 2 MiB. Committed
    /// when touched.
    pub memory_bytes: f64,
    /// Further memory, up to 16 slots.
    pub slots: Vec<NativeSlot>,
    /// The guest program.
    pub payload: NativePayload,
    /// What answers which access, up to 256 routes.
    pub routes: Vec<NativeRoute>,
    /// Number of vCPUs, 1 to 64, default 1. Under `run()` each runs on a thread of its own;
    /// `runSync()` runs machines with one. With an irqchip all but the first wait for INIT and
    /// SIPI, as on a PC. Without one all start at the payload's entry, with their index in RDI.
    pub vcpus: u32,
    /// Whether the kernel emulates PIC, IOAPIC, local APICs and PIT (KVM API,
    /// `KVM_CREATE_IRQCHIP`). A halted vCPU then waits for an interrupt; without an irqchip `hlt`
    /// ends the run. Where the irqchip answers (ports 0x20, 0x21, 0x40 to 0x43, 0x61, 0xa0, 0xa1,
    /// 0x4d0 and 0x4d1, the pages 0xfec00000 and 0xfee00000) routes are refused. Default false.
    pub irqchip: bool,
    /// Whether there is a serial port, COM1 (port 0x3f8, line 4): `vm.serial`. Default: as `pc`.
    pub serial: bool,
    /// Whether the rest of a PC is there, as a kernel expects it: keyboard controller, clock, power
    /// and reset registers, ACPI tables at 0xe0000. Unclaimed accesses then meet an empty bus:
    /// reads are all ones, and `onExit` is not asked. It needs an irqchip, which then is the
    /// default. Default false.
    pub pc: bool,
    /// virtio disks, up to 6, in the order in which the guest finds them. They need `pc`.
    pub disks: Vec<NativeDisk>,
    /// What the guest is shown on, `vm.screen`: `'text'` for 80 columns and 25 lines at 0xb8000, or
    /// the size of a framebuffer at 0xf0000000. It needs `pc`. Default none.
    #[napi(ts_type = "'text' | NativeScreenSize")]
    pub screen: Option<NativeScreen>,
    /// Network cards, up to 4. They need `pc`.
    pub network: Vec<NativeCard>,
    /// Names of console ports beside the console, up to 15. They need `pc`.
    pub ports: Option<Vec<String>>,
    /// The payload is a native program or library, an ELF image of Linux, and runs in ring 3.
    pub user: Option<NativeUser>,
}

/// A network card.
#[napi(object)]
pub struct NativeCard {
    /// Its address: six bytes in hexadecimal, separated by colons.
    pub mac: String,
}

/// Memory beside slot 0 (KVM API, `KVM_SET_USER_MEMORY_REGION`).
#[napi(object)]
pub struct NativeSlot {
    /// First guest physical address, a multiple of 4096, below 512 GiB, outside 0xfe000000 to
    /// 0xfeffffff.
    pub gpa: f64,
    /// Size in bytes, a multiple of 4096. Committed when touched.
    pub bytes: f64,
    /// The guest's writes exit as `mmio-write` (`KVM_MEM_READONLY`); `vm.memory.write` still works.
    /// Default false.
    pub read_only: bool,
}
/// How long a run may take. It crosses as numbers; this is what they mean.
#[napi(object)]
#[allow(dead_code)] // TypeScript's types are made of it
pub struct NativeRunLimits {
    /// Milliseconds after which the run ends with reason `'timeout'`: 0 to 4294967295, fractions
    /// included. Default: no limit.
    pub timeout_ms: Option<f64>,
    /// Adds the time inside `KVM_RUN` to `vm.counters().kvmRunMs`, at the price of two clock
    /// readings per exit. Default false.
    pub time_kvm_run: Option<bool>,
}
impl NativeConfig {
    /// Images stay where they are.
    pub fn parse(&self) -> Result<MachineConfig<'_>> {
        let mode = self.mode.map(CpuMode::from);
        let privilege = Privilege::from(self.privilege);
        Ok(MachineConfig {
            mode,
            privilege,
            faults: self.faults.map(Faults::from),
            memory_bytes: self.memory_bytes as u64,
            slots: self.slots.iter().map(NativeSlot::parse).collect(),
            payload: self.payload.parse(mode, privilege)?,
            routes: self.routes.iter().map(NativeRoute::parse).collect(),
            vcpus: self.vcpus,
            irqchip: self.irqchip,
            serial: self.serial,
            pc: self.pc,
            disks: self.disks.iter().map(NativeDisk::parse).collect(),
            screen: self.screen.as_ref().map(screen::parse),
            network: self.network.iter().map(NativeCard::parse).collect(),
            ports: self.ports.clone(),
            user: self.user.as_ref().map(NativeUser::parse).transpose()?,
        })
    }
}

impl NativeCard {
    /// What is no number is 0; TypeScript has checked it.
    fn parse(&self) -> [u8; 6] {
        let mut mac = [0; 6];
        for (byte, text) in mac.iter_mut().zip(self.mac.split(':')) {
            *byte = u8::from_str_radix(text, 16).unwrap_or_default();
        }
        mac
    }

    fn of(mac: &[u8; 6]) -> Self {
        let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
        Self { mac }
    }
}

impl NativeSlot {
    const fn parse(&self) -> MemorySlot {
        MemorySlot {
            gpa: self.gpa as u64,
            bytes: self.bytes as u64,
            read_only: self.read_only,
        }
    }
}

/// What a machine of a snapshot is made of.
#[napi(object, object_from_js = false)]
pub struct NativeDescription {
    /// As in `NativeConfig`.
    pub faults: Option<NativeFaults>,
    /// As in `NativeConfig`.
    pub memory_bytes: f64,
    /// As in `NativeConfig`.
    pub slots: Vec<NativeSlot>,
    /// As in `NativeConfig`.
    pub vcpus: u32,
    /// As in `NativeConfig`.
    pub irqchip: bool,
    /// As in `NativeConfig`.
    pub serial: bool,
    /// As in `NativeConfig`.
    pub pc: bool,
    /// As in `NativeConfig`.
    #[napi(ts_type = "'text' | NativeScreenSize")]
    pub screen: Option<NativeScreen>,
    /// As in `NativeConfig`.
    pub network: Vec<NativeCard>,
    /// As in `NativeConfig`.
    pub ports: Option<Vec<String>>,
    /// As in `NativeConfig`, in the order of their ids.
    pub routes: Vec<NativeRoute>,
    /// As in `NativeConfig`.
    pub disks: Vec<NativeDisk>,
}

impl NativeDescription {
    pub fn of(config: &MachineConfig<'_>) -> Self {
        let slots = config.slots.iter();
        Self {
            faults: config.faults.map(NativeFaults::from),
            memory_bytes: config.memory_bytes as f64,
            slots: slots
                .map(|slot| NativeSlot {
                    gpa: slot.gpa as f64,
                    bytes: slot.bytes as f64,
                    read_only: slot.read_only,
                })
                .collect(),
            vcpus: config.vcpus,
            irqchip: config.irqchip,
            serial: config.serial,
            pc: config.pc,
            screen: config.screen.map(screen::of),
            network: config.network.iter().map(NativeCard::of).collect(),
            ports: config.ports.clone(),
            routes: config.routes.iter().map(NativeRoute::of).collect(),
            disks: config.disks.iter().map(NativeDisk::of).collect(),
        }
    }
}

/// What bounds a run: times in milliseconds, negative for none.
pub fn limits(timeout_ms: f64, tick_ms: f64, time_kvm_run: bool) -> RunLimits {
    let time = |ms: f64| (ms >= 0.0).then(|| milliseconds(ms));
    RunLimits {
        timeout: time(timeout_ms),
        tick: time(tick_ms),
        time_kvm_run,
        exits: None,
        steps: None,
    }
}

/// The instructions that a run may execute, negative for all: the limit of the run, or steps of one
/// vCPU if its index is not negative.
pub fn steps(count: f64, vcpu: i32, asks: bool) -> Option<Steps> {
    let vcpu = u32::try_from(vcpu).ok();
    let ends = match vcpu {
        Some(_) => HitKind::Step,
        None => HitKind::InstructionLimit,
    };
    (count >= 0.0).then_some(Steps {
        count: count as u64,
        vcpu,
        ends,
        asks,
    })
}

/// A time from JavaScript, within what a timer takes.
pub fn milliseconds(ms: f64) -> Duration {
    Duration::from_secs_f64(ms.clamp(0.0, MAX_TIMEOUT_MS) / 1e3)
}
