//! What a machine is made of: plain values, checked once, here.

mod payload;

use std::borrow::Cow;

use boot::{CpuMode, Faults, Format, MemorySlot, Privilege, Screen, layout};

use crate::bus::RouteConfig;
use crate::disks::{self, DiskConfig};
use crate::error::{Error, ErrorCode, Result};
use crate::limits::{
    MAX_CARDS, MAX_GPA, MAX_MEMORY_BYTES, MAX_PORTS, MAX_SCREEN_HEIGHT, MAX_SCREEN_WIDTH,
    MAX_SLOTS, MAX_VCPUS, MIN_SCREEN_SIDE, PAGE_BYTES,
};
use crate::user::UserConfig;
pub use payload::Payload;

/// Everything that is fixed when a machine is made. Images are read where they are, and not kept.
#[derive(Clone, Debug)]
pub struct MachineConfig<'a> {
    /// The mode of the first instruction, for a flat image; the other formats determine it.
    pub mode: Option<CpuMode>,
    /// The ring of the first instruction.
    pub privilege: Privilege,
    /// What becomes of faults; without it they are reported for guests of ring 3 with one vCPU.
    pub faults: Option<Faults>,
    /// Bytes of slot 0, which starts at gpa 0.
    pub memory_bytes: u64,
    /// Further slots, outside slot 0.
    pub slots: Vec<MemorySlot>,
    /// The guest program.
    pub payload: Payload<'a>,
    /// What answers which port and which address.
    pub routes: Vec<RouteConfig>,
    /// How many vCPUs there are.
    pub vcpus: u32,
    /// Whether the kernel emulates PIC, IOAPIC, local APICs and PIT (KVM API,
    /// `KVM_CREATE_IRQCHIP`). A halted vCPU then waits in the kernel, and all but the first wait
    /// for INIT and SIPI.
    pub irqchip: bool,
    /// Whether there is a serial port, COM1.
    pub serial: bool,
    /// Whether the rest of a PC is there: keyboard controller, clock, power and reset registers,
    /// ACPI tables. Unclaimed ports and addresses are then an empty bus.
    pub pc: bool,
    /// The disks, in the order in which the guest finds them. They need `pc`.
    pub disks: Vec<DiskConfig>,
    /// What the guest is shown on; it needs `pc`.
    pub screen: Option<Screen>,
    /// The addresses of the network cards.
    pub network: Vec<[u8; 6]>,
    /// The names of the console ports beside the console, which is there with them.
    pub ports: Option<Vec<String>>,
    /// Its payload is a native Linux program, or a library, for ring 3.
    pub user: Option<UserConfig>,
}

impl<'a> MachineConfig<'a> {
    /// A machine of 2 MiB that starts `image` at gpa 0, with no route.
    pub fn new(mode: CpuMode, image: impl Into<Cow<'a, [u8]>>) -> Self {
        Self {
            mode: Some(mode),
            privilege: Privilege::Kernel,
            faults: None,
            memory_bytes: 2 << 20,
            slots: Vec::new(),
            payload: Payload {
                image: image.into(),
                ..Payload::default()
            },
            routes: Vec::new(),
            vcpus: 1,
            irqchip: false,
            serial: false,
            pc: false,
            disks: Vec::new(),
            screen: None,
            network: Vec::new(),
            ports: None,
            user: None,
        }
    }

    /// Slot 0, the further ones, the ROM of firmware, and that of a screen's pixels.
    pub fn all_slots(&self) -> Vec<MemorySlot> {
        let main = MemorySlot {
            gpa: 0,
            bytes: self.memory_bytes,
            read_only: false,
        };
        std::iter::once(main)
            .chain(self.slots.iter().copied())
            .chain(self.payload.rom().ok().flatten())
            .chain(self.screen.and_then(Screen::slot))
            .collect()
    }

    /// Whether firmware starts it, and finds what a PC has for firmware.
    pub fn has_firmware(&self) -> bool {
        self.payload.format == Some(Format::Firmware)
    }

    /// One past the highest address that has memory or a route.
    pub fn top(&self) -> u64 {
        let slots = self.all_slots().into_iter().map(|slot| slot.end());
        let routes = self
            .routes
            .iter()
            .filter_map(|route| route.claim().gpa_end());
        slots.chain(routes).max().unwrap_or(0)
    }

    /// How many virtio devices there are.
    pub fn virtio_count(&self) -> usize {
        // The entropy device, disks, cards, and one for all ports.
        let others = self.disks.len() + self.network.len();
        usize::from(self.pc) + others + usize::from(self.ports.is_some())
    }

    /// Checks slots and payload, and says the format of its image, so that its content need not be
    /// asked again; the routes are checked when a machine is made.
    ///
    /// # Errors
    /// `InvalidOption`, `Limit` or `Payload`, naming the option, what it must be and what it is.
    pub fn check(&self) -> Result<Format> {
        self.check_machine()?;
        if self.user.is_some() {
            return Ok(Format::Elf);
        }
        self.check_payload()
    }

