//! A machine's configuration, converted from JavaScript's types to Rust's.

use std::borrow::Cow;
use std::time::Duration;

use napi::bindgen_prelude::{BigInt, Uint8Array};
use napi_derive::napi;
use vmm::limits::MAX_TIMEOUT_MS;
use vmm::{
    Base, CpuMode, Format, MachineConfig, MemorySlot, Payload, Privilege, Result, RouteConfig,
    RouteTarget, RunLimits, each_plain_target,
};

use crate::convert::words::{NativeFormat, NativeMode, NativePrivilege};
use crate::guests;

/// A machine, with every default filled in. Numbers are whole and not negative.
#[napi(object)]
pub struct NativeConfig {
    /// The mode of the first instruction. Only a flat image needs it: ELF32, multiboot and PVH
    /// start in `'protected'`, ELF64 in `'long'`, a bzImage in `'long'` if it can.
    pub mode: Option<NativeMode>,
    /// The privilege of the first instruction, default `'kernel'`; `'user'` needs mode `'long'`.
    pub privilege: NativePrivilege,
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
}

/// Memory beside slot 0 (KVM API, `KVM_SET_USER_MEMORY_REGION`).
#[napi(object)]
pub struct NativeSlot {
    /// First guest physical address, a multiple of 4096, below 512 GiB, outside 0xfe000000 to
    /// 0xffffffff.
    pub gpa: f64,
    /// Size in bytes, a multiple of 4096. Committed when touched.
    pub bytes: f64,
    /// The guest's writes exit as `mmio-write` (`KVM_MEM_READONLY`); `vm.memory.write` still works.
    /// Default false.
    pub read_only: bool,
}

/// A guest program: an image of its own, or an embedded guest by name and mode.
#[napi(object)]
pub struct NativePayload {
    /// The image.
    pub image: Option<Uint8Array>,
    /// `'flat'`: bytes without headers. `'elf'`: ELF32 or ELF64. `'multiboot'`: multiboot 1.
    /// `'pvh'`: an ELF kernel with a PVH entry. `'bzimage'`: a Linux kernel, boot protocol 2.06 or
    /// newer. Default: determined by the content.
    pub format: Option<NativeFormat>,
    /// The name of an embedded guest.
    pub guest: Option<String>,
    /// Guest physical address of a flat image's first byte, default 0. The whole image lies inside
    /// memory.
    pub load_gpa: f64,
    /// Guest physical address of the first instruction. Default: the image's own entry; for a flat
    /// image `loadGpa`. Below 1 MiB in real mode, below 4 GiB in 32 bits.
    pub entry_gpa: Option<f64>,
    /// The command line, for multiboot, PVH and bzImage. Default empty.
    pub cmdline: Option<String>,
    /// The initial RAM disk, for PVH and bzImage. It is copied.
    pub initrd: Option<Uint8Array>,
    /// For multiboot.
    pub modules: Vec<NativeModule>,
}

/// A multiboot module.
#[napi(object)]
pub struct NativeModule {
    /// Its bytes. They are copied.
    pub image: Uint8Array,
    /// Its string, default empty.
    pub string: String,
}

/// The kinds of routes, with the plain ones that the core names.
macro_rules! route_kinds {
    ({ $($plain:ident = $name:literal),+ }) => {
        /// Where the accesses of a route go.
        #[napi(string_enum = "lowercase")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum NativeRouteKind {
            Console,
            Constant,
            $(
                #[napi(value = $name)]
                $plain,
            )+
            Device,
            Queue,
            Coalesce,
            Event,
        }

        impl NativeRoute {
            fn target(&self) -> RouteTarget {
                let value = self.value.as_ref().map(|value| value.get_u64().1);
                match self.to {
                    NativeRouteKind::Console => RouteTarget::Console {
                        deliver: self.deliver.unwrap_or_default(),
                    },
                    NativeRouteKind::Constant => RouteTarget::Constant(value.unwrap_or_default()),
                    $(NativeRouteKind::$plain => RouteTarget::$plain,)+
                    NativeRouteKind::Device => RouteTarget::Device,
                    NativeRouteKind::Queue => RouteTarget::Queue { read_value: value },
                    NativeRouteKind::Coalesce => RouteTarget::Coalesce { read_value: value },
                    NativeRouteKind::Event => {
                        let match_value = self.datamatch.as_ref().map(|value| value.get_u64().1);
                        RouteTarget::Event {
                            datamatch: match_value.zip(self.size.map(|size| size as u8)),
                        }
                    }
                }
            }
        }
    };
}
each_plain_target!(route_kinds);

