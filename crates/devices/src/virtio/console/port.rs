//! One port: how far driver and device have come with it.

use std::sync::Arc;

use crate::remote::{PORT_BYTES, RemotePort};
use crate::state::saved;

use super::control::{Event, Message};

/// Ports have bytes in buffers of up to this size; more of one goes nowhere, and no driver sends
/// it.
pub const MOST_BYTES: u64 = 1 << 20;

saved! {
    /// A port, with the bytes that wait.
    PortState {
        is_new: bool,
        is_unnamed: bool,
        is_known: bool,
        told_open: bool,
        is_open: bool,
        sent: Vec<u8>,
        arriving: Vec<u8>,
    }
}

/// One port. What the driver has yet to hear is a flag for each message, so that a driver that asks
/// again and again makes no more of them.
#[derive(Debug)]
pub struct Port {
    /// Its host's end.
    pub remote: Arc<RemotePort>,
    /// The driver has yet to hear that there is a port.
    is_new: bool,
    /// It has yet to hear what it is: its name, or a console.
    is_unnamed: bool,
    /// The driver is ready for it.
    is_known: bool,
    /// What the driver has heard of the host's end.
    told_open: bool,
    /// Whether the host's end is there.
    is_connected: bool,
    /// A program in the guest has it open.
    pub is_open: bool,
}

impl Port {
    pub const fn new(remote: Arc<RemotePort>) -> Self {
        Self {
            remote,
            is_new: false,
            is_unnamed: false,
            is_known: false,
            told_open: false,
            is_connected: false,
            is_open: false,
        }
    }

    /// As without a driver.
    pub fn reset(&mut self) {
        *self = Self::new(Arc::clone(&self.remote));
    }

    /// The driver shall hear of the port.
    pub fn announce(&mut self) {
        self.reset();
        self.is_new = true;
    }

    /// The driver is ready for it, and shall hear what it is.
    pub fn introduce(&mut self) {
        self.is_known = true;
        self.is_unnamed = true;
        self.told_open = false;
    }

    /// A program in the guest has opened or closed it.
    pub fn open(&mut self, is_open: bool) {
        self.is_open = is_open;
    }

    /// Looks at its host's end.
    pub fn look(&mut self) {
        self.is_connected = self.remote.is_open();
    }

    /// What the driver is to hear next.
    pub fn next_event(&self) -> Option<Event> {
        if self.is_new {
            return Some(Event::PortAdd);
        }
        if !self.is_known {
            return None;
        }
        if self.is_unnamed {
            let is_console = self.remote.name().is_empty();
            return Some([Event::PortName, Event::ConsolePort][usize::from(is_console)]);
        }
        (self.told_open != self.is_connected).then_some(Event::PortOpen)
    }

    /// The message, which the driver then has heard.
    pub fn told(&mut self, id: u32, event: Event) -> Vec<u8> {
        match event {
            Event::PortAdd => self.is_new = false,
            Event::PortName | Event::ConsolePort => self.is_unnamed = false,
            _ => self.told_open = self.is_connected,
        }
        let value = event != Event::PortOpen || self.told_open;
        let mut bytes = Message::new(id, event, value).bytes();
        if event == Event::PortName {
            bytes.extend_from_slice(self.remote.name().as_bytes());
        }
        bytes
    }

    pub fn save(&self) -> PortState {
        let (sent, arriving) = self.remote.save();
        PortState {
            is_new: self.is_new,
            is_unnamed: self.is_unnamed,
            is_known: self.is_known,
            told_open: self.told_open,
            is_open: self.is_open,
            sent,
            arriving,
        }
    }

    /// Whether a port may have saved this.
    pub fn may_restore(state: &PortState) -> bool {
        state.arriving.len() <= PORT_BYTES
            && state.sent.len() as u64 <= PORT_BYTES as u64 + MOST_BYTES
    }

    pub fn restore(&mut self, state: PortState) {
        self.is_new = state.is_new;
        self.is_unnamed = state.is_unnamed;
        self.is_known = state.is_known;
        self.told_open = state.told_open;
        self.is_open = state.is_open;
        self.remote.restore(state.sent, state.arriving);
    }
}
