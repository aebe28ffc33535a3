//! A machine's configuration, from JavaScript's words to Rust's.

use std::borrow::Cow;
use std::time::Duration;

use napi::bindgen_prelude::{BigInt, Uint8Array};
use napi_derive::napi;
use vmm::limits::MAX_TIMEOUT_MS;
use vmm::{
    Base, CpuMode, Error, ErrorCode, Format, MachineConfig, MemorySlot, Payload, Privilege, Result,
    RouteConfig, RouteTarget, RunLimits,
};

use crate::guests;

/// A machine, with every default filled in. Numbers are whole and not negative.
#[napi(object)]
pub struct NativeConfig {
    /// `real`, `protected`, `paged32` or `long`; an image that is not flat says it itself.
    pub mode: Option<String>,
    /// `kernel` or `user`.
    pub privilege: String,
    /// Bytes of slot 0, which begins at gpa 0: a multiple of 4096, up to 3 GiB.
    pub memory_bytes: f64,
    /// Further memory, up to 16 slots.
    pub slots: Vec<NativeSlot>,
    /// The guest program.
    pub payload: NativePayload,
    /// Who answers what, up to 256 routes.
    pub routes: Vec<NativeRoute>,
    /// How many vCPUs.
    pub vcpus: u32,
    /// Whether the kernel plays PIC, IOAPIC, local APICs and PIT.
    pub irqchip: bool,
    /// Whether there is a serial port, COM1.
    pub serial: bool,
    /// Whether the rest of a PC is there.
    pub pc: bool,
}

/// Memory beside slot 0 (KVM API, `KVM_SET_USER_MEMORY_REGION`).
#[napi(object)]
pub struct NativeSlot {
    /// First guest physical address, a multiple of 4096.
    pub gpa: f64,
    /// Size, a multiple of 4096.
    pub bytes: f64,
    /// Whether the guest's writes exit (`KVM_MEM_READONLY`).
    pub read_only: bool,
}

/// A guest program: an image of its own, or an embedded guest by name and mode.
#[napi(object)]
pub struct NativePayload {
    /// The image.
    pub image: Option<Uint8Array>,
    /// `flat`, `elf`, `multiboot`, `pvh` or `bzimage`; without it the image's content says.
    pub format: Option<String>,
    /// The name of an embedded guest.
    pub guest: Option<String>,
    /// Where a flat image's first byte lies.
    pub load_gpa: f64,
    /// Where execution starts; without it where the image says, a flat one at its first byte.
    pub entry_gpa: Option<f64>,
    /// The command line, for multiboot, PVH and bzImage.
    pub cmdline: Option<String>,
    /// The initial RAM disk, for PVH and bzImage.
    pub initrd: Option<Uint8Array>,
    /// For multiboot.
    pub modules: Vec<NativeModule>,
}

/// A multiboot module.
#[napi(object)]
pub struct NativeModule {
    /// Its bytes.
    pub image: Uint8Array,
    /// The string that goes with it.
    pub string: String,
}

/// A route; exactly one of `port` and `gpa` is there.
#[napi(object)]
pub struct NativeRoute {
    /// First I/O port, 0 to 0xffff.
    pub port: Option<u32>,
    /// First guest physical address.
    pub gpa: Option<f64>,
    /// Ports or bytes, 1 to 2^32.
    pub length: f64,
    /// `console`, `constant`, `discard`, `count`, `stop`, `device`, `queue`, `coalesce` or `event`.
    pub to: String,
    /// For `constant`, and what reads of `queue` and `coalesce` give.
    pub value: Option<BigInt>,
    /// For `event`: only writes of this value count.
    pub datamatch: Option<BigInt>,
    /// For `event` with `datamatch`: bytes of the write, 1, 2, 4 or 8.
    pub size: Option<u32>,
    /// For `console`: whether a handler gets the bytes.
    pub deliver: Option<bool>,
}

/// How long a run may take.
#[napi(object)]
pub struct NativeRunLimits {
    /// The run ends as `timeout` after so many milliseconds, fractions included; absent: never.
    pub timeout_ms: Option<f64>,
    /// How often the thread looks around, in milliseconds; absent: only at exits.
    pub tick_ms: Option<f64>,
    /// Whether the time inside `KVM_RUN` is taken.
    pub time_kvm_run: Option<bool>,
}

