//! The devices that a machine has besides its routes: a serial port, and what else a kernel expects of a PC.

use boot::MemorySlot;
use boot::firmware::{CMOS_PORT, COM1_GSI, COM1_PORT, I8042_PORT, PM1_PORT, RESET_PORT};
use devices::{Chip, Cmos, Com1, I8042, Pm1, ResetControl, Trigger};

use crate::config::MachineConfig;
use crate::device::Device;
use crate::error::Result;
use crate::interrupts::Interrupts;
use crate::routes::{Base, RouteConfig, RouteTarget};

/// The board's routes, which stand behind the caller's: COM1 first, if there is one.
pub(crate) fn routes(config: &MachineConfig<'_>) -> Vec<RouteConfig> {
    let chip = |port, length| RouteConfig {
        base: Base::Port(port),
        length,
        target: RouteTarget::Board,
    };
    let serial = config.serial.then(|| chip(COM1_PORT, 8));
    let pm1 = u64::from(Pm1::EVENT_BYTES + Pm1::CONTROL_BYTES);
    let pc = [
        chip(I8042_PORT, 5),
        chip(CMOS_PORT, 2),
        chip(PM1_PORT, pm1),
        chip(RESET_PORT, 1),
    ];
    let pc = pc.into_iter().filter(|_| config.pc);
    serial.into_iter().chain(pc).collect()
}

/// The routes that may have text for the handler: consoles of the caller's, and COM1.
pub(crate) fn consoles(config: &MachineConfig<'_>) -> Vec<usize> {
    let delivers = |route: &RouteConfig| route.target == RouteTarget::Console { deliver: true };
    let own = config.routes.iter().enumerate();
    let own = own.filter(|(_, route)| delivers(route));
    let com1 = config.serial.then_some(config.routes.len());
    own.map(|(index, _)| index).chain(com1).collect()
}

/// The devices behind [`routes`], in the same order.
pub(crate) fn devices(
    config: &MachineConfig<'_>,
    slots: &[MemorySlot],
    interrupts: &Interrupts,
) -> Result<Vec<Device>> {
    let mut devices = Vec::new();
    if config.serial {
        let line = config
            .irqchip
            .then(|| interrupts.irqfd(COM1_GSI))
            .transpose()?;
        let line = line.map(|fd| Box::new(fd) as Box<dyn Trigger + Send>);
        devices.push(Device::Com1(Com1::new(line)));
    }
    if config.pc {
        let chips: [Box<dyn Chip>; 4] = [
            Box::new(I8042::new()),
            Box::new(Cmos::new(&boot::writable(slots))),
            Box::new(Pm1::new()),
            Box::new(ResetControl::new()),
        ];
        devices.extend(chips.map(Device::Chip));
    }
    Ok(devices)
}
