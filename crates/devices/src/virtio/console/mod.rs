//! The console device (§5.3): ports of bytes, of which the first is a console and the others have
//! names, and a pair of queues over which both sides talk about them.

mod control;
mod port;

use std::sync::Arc;

use virtio_bindings::virtio_ids::VIRTIO_ID_CONSOLE;

use crate::remote::RemotePort;
use crate::state::Field;
use crate::virtio::{Rings, VirtioDevice, Waker};
use control::{Event, MESSAGE_BYTES, Message};
use port::{MOST_BYTES, Port, PortState};

/// The feature bit (§5.3.3): there is more than one port, and a pair of queues for control.
const F_MULTIPORT: u32 = 1;

/// Queues (§5.3.2): each port's come in pairs, the guest's receiving one first; those of control
/// follow the first port's.
const CONTROL_RECEIVE: usize = 2;
const CONTROL_TRANSMIT: usize = 3;

/// A console device.
#[derive(Debug)]
pub struct Console {
    config: [u8; 12],
    sizes: Vec<u16>,
    ports: Vec<Port>,
    /// The driver knows of control; otherwise there is one port.
    is_multiport: bool,
}

impl Console {
    /// A device with these ports, the console first.
    pub fn new(remotes: Vec<Arc<RemotePort>>) -> Self {
        let [a, b, c, d] = (remotes.len() as u32).to_le_bytes();
        Self {
            config: [0, 0, 0, 0, a, b, c, d, 0, 0, 0, 0],
            sizes: vec![128; 2 * remotes.len() + 2],
            ports: remotes.into_iter().map(Port::new).collect(),
            is_multiport: false,
        }
    }

    /// Takes what the driver says.
    fn listen(&mut self, rings: &mut Rings<'_>) {
        while let Some(chain) = rings.next(CONTROL_TRANSMIT) {
            let mut bytes = [0; MESSAGE_BYTES];
            let count = chain.readable.read(rings.memory(), 0, &mut bytes);
            if count == MESSAGE_BYTES {
                self.hear(&Message::parse(bytes));
            }
            rings.complete(CONTROL_TRANSMIT, chain, 0);
        }
    }

    fn hear(&mut self, message: &Message) {
        let is_on = message.value == 1;
        match message.event() {
            Some(Event::DeviceReady) if is_on => self.ports.iter_mut().for_each(Port::announce),
            Some(Event::PortReady) if is_on => self.with(message, Port::introduce),
            Some(Event::PortOpen) => self.with(message, |port| port.open(is_on)),
            _ => {}
        }
    }

    fn with(&mut self, message: &Message, act: impl FnOnce(&mut Port)) {
        if let Some(port) = self.ports.get_mut(message.id as usize) {
            act(port);
        }
    }

    /// Tells the driver what it has yet to hear.
    fn tell(&mut self, rings: &mut Rings<'_>) {
        for (id, port) in (0..).zip(&mut self.ports) {
            while let Some(event) = port.next_event()
                && let Some(chain) = rings.next(CONTROL_RECEIVE)
            {
                let bytes = port.told(id, event);
                let has_room = chain.writable.bytes() >= bytes.len() as u64;
                let bytes = if has_room { bytes } else { Vec::new() };
                let written = chain.writable.write(rings.memory(), 0, &bytes);
                rings.complete(CONTROL_RECEIVE, chain, written as u32);
            }
        }
    }

    /// Moves a port's bytes.
    fn carry(&mut self, index: usize, rings: &mut Rings<'_>) {
        let (receive, transmit) = queues(index);
        let Some(port) = self.ports.get(index) else {
            return;
        };
        let remote = &port.remote;
        while remote.may_send()
            && let Some(chain) = rings.next(transmit)
        {
            let mut bytes = vec![0; chain.readable.bytes().min(MOST_BYTES) as usize];
            let count = chain.readable.read(rings.memory(), 0, &mut bytes);
            remote.send(bytes.get(..count).unwrap_or_default());
            rings.complete(transmit, chain, 0);
        }
        // A driver drops what comes for a port that no program has opened.
        let listens = index == 0 || port.is_open;
        while listens
            && remote.arrived() > 0
            && let Some(chain) = rings.next(receive)
        {
            let room = chain.writable.bytes().min(MOST_BYTES) as usize;
            let bytes = remote.arrive(room);
            let written = chain.writable.write(rings.memory(), 0, &bytes);
            rings.complete(receive, chain, written as u32);
        }
        remote.announce();
    }
}

/// The queues of a port: receiving and transmitting, as the driver sees it.
const fn queues(port: usize) -> (usize, usize) {
    let first = if port == 0 { 0 } else { 2 * port + 2 };
    (first, first + 1)
}

impl VirtioDevice for Console {
    fn kind(&self) -> u32 {
        VIRTIO_ID_CONSOLE
    }

    fn name(&self) -> &'static str {
        "virtio-console"
    }

    fn features(&self) -> u64 {
        1 << F_MULTIPORT
    }

    fn queue_sizes(&self) -> &[u16] {
        &self.sizes
    }

    fn config(&self) -> &[u8] {
        &self.config
    }

    fn attach(&mut self, waker: Waker) {
        for port in &self.ports {
            port.remote.attach(waker.clone());
        }
    }

    fn activate(&mut self, features: u64) {
        self.is_multiport = features & 1 << F_MULTIPORT != 0;
    }

    fn reset(&mut self) {
        self.ports.iter_mut().for_each(Port::reset);
    }

    fn work(&mut self, rings: &mut Rings<'_>) {
        if !self.is_multiport {
            return self.carry(0, rings);
        }
        self.listen(rings);
        self.ports.iter_mut().for_each(Port::look);
        self.tell(rings);
        for index in 0..self.ports.len() {
            self.carry(index, rings);
        }
    }

    fn save(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let ports: Vec<PortState> = self.ports.iter().map(Port::save).collect();
        ports.put(&mut bytes);
        bytes
    }

    fn restore(&mut self, mut state: &[u8]) -> bool {
        let states = Vec::<PortState>::take(&mut state).filter(|_| state.is_empty());
        let fits = |states: &Vec<PortState>| {
            states.len() == self.ports.len() && states.iter().all(Port::may_restore)
        };
        let Some(states) = states.filter(fits) else {
            return false;
        };
        for (port, state) in self.ports.iter_mut().zip(states) {
            port.restore(state);
        }
        true
    }
}

#[cfg(test)]
mod tests;
