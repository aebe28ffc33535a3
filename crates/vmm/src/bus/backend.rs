//! What answers the accesses of a route. It gets bytes, never an address.

use std::borrow::Cow;
use std::sync::Arc;

use devices::{Com1, Console, Device, Output, PowerRequest, State};
use serde::{Deserialize, Serialize};

use crate::bus::access::Access;
use crate::bus::feed::{EventCount, Feed};
use crate::bus::ring::{PostedRing, PostedWrite};
use crate::bus::target::RouteTarget;
use crate::error::Result;

/// What answers. The kinds that a caller names are matched, so that the fast ones cost no call
/// through a table.
#[derive(Debug)]
pub(crate) enum Backend {
    Console(Console),
    Constant(u64),
    /// `discard` and `count`: the counters see every access anyway.
    Sink,
    Stop,
    /// The handler is the device.
    Asked,
    /// `queue` and `coalesce`: writes go into the ring.
    Posted {
        ring: Arc<PostedRing>,
        read_value: Option<u64>,
    },
    /// The kernel counts; what still exits is not for it.
    Event(Arc<EventCount>),
    Com1(Com1),
    /// A device in Rust.
    Device(Box<dyn Device>),
}

/// What a backend holds and has not handed over.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum Held {
    /// The state of a device; of what has no state, too.
    Fields(State),
    /// Posted writes, oldest first.
    Writes(Vec<PostedWrite>),
    /// A count that was not taken.
    Count(u64),
}

/// What a backend makes of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// Answered.
    Done,
    /// The run ends with this exit code.
    Stop(u32),
    /// The console's batch is full.
    Flush,
    /// The handler has to be asked.
    Ask,
    /// The pieces go into the ring.
    Post,
    /// The guest turns the machine off, or wants it to start again.
    Power(PowerRequest),
    /// The route does not claim this access.
    Unclaimed,
}

impl Backend {
    /// # Errors
    /// `KvmIoctl` when the process may open no more descriptors.
    pub fn new(target: RouteTarget) -> Result<Self> {
        Ok(match target {
            RouteTarget::Console { deliver } => Self::Console(Console::new(deliver)),
            RouteTarget::Constant(value) => Self::Constant(value),
            RouteTarget::Discard | RouteTarget::Count => Self::Sink,
            RouteTarget::Stop => Self::Stop,
            RouteTarget::Device => Self::Asked,
            RouteTarget::Queue { read_value } | RouteTarget::Coalesce { read_value } => {
                Self::Posted {
                    ring: Arc::default(),
                    read_value,
                }
            }
            RouteTarget::Event { .. } => Self::Event(Arc::new(EventCount::new()?)),
        })
    }

    /// What kind it is, as saved states call it.
    pub fn kind(&self) -> Cow<'static, str> {
        let kind = match self {
            Self::Console(_) => "console",
            Self::Constant(_) => "constant",
            Self::Sink => "sink",
            Self::Stop => "stop",
            Self::Asked => "asked",
            Self::Posted { .. } => "posted",
            Self::Event(_) => "event",
            Self::Com1(_) => "com1",
            Self::Device(device) => return device.save().kind,
        };
        Cow::Borrowed(kind)
    }

    /// What it holds and has not handed over.
    pub fn save(&self) -> Held {
        match self {
            Self::Console(console) => Held::Fields(console.save()),
            Self::Com1(com1) => Held::Fields(com1.save()),
            Self::Device(device) => Held::Fields(device.save()),
            Self::Posted { ring, .. } => Held::Writes(ring.save()),
            Self::Event(count) => Held::Count(count.save()),
            Self::Constant(_) | Self::Sink | Self::Stop | Self::Asked => {
                Held::Fields(State::default())
            }
        }
    }

    /// Holds this, and nothing else; `false` for what its kind does not save.
    pub fn restore(&mut self, held: &Held, output: &mut Output) -> bool {
        match (self, held) {
            (Self::Console(console), Held::Fields(state)) => console.restore(state, output),
            (Self::Com1(com1), Held::Fields(state)) => com1.restore(state),
            (Self::Device(device), Held::Fields(state)) => device.restore(state),
            (Self::Posted { ring, .. }, Held::Writes(writes)) => {
                ring.restore(writes);
                true
            }
            (Self::Event(count), Held::Count(saved)) => {
                count.restore(*saved);
                true
            }
            (Self::Constant(_) | Self::Sink | Self::Stop | Self::Asked, Held::Fields(state)) => {
                *state == State::default()
            }
            _ => false,
        }
    }

    /// Where its posted writes wait.
    pub fn feed(&self) -> Option<Feed> {
        match self {
            Self::Posted { ring, .. } => Some(Feed::Ring(Arc::clone(ring))),
            Self::Event(count) => Some(Feed::Count(Arc::clone(count))),
            _ => None,
        }
    }

    /// Whether it may have text for the handler.
    pub fn has_text(&self) -> bool {
        match self {
            Self::Console(console) => console.delivers(),
            Self::Com1(_) => true,
            _ => false,
        }
    }

    /// Whether it may add to the outcome's text.
    pub const fn writes_text(&self) -> bool {
        matches!(self, Self::Console(_) | Self::Com1(_))
    }

    /// Fills the items of a read. What has no value of its own reads as all ones, like an empty
    /// bus.
    pub fn read(&mut self, access: &Access, data: &mut [u8]) -> Reaction {
        match self {
            Self::Asked => return Reaction::Ask,
            Self::Event(_)
            | Self::Posted {
                read_value: None, ..
            } => return Reaction::Unclaimed,
            Self::Constant(value)
            | Self::Posted {
                read_value: Some(value),
                ..
            } => fill_items(data, access.item_bytes, *value),
            Self::Console(console) => data.fill(console.answer),
            Self::Sink | Self::Stop => data.fill(0xff),
            Self::Com1(com1) => {
                for (offset, byte) in access.registers().zip(data) {
                    *byte = com1.read(offset);
                }
            }
            Self::Device(device) => {
                for piece in access.pieces() {
                    device.read(piece.offset, piece.of_mut(data));
                }
            }
        }
        Reaction::Done
    }

    /// Takes the items of a write.
    pub fn write(&mut self, access: &Access, data: &[u8], output: &mut Output) -> Reaction {
        match self {
            Self::Asked => Reaction::Ask,
            Self::Posted { .. } => Reaction::Post,
            Self::Event(_) => Reaction::Unclaimed,
            Self::Console(console) => {
                console.write(data, output);
                text(console)
            }
            Self::Constant(_) | Self::Sink => Reaction::Done,
            Self::Stop => Reaction::Stop(item(data, access.item_bytes.min(4)) as u32),
            Self::Com1(com1) => {
                com1.write(access.registers().zip(data.iter().copied()), output);
                text(com1.console(output))
            }
            Self::Device(device) => {
                let mut pieces = access.pieces();
                let request = pieces.find_map(|piece| device.write(piece.offset, piece.of(data)));
                request.map_or(Reaction::Done, Reaction::Power)
            }
        }
    }
}