    /// The same but for the payload.
    pub(crate) fn check_machine(&self) -> Result<()> {
        if let Some(mode) = self.mode {
            self.check_privilege(mode)?;
        }
        if self.pc && !self.irqchip {
            return Err(invalid("pc needs irqchip: true, got false".into()));
        }
        disks::check(&self.disks, self.pc)?;
        self.check_screen()?;
        check_size("memoryBytes", self.memory_bytes)?;
        if self.pc && self.memory_bytes < layout::FIRMWARE_END {
            let (least, got) = (layout::FIRMWARE_END, self.memory_bytes);
            return Err(invalid(format!(
                "pc needs memoryBytes of at least {least}, as a PC's tables lie below 1 MiB, got {got}"
            )));
        }
        if self.memory_bytes > MAX_MEMORY_BYTES {
            let got = self.memory_bytes;
            return Err(Error::new(
                ErrorCode::Limit,
                format!(
                    "memoryBytes must be at most {MAX_MEMORY_BYTES} (3 GiB), got {got}; put more into slots above 4 GiB"
                ),
            ));
        }
        if self.vcpus == 0 || self.vcpus > MAX_VCPUS {
            let got = self.vcpus;
            return Err(Error::new(
                ErrorCode::Limit,
                format!("vcpus must be 1 to {MAX_VCPUS}, got {got}"),
            ));
        }
        self.check_devices()?;
        self.check_slots()
    }

    /// The devices on a PC's bus.
    fn check_devices(&self) -> Result<()> {
        let ports = self.ports.as_deref();
        let wants = [
            ("network", !self.network.is_empty()),
            ("ports", ports.is_some()),
        ];
        if let Some((name, _)) = wants.iter().find(|(_, wants)| *wants && !self.pc) {
            return Err(invalid(format!("{name} needs pc: true, got false")));
        }
        let counts = [
            ("network", self.network.len(), MAX_CARDS),
            ("ports", ports.unwrap_or_default().len(), MAX_PORTS),
        ];
        for (name, got, most) in counts {
            if got > most {
                let message = format!("{name}: at most {most}, got {got}");
                return Err(Error::new(ErrorCode::Limit, message));
            }
        }
        Ok(())
    }

    /// An image may say its mode itself: then it is known only when it is loaded.
    pub(crate) fn check_privilege(&self, mode: CpuMode) -> Result<()> {
        if self.privilege == Privilege::User && mode != CpuMode::Long {
            let mode = mode.name();
            return Err(invalid(format!(
                "privilege 'user' needs mode 'long', got mode '{mode}'"
            )));
        }
        Ok(())
    }

    /// Whether the trap table is there for a machine that starts in a mode.
    ///
    /// # Errors
    /// `InvalidOption` where it cannot be.
    pub(crate) fn reports_faults(&self, mode: CpuMode, format: Format) -> Result<bool> {
        let is_plain = matches!(format, Format::Flat | Format::Elf);
        let is_default = is_plain && self.privilege == Privilege::User && self.vcpus == 1;
        match self.faults {
            Some(Faults::Off) => Ok(false),
            None => Ok(is_default),
            Some(Faults::Report) if mode == CpuMode::Real => Err(invalid(
                "faults 'report' needs mode 'protected', 'paged32' or 'long', got mode 'real'"
                    .into(),
            )),
            Some(Faults::Report) if self.vcpus > 1 => {
                let got = self.vcpus;
                Err(invalid(format!(
                    "faults 'report' needs vcpus: 1, as vCPUs share a stack for faults, got {got}"
                )))
            }
            Some(Faults::Report) => Ok(true),
        }
    }

    fn check_screen(&self) -> Result<()> {
        let Some(screen) = self.screen else {
            return Ok(());
        };
        if !self.pc {
            return Err(invalid("screen needs pc: true, got false".into()));
        }
        let Screen::Pixels { width, height } = screen else {
            return Ok(());
        };
        for (name, got, most) in [
            ("width", width, MAX_SCREEN_WIDTH),
            ("height", height, MAX_SCREEN_HEIGHT),
        ] {
            if !(MIN_SCREEN_SIDE..=most).contains(&got) {
                return Err(invalid(format!(
                    "screen.{name} must be {MIN_SCREEN_SIDE} to {most}, got {got}"
                )));
            }
        }
        Ok(())
    }