impl NativeConfig {
    pub fn parse(self) -> Result<MachineConfig> {
        let mode = self
            .mode
            .map(|mode| named("mode", &mode, CpuMode::ALL, CpuMode::name))
            .transpose()?;
        let rings = [Privilege::Kernel, Privilege::User];
        let privilege = named("privilege", &self.privilege, rings, Privilege::name)?;
        Ok(MachineConfig {
            mode,
            privilege,
            memory_bytes: self.memory_bytes as u64,
            slots: self.slots.iter().map(NativeSlot::parse).collect(),
            payload: self.payload.parse(mode, privilege)?,
            routes: self
                .routes
                .into_iter()
                .map(NativeRoute::parse)
                .collect::<Result<_>>()?,
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
    fn parse(self, mode: Option<CpuMode>, privilege: Privilege) -> Result<Payload> {
        if let Some(guest) = self.guest {
            return Ok(Payload {
                image: Cow::Borrowed(guests::find(&guest, mode, privilege)?),
                ..Payload::default()
            });
        }
        let image = self.image.map(|image| image.to_vec());
        let format = self
            .format
            .map(|format| named("payload.format", &format, Format::ALL, Format::name));
        let modules = self.modules.iter();
        Ok(Payload {
            image: Cow::Owned(image.unwrap_or_default()),
            format: format.transpose()?,
            load_gpa: self.load_gpa as u64,
            entry_gpa: self.entry_gpa.map(|gpa| gpa as u64),
            command_line: self.cmdline.unwrap_or_default().into_bytes(),
            initrd: self.initrd.map(|bytes| bytes.to_vec()),
            modules: modules
                .map(|module| (module.image.to_vec(), module.string.clone().into_bytes()))
                .collect(),
        })
    }
}

impl NativeRoute {
    fn parse(self) -> Result<RouteConfig> {
        let base = match (self.port, self.gpa) {
            (Some(port), _) => Base::Port(u16::try_from(port).unwrap_or(u16::MAX)),
            (None, gpa) => Base::Gpa(gpa.unwrap_or_default() as u64),
        };
        let value = self.value.map(|value| value.get_u64().1);
        let datamatch = self.datamatch.map(|value| value.get_u64().1);
        let target = match self.to.as_str() {
            "console" => RouteTarget::Console {
                deliver: self.deliver.unwrap_or_default(),
            },
            "constant" => RouteTarget::Constant(value.unwrap_or_default()),
            "discard" => RouteTarget::Discard,
            "count" => RouteTarget::Count,
            "stop" => RouteTarget::Stop,
            "device" => RouteTarget::Device,
            "queue" => RouteTarget::Queue { read_value: value },
            "coalesce" => RouteTarget::Coalesce { read_value: value },
            "event" => RouteTarget::Event {
                datamatch: datamatch.zip(self.size.map(|size| size as u8)),
            },
            other => return Err(invalid(format!("route: no target is called '{other}'"))),
        };
        Ok(RouteConfig {
            base,
            length: self.length as u64,
            target,
        })
    }
}

impl NativeRunLimits {
    pub fn parse(&self) -> RunLimits {
        RunLimits {
            timeout: self.timeout_ms.map(milliseconds),
            tick: self.tick_ms.map(milliseconds),
            time_kvm_run: self.time_kvm_run.unwrap_or_default(),
        }
    }
}

/// A time from JavaScript, within what a timer takes.
pub fn milliseconds(ms: f64) -> Duration {
    Duration::from_secs_f64(ms.clamp(0.0, MAX_TIMEOUT_MS) / 1e3)
}

fn named<T: Copy>(
    option: &str,
    got: &str,
    all: impl IntoIterator<Item = T>,
    name: fn(T) -> &'static str,
) -> Result<T> {
    let mut names = Vec::new();
    for item in all {
        if name(item) == got {
            return Ok(item);
        }
        names.push(format!("'{}'", name(item)));
    }
    Err(invalid(format!(
        "{option} must be one of {}, got '{got}'",
        names.join(", ")
    )))
}

fn invalid(message: String) -> Error {
    Error::new(ErrorCode::InvalidOption, message)
}
