//! What driver and device tell each other about ports (§5.3.6.2).

/// Bytes of a message; a name follows its own.
pub const MESSAGE_BYTES: usize = 8;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The driver is there, or is not.
    DeviceReady,
    /// To the driver: there is a port.
    PortAdd,
    /// The driver is ready for a port.
    PortReady,
    /// To the driver: the port is a console.
    ConsolePort,
    /// Somebody has opened the port at the sender's side, or closed it.
    PortOpen,
    /// To the driver: the port's name.
    PortName,
}

impl Event {
    const ALL: [(Self, u16); 6] = [
        (Self::DeviceReady, 0),
        (Self::PortAdd, 1),
        (Self::PortReady, 3),
        (Self::ConsolePort, 4),
        (Self::PortOpen, 6),
        (Self::PortName, 7),
    ];
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The port's number.
    pub id: u32,
    event: u16,
    /// 0 or 1.
    pub value: u16,
}

impl Message {
    pub fn new(id: u32, event: Event, value: bool) -> Self {
        let number = Event::ALL.iter().find(|(each, _)| *each == event);
        Self {
            id,
            event: number.map_or(0, |(_, number)| *number),
            value: u16::from(value),
        }
    }

    pub fn parse([a, b, c, d, e, f, g, h]: [u8; MESSAGE_BYTES]) -> Self {
        Self {
            id: u32::from_le_bytes([a, b, c, d]),
            event: u16::from_le_bytes([e, f]),
            value: u16::from_le_bytes([g, h]),
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let [e, f] = self.event.to_le_bytes();
        let [g, h] = self.value.to_le_bytes();
        [&self.id.to_le_bytes()[..], &[e, f, g, h]].concat()
    }

    /// `None` for what a device need not know.
    pub fn event(&self) -> Option<Event> {
        let found = Event::ALL.iter().find(|(_, number)| *number == self.event);
        found.map(|(event, _)| *event)
    }
}