/// A route; exactly one of `port` and `gpa` is there.
#[napi(object)]
pub struct NativeRoute {
    /// First I/O port, 0 to 0xffff.
    pub port: Option<u32>,
    /// First guest physical address.
    pub gpa: Option<f64>,
    /// Ports or bytes, 1 to 2^32.
    pub length: f64,
    /// Where its accesses go.
    pub to: NativeRouteKind,
    /// For `constant`, and what reads of `queue` and `coalesce` give.
    pub value: Option<BigInt>,
    /// For `event`: only writes of this value count.
    pub datamatch: Option<BigInt>,
    /// For `event` with `datamatch`: bytes of the write, 1, 2, 4 or 8.
    pub size: Option<u32>,
    /// For `console`: whether a handler gets the bytes.
    pub deliver: Option<bool>,
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
            memory_bytes: self.memory_bytes as u64,
            slots: self.slots.iter().map(NativeSlot::parse).collect(),
            payload: self.payload.parse(mode, privilege)?,
            routes: self.routes.iter().map(NativeRoute::parse).collect(),
            vcpus: self.vcpus,
            irqchip: self.irqchip,
            serial: self.serial,
            pc: self.pc,
        })
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

impl NativePayload {
    fn parse(&self, mode: Option<CpuMode>, privilege: Privilege) -> Result<Payload<'_>> {
        if let Some(guest) = &self.guest {
            return Ok(Payload {
                image: Cow::Borrowed(guests::find(guest, mode, privilege)?),
                ..Payload::default()
            });
        }
        let modules = self.modules.iter();
        Ok(Payload {
            image: Cow::Borrowed(self.image.as_deref().unwrap_or_default()),
            format: self.format.map(Format::from),
            load_gpa: self.load_gpa as u64,
            entry_gpa: self.entry_gpa.map(|gpa| gpa as u64),
            command_line: self.cmdline.clone().unwrap_or_default().into_bytes(),
            initrd: self.initrd.as_deref().map(Cow::Borrowed),
            modules: modules
                .map(|NativeModule { image, string }| {
                    (Cow::Borrowed(&**image), string.clone().into_bytes())
                })
                .collect(),
        })
    }
}

impl NativeRoute {
    /// As JavaScript has it.
    fn of(config: &RouteConfig) -> Self {
        let (port, gpa) = match config.base {
            Base::Port(port) => (Some(u32::from(port)), None),
            Base::Gpa(gpa) => (None, Some(gpa as f64)),
        };
        let bare = |to| Self {
            port,
            gpa,
            length: config.length as f64,
            to,
            value: None,
            datamatch: None,
            size: None,
            deliver: None,
        };
        let with = |to, value: Option<u64>| Self {
            value: value.map(BigInt::from),
            ..bare(to)
        };
        match config.target {
            RouteTarget::Console { deliver } => Self {
                deliver: Some(deliver),
                ..bare(NativeRouteKind::Console)
            },
            RouteTarget::Constant(value) => with(NativeRouteKind::Constant, Some(value)),
            RouteTarget::Discard => bare(NativeRouteKind::Discard),
            RouteTarget::Count => bare(NativeRouteKind::Count),
            RouteTarget::Stop => bare(NativeRouteKind::Stop),
            RouteTarget::Device => bare(NativeRouteKind::Device),
            RouteTarget::Queue { read_value } => with(NativeRouteKind::Queue, read_value),
            RouteTarget::Coalesce { read_value } => with(NativeRouteKind::Coalesce, read_value),
            RouteTarget::Event { datamatch } => Self {
                datamatch: datamatch.map(|(value, _)| BigInt::from(value)),
                size: datamatch.map(|(_, size)| u32::from(size)),
                ..bare(NativeRouteKind::Event)
            },
        }
    }

    /// As the core wants it.
    pub fn parse(&self) -> RouteConfig {
        let base = match (self.port, self.gpa) {
            (Some(port), _) => Base::Port(u16::try_from(port).unwrap_or(u16::MAX)),
            (None, gpa) => Base::Gpa(gpa.unwrap_or_default() as u64),
        };
        RouteConfig {
            base,
            length: self.length as u64,
            target: self.target(),
        }
    }
}

/// What a machine of a snapshot is made of.
#[napi(object, object_from_js = false)]
pub struct NativeDescription {
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
    /// As in `NativeConfig`, in the order of their ids.
    pub routes: Vec<NativeRoute>,
}

impl NativeDescription {
    pub fn of(config: &MachineConfig<'_>) -> Self {
        let slots = config.slots.iter();
        Self {
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
            routes: config.routes.iter().map(NativeRoute::of).collect(),
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
    }
}

/// A time from JavaScript, within what a timer takes.
pub fn milliseconds(ms: f64) -> Duration {
    Duration::from_secs_f64(ms.clamp(0.0, MAX_TIMEOUT_MS) / 1e3)
}
