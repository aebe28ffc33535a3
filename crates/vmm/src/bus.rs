//! What the vCPUs of a machine share while they run: devices, and text on its way out.

use std::sync::{Mutex, PoisonError};

use devices::{Console, Output};

use crate::device::Device;
use crate::vcpu::Coalesced;

#[derive(Debug)]
pub(crate) struct Bus {
    pub devices: Vec<Device>,
    /// Console text for the outcome.
    pub output: Output,
    /// A coalesced write that has left the kernel's ring, and how many of its pieces are posted.
    pub straggler: Option<(Coalesced, usize)>,
}

impl Bus {
    pub fn new(devices: Vec<Device>) -> Self {
        Self {
            devices,
            output: Output::default(),
            straggler: None,
        }
    }
}

impl Bus {
    pub fn console(&mut self, route: usize) -> Option<&mut Console> {
        match self.devices.get_mut(route)? {
            Device::Console(console) => Some(console),
            Device::Com1(com1) => Some(com1.console(&mut self.output)),
            _ => None,
        }
    }

    /// Console text that handlers have yet to get, by route.
    pub fn take_undelivered(&mut self) -> Vec<(usize, Vec<u8>)> {
        (0..self.devices.len())
            .filter_map(|route| Some((route, self.console(route)?.take()?)))
            .collect()
    }
}

/// One vCPU's way to the bus. A machine with a single vCPU pays for no lock.
#[derive(Debug)]
pub(crate) enum BusAccess<'a> {
    Alone(&'a mut Bus),
    /// Held for a look at a device, never while somebody is asked or waited for.
    Among(&'a Mutex<Bus>),
}

impl BusAccess<'_> {
    pub fn with<T>(&mut self, call: impl FnOnce(&mut Bus) -> T) -> T {
        match self {
            Self::Alone(bus) => call(bus),
            Self::Among(bus) => call(&mut bus.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}
