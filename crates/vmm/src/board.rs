//! The devices that a machine has besides its caller's routes: a serial port, what else a kernel
//! expects of a PC, and virtio devices.

use std::sync::Arc;

use boot::MemorySlot;
use boot::firmware::{
    self, CMOS_PORT, COM1_GSI, COM1_PORT, CONTROL_A_PORT, FW_CFG_PORT, I8042_PORT, KEYBOARD_GSI,
    PM1_PORT, RESET_PORT, SCI_GSI, VGA_PORT, VIRTIO_BYTES,
};
use devices::virtio::{Console, Net, Rng, VirtioDevice, VirtioMmio};
use devices::{
    Cmos, Com1, ControlA, Device, FwCfg, FwCfgNumbers, I8042, KeyboardPort, Level, Pm1,
    PowerButton, Remote, RemoteNic, RemotePort, Remotes, ResetControl, SerialPort, Trigger,
    VGA_PORTS, Vga, VgaPort,
};

use crate::bus::{Backend, Base, Claim, Route, RouteId, Row, Standing};
use crate::config::MachineConfig;
use crate::error::Result;
use crate::interrupts::Interrupts;
use crate::placement;

/// The host's ends of what the board has, usable from any thread while the machine runs.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    /// Of COM1.
    pub serial: Option<Arc<SerialPort>>,
    /// Of the keyboard of a PC.
    pub keyboard: Option<Arc<KeyboardPort>>,
    /// Of a PC.
    pub power_button: Option<Arc<PowerButton>>,
}

/// What the board claims: COM1 first, if there is one, whose place no route may take; the rest
/// gives way to the caller's routes. The ids follow those of the configuration's routes.
pub(crate) fn rows(config: &MachineConfig<'_>) -> Vec<Row> {
    let claim = |port, length| Claim {
        base: Base::Port(port),
        length,
    };
    let serial = config
        .serial
        .then(|| (claim(COM1_PORT, 8), Standing::Board));
    let pm1 = u64::from(Pm1::EVENT_BYTES + Pm1::CONTROL_BYTES);
    let pc = [
        claim(I8042_PORT, 5),
        claim(CMOS_PORT, 2),
        claim(PM1_PORT, pm1),
        claim(RESET_PORT, 1),
        claim(CONTROL_A_PORT, 1),
        claim(VGA_PORT, VGA_PORTS.into()),
    ];
    let pc = pc.into_iter().filter(|_| config.pc);
    let fw_cfg = claim(FW_CFG_PORT, FwCfg::BYTES.into());
    let fw_cfg = has_fw_cfg(config).then_some(fw_cfg);
    let virtio = firmware::virtio(config.virtio_count()).map(|place| Claim {
        base: Base::Gpa(place.gpa.into()),
        length: VIRTIO_BYTES.into(),
    });
    let all = serial
        .into_iter()
        .chain(pc.map(|claim| (claim, Standing::Yields)))
        .chain(
            fw_cfg
                .into_iter()
                .chain(virtio)
                .map(|claim| (claim, Standing::Board)),
        );
    let ids = (config.routes.len() as u32..).map(RouteId::new);
    all.zip(ids)
        .map(|((claim, standing), id)| Row {
            id,
            claim,
            standing,
        })
        .collect()
}

/// The routes of [`rows`], and what stands at each: at virtio's the entropy device, and then
/// `virtio`.
pub(crate) fn routes(
    config: &MachineConfig<'_>,
    slots: &[MemorySlot],
    interrupts: &Interrupts,
    vga: &Arc<VgaPort>,
    virtio: Vec<Box<dyn VirtioDevice>>,
) -> Result<(Vec<Route>, Panel)> {
    let (mut backends, mut panel) = (Vec::new(), Panel::default());
    let line = |line| {
        let line = config.irqchip.then(|| interrupts.line(line));
        line.transpose()
    };
    let trigger = |gsi| -> Result<_> {
        let line = line(gsi)?;
        Ok(line.map(|line| Box::new(line) as Box<dyn Trigger + Send>))
    };
    if config.serial {
        let com1 = Com1::new(trigger(COM1_GSI)?);
        panel.serial = Some(Arc::clone(&com1.port));
        backends.push(Backend::Com1(com1));
    }
    if config.pc {
        let sci = line(SCI_GSI.into())?;
        let i8042 = I8042::new(trigger(KEYBOARD_GSI)?);
        let pm1 = Pm1::new(sci.map(|line| Box::new(line) as Box<dyn Level + Send>));
        panel.keyboard = Some(Arc::clone(&i8042.port));
        panel.power_button = Some(Arc::clone(&pm1.button));
        let chips: [Box<dyn Device>; 6] = [
            Box::new(i8042),
            Box::new(Cmos::new(&boot::writable(slots), config.vcpus)),
            Box::new(pm1),
            Box::new(ResetControl::new()),
            Box::new(ControlA::new()),
            Box::new(Vga::new(Arc::clone(vga))),
        ];
        backends.extend(chips.map(Backend::Device));
    }
    if has_fw_cfg(config) {
        backends.push(Backend::Device(Box::new(fw_cfg(config, slots))));
    }
    let entropy = config
        .pc
        .then(|| Box::new(Rng::new()) as Box<dyn VirtioDevice>);
    let devices = entropy.into_iter().chain(virtio);
    for (device, place) in devices.zip(firmware::virtio(config.virtio_count())) {
        let transport = VirtioMmio::new(device, place.line);
        backends.push(Backend::Device(Box::new(transport)));
    }
    let rows = rows(config).into_iter().zip(backends);
    let routes = rows.map(|(row, backend)| Route::new(row, backend));
    Ok((routes.collect(), panel))
}

fn has_fw_cfg(config: &MachineConfig<'_>) -> bool {
    config.pc && config.has_firmware()
}

/// What it holds in a machine of a snapshot comes with its state.
fn fw_cfg(config: &MachineConfig<'_>, slots: &[MemorySlot]) -> FwCfg {
    let numbers = FwCfgNumbers {
        cpus: config.vcpus as u16,
        no_graphics: config.serial && config.screen.is_none(),
    };
    let files = placement::files(config, slots);
    FwCfg::new(numbers, &files, &boot::writable(slots))
}

/// The network cards, and the ports with their console; their host's ends join `remotes`.
pub(crate) fn cards(
    config: &MachineConfig<'_>,
    remotes: &mut Remotes,
) -> Vec<Box<dyn VirtioDevice>> {
    let mut devices: Vec<Box<dyn VirtioDevice>> = Vec::new();
    for mac in &config.network {
        let nic = Arc::new(RemoteNic::new(*mac, Arc::clone(&remotes.bell)));
        remotes.ends.push(Remote::Nic(Arc::clone(&nic)));
        devices.push(Box::new(Net::new(nic)));
    }
    if let Some(names) = &config.ports {
        let names = std::iter::once("").chain(names.iter().map(String::as_str));
        let port = |name: &str| Arc::new(RemotePort::new(name.into(), Arc::clone(&remotes.bell)));
        let ports: Vec<_> = names.map(port).collect();
        remotes.ends.extend(ports.iter().cloned().map(Remote::Port));
        devices.push(Box::new(Console::new(ports)));
    }
    devices
}