/// What becomes of a console's text after a write.
fn text(console: &Console) -> Reaction {
    if console.is_full() {
        Reaction::Flush
    } else {
        Reaction::Done
    }
}

/// The first item of `data` as a little-endian number of `size` bytes, at most 8.
pub(crate) fn item(data: &[u8], size: usize) -> u64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(data.iter().take(size)) {
        *to = *from;
    }
    u64::from_le_bytes(bytes)
}

/// Every item of `data` becomes the low `size` bytes of `value`.
pub(crate) fn fill_items(data: &mut [u8], size: usize, value: u64) {
    let bytes = value.to_le_bytes();
    for chunk in data.chunks_mut(size.max(1)) {
        for (to, from) in chunk.iter_mut().zip(bytes) {
            *to = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::claim::RouteId;
    use crate::bus::table::Place;
    use crate::kvm::exit::{Exit, PortAccess};

    fn access(size: u8, bytes: u32, write: bool) -> Access {
        let port = PortAccess {
            port: 0,
            size,
            count: bytes / u32::from(size),
            data_offset: 0,
        };
        let exit = if write {
            Exit::PioOut(port)
        } else {
            Exit::PioIn(port)
        };
        Access::new(RouteId::new(0), Place(0), 0, &exit)
    }

    #[test]
    fn a_constant_fills_every_item_with_its_low_bytes() {
        let mut data = [0; 6];
        assert_eq!(
            Backend::Constant(0x1_2345).read(&access(2, 2, false), &mut data),
            Reaction::Done
        );
        assert_eq!(data, [0x45, 0x23, 0x45, 0x23, 0x45, 0x23]);
        let mut odd = [0; 3];
        Backend::Constant(0xaabb_ccdd).read(&access(3, 3, false), &mut odd);
        assert_eq!(odd, [0xdd, 0xcc, 0xbb]);
    }

    #[test]
    fn what_has_no_value_reads_as_all_ones() {
        for target in [
            RouteTarget::Discard,
            RouteTarget::Count,
            RouteTarget::Stop,
            RouteTarget::Console { deliver: false },
        ] {
            let mut data = [0; 4];
            assert_eq!(
                Backend::new(target)
                    .unwrap()
                    .read(&access(4, 4, false), &mut data),
                Reaction::Done
            );
            assert_eq!(data, [0xff; 4]);
        }
    }

    #[test]
    fn stop_takes_the_first_items_value() {
        let mut output = Output::default();
        assert_eq!(
            Backend::Stop.write(&access(1, 3, true), &[7, 8, 9], &mut output),
            Reaction::Stop(7)
        );
        assert_eq!(
            Backend::Stop.write(&access(4, 4, true), &[1, 2, 3, 4], &mut output),
            Reaction::Stop(0x0403_0201)
        );
        assert_eq!(
            Backend::Stop.write(&access(8, 8, true), &[1, 0, 0, 0, 9, 9, 9, 9], &mut output),
            Reaction::Stop(1)
        );
    }
}