    fn check_slots(&self) -> Result<()> {
        // A machine of a snapshot has its ROM among the further slots.
        let rom = self.has_firmware() && self.payload.image.is_empty();
        if self.slots.len() > MAX_SLOTS + usize::from(rom) {
            let got = self.slots.len();
            return Err(Error::new(
                ErrorCode::Limit,
                format!("slots: at most {MAX_SLOTS}, got {got}"),
            ));
        }
        for (index, slot) in self.slots.iter().enumerate() {
            let name = format!("slots[{index}]");
            check_size(&format!("{name}.bytes"), slot.bytes)?;
            if !slot.gpa.is_multiple_of(PAGE_BYTES) {
                return Err(invalid(format!(
                    "{name}.gpa must be a multiple of {PAGE_BYTES}, got {:#x}",
                    slot.gpa
                )));
            }
            if slot
                .gpa
                .checked_add(slot.bytes)
                .is_none_or(|end| end > MAX_GPA)
            {
                return Err(Error::new(
                    ErrorCode::Limit,
                    format!(
                        "{name} must end at or below {MAX_GPA:#x}, got gpa {:#x} and {} bytes",
                        slot.gpa, slot.bytes
                    ),
                ));
            }
            if slot.gpa < layout::RESERVED_END && slot.end() > layout::RESERVED_START {
                return Err(invalid(format!(
                    "{name} ({:#x}..{:#x}) overlaps the reserved range {:#x}..{:#x}",
                    slot.gpa,
                    slot.end(),
                    layout::RESERVED_START,
                    layout::RESERVED_END
                )));
            }
        }
        let mut sorted: Vec<_> = self.all_slots().into_iter().enumerate().collect();
        sorted.sort_by_key(|(_, slot)| slot.gpa);
        for pair in sorted.windows(2) {
            if let [(a, low), (b, high)] = pair
                && low.end() > high.gpa
            {
                return Err(invalid(format!(
                    "{} overlaps {}",
                    self.slot_name(*b),
                    self.slot_name(*a)
                )));
            }
        }
        Ok(())
    }

    /// Of one of `all_slots`.
    fn slot_name(&self, index: usize) -> String {
        let rom = usize::from(self.payload.rom().is_ok_and(|rom| rom.is_some()));
        match index.checked_sub(1) {
            None => "memoryBytes".into(),
            Some(index) if index < self.slots.len() => format!("slots[{index}]"),
            Some(index) if index < self.slots.len() + rom => "payload.image".into(),
            Some(_) => "screen".into(),
        }
    }

    /// A flat image does not say where it goes; the loader checks the others.
    fn check_payload(&self) -> Result<Format> {
        let Payload { image, format, .. } = &self.payload;
        if image.is_empty() {
            return Err(payload(
                "payload.image must not be empty, got 0 bytes".into(),
            ));
        }
        let format = format.map_or_else(|| Format::of(image), Ok)?;
        match format {
            Format::Flat => self.check_flat()?,
            Format::Firmware => self.payload.check_firmware(self.memory_bytes)?,
            _ => {}
        }
        self.payload.check_files(format, self.pc)?;
        Ok(format)
    }

    fn check_flat(&self) -> Result<()> {
        let Payload {
            image,
            load_gpa,
            entry_gpa,
            ..
        } = &self.payload;
        let Some(mode) = self.mode else {
            return Err(invalid(
                "mode must be given for a flat image, got none; it does not say its mode itself, and this one has no whole header of another format"
                    .into(),
            ));
        };
        let (load, bytes) = (*load_gpa, image.len() as u64);
        let entry = entry_gpa.unwrap_or(load);
        let slots = self.all_slots();
        let holds = |slot: &&MemorySlot| {
            load >= slot.gpa && load.checked_add(bytes).is_some_and(|end| end <= slot.end())
        };
        let Some(slot) = slots.iter().find(holds) else {
            return Err(payload(format!(
                "payload: {bytes} bytes at loadGpa {load:#x} do not fit into memory of {} bytes; raise memoryBytes or move loadGpa",
                self.memory_bytes
            )));
        };
        if entry < slot.gpa || entry >= slot.end() {
            return Err(payload(format!(
                "payload.entryGpa must lie in the payload's slot {:#x}..{:#x}, got {entry:#x}",
                slot.gpa,
                slot.end()
            )));
        }
        let end = mode.entry_end();
        if entry >= end {
            let mode = mode.name();
            return Err(payload(format!(
                "payload.entryGpa must be below {end:#x} in mode '{mode}', got {entry:#x}"
            )));
        }
        Ok(())
    }
}

fn check_size(name: &str, bytes: u64) -> Result<()> {
    if bytes == 0 || !bytes.is_multiple_of(PAGE_BYTES) {
        return Err(invalid(format!(
            "{name} must be a positive multiple of {PAGE_BYTES}, got {bytes}"
        )));
    }
    Ok(())
}

fn invalid(message: String) -> Error {
    Error::new(ErrorCode::InvalidOption, message)
}

fn payload(message: String) -> Error {
    Error::new(ErrorCode::Payload, message)
}
