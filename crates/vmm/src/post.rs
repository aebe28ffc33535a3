//! Writes that nobody waits for: into the ring of a `queue` route, and out of the kernel's ring for
//! `coalesce`.

use std::sync::Arc;

use crate::access::Access;
use crate::bus::Bus;
use crate::device::{Device, item};
use crate::error::Result;
use crate::exit::Exit;
use crate::feed::Feed;
use crate::handler::{Answer, Question};
use crate::machine::Wiring;
use crate::processor::Pending;
use crate::ring::{Event, EventRing};
use crate::run::{Next, Run, handler_failed};
use crate::vcpu::{Coalesced, Vcpu};

/// What became of an event.
enum Posted {
    Yes,
    /// A kick came while the ring was full.
    Kicked,
    /// The handler failed; whether the event is in the ring.
    Failed(bool),
}

/// The piece of a write with this index, as an event.
fn event(access: &Access, data: &[u8], index: usize) -> Option<Event> {
    let piece = access.piece(index)?;
    let bytes = data.get(piece.start..).unwrap_or_default();
    let value = item(bytes, usize::from(piece.size));
    Some(Event {
        offset: piece.offset,
        size: piece.size,
        value,
    })
}

impl Run<'_> {
    /// Posts the pieces of a write; what a kick leaves over is posted by the next run.
    pub(crate) fn post(&mut self, exit: Exit, access: &Access, from: usize) -> Result<Next> {
        for index in from.. {
            let data = self.processor.vcpu.access_data(&exit)?;
            let Some(event) = event(access, data, index) else {
                break;
            };
            match self.push(access.route, event) {
                Posted::Yes => {}
                Posted::Kicked => {
                    self.processor.pending = Pending::Open(exit, index);
                    return Ok(Next::Kicked);
                }
                Posted::Failed(posted) => {
                    self.leave(exit, access, index + usize::from(posted));
                    return Err(handler_failed());
                }
            }
        }
        self.count_items(access);
        self.processor.pending = Pending::Answered;
        Ok(Next::Enter)
    }

    /// Empties the kernel's ring, which holds what the guest wrote before the exit at hand. `false` when a
    /// kick came first.
    pub(crate) fn drain_coalesced(&mut self) -> Result<bool> {
        let wiring = self.wiring;
        let (mut waits, mut bell) = (false, self.handler.takes_at_once());
        let mut moved = false;
        loop {
            // One step under the bus's lock, so that the vCPUs together keep the order of the kernel's ring.
            let vcpu = &mut self.processor.vcpu;
            let step = self.bus.with(|bus| next_coalesced(vcpu, bus, wiring))?;
            match step {
                // Told once: what the kernel has gathered is one batch.
                Step::Empty if moved && bell && self.tell(Question::Posted) => {
                    return Err(handler_failed());
                }
                Step::Empty => return Ok(true),
                Step::Posted(ring) => {
                    (waits, moved) = (false, true);
                    bell |= ring.wants_bell();
                }
                Step::Full(ring) => {
                    if !std::mem::replace(&mut waits, true) {
                        wiring.counters.ring_waits.add(1);
                    }
                    match self.wait_for_room(&ring) {
                        Posted::Yes => {}
                        Posted::Kicked => return Ok(false),
                        Posted::Failed(_) => return Err(handler_failed()),
                    }
                }
            }
        }
    }

    /// Tells the handler that something waits, if something does. What a vCPU has posted comes before what it asks.
    pub(crate) fn announce(&mut self) -> Result<()> {
        if self.wiring.feeds.iter().any(Feed::waits) && self.tell(Question::Posted) {
            return Err(handler_failed());
        }
        Ok(())
    }

    fn push(&mut self, route: usize, event: Event) -> Posted {
        let mut counted = false;
        let at_once = self.handler.takes_at_once();
        loop {
            let pushed = self.bus.with(|bus| {
                let Some(Device::Posted { ring, .. }) = bus.devices.get(route) else {
                    return Ok(false);
                };
                if ring.push(event) {
                    Ok(at_once || ring.wants_bell())
                } else {
                    Err(Arc::clone(ring))
                }
            });
            let ring = match pushed {
                Ok(false) => return Posted::Yes,
                Ok(true) if self.tell(Question::Posted) => return Posted::Failed(true),
                Ok(true) => return Posted::Yes,
                Err(ring) => ring,
            };
            if !std::mem::replace(&mut counted, true) {
                self.wiring.counters.ring_waits.add(1);
            }
            match self.wait_for_room(&ring) {
                Posted::Yes => {}
                end => return end,
            }
        }
    }

    fn wait_for_room(&mut self, ring: &EventRing) -> Posted {
        if self.kick.requested().is_some() {
            return Posted::Kicked;
        }
        if self.tell(Question::Full { ring }) {
            return Posted::Failed(false);
        }
        Posted::Yes
    }

    /// Whether the handler failed.
    fn tell(&mut self, question: Question<'_>) -> bool {
        self.handler.answer(question) == Answer::Failed
    }
}

/// What one look into the kernel's ring came to.
enum Step {
    Empty,
    /// An event moved into this ring.
    Posted(Arc<EventRing>),
    /// This ring has no room for the next event.
    Full(Arc<EventRing>),
}

/// Moves the next piece of a coalesced write into the ring of its route.
fn next_coalesced(vcpu: &mut Vcpu, bus: &mut Bus, wiring: &Wiring) -> Result<Step> {
    loop {
        let Some((write, index)) = oldest(vcpu, bus)? else {
            return Ok(Step::Empty);
        };
        let Some(access) = wiring.routes.claim(&write.exit) else {
            continue;
        };
        let Some(event) = event(&access, &write.data, index) else {
            wiring.count_items(&access);
            continue;
        };
        let Some(Device::Posted { ring, .. }) = bus.devices.get(access.route) else {
            continue;
        };
        let posted = ring.push(event);
        let ring = Arc::clone(ring);
        bus.straggler = Some((write, index + usize::from(posted)));
        return Ok(if posted {
            Step::Posted(ring)
        } else {
            Step::Full(ring)
        });
    }
}

/// The oldest coalesced write that is not posted yet, and how many of its pieces are.
fn oldest(vcpu: &mut Vcpu, bus: &mut Bus) -> Result<Option<(Coalesced, usize)>> {
    if let Some(straggler) = bus.straggler.take() {
        return Ok(Some(straggler));
    }
    Ok(vcpu.next_coalesced()?.map(|write| (write, 0)))
}

/// At the run's end: nothing stays in the kernel's ring, whether there is room for it or not.
pub(crate) fn last_coalesced(vcpu: &mut Vcpu, bus: &mut Bus, wiring: &Wiring) -> Result<()> {
    while wiring.coalesces
        && let Some((write, from)) = oldest(vcpu, bus)?
    {
        let Some(access) = wiring.routes.claim(&write.exit) else {
            continue;
        };
        if let Some(Device::Posted { ring, .. }) = bus.devices.get(access.route) {
            let events = (from..).map_while(|index| event(&access, &write.data, index));
            events.for_each(|event| ring.push_or_spill(event));
        }
        wiring.count_items(&access);
    }
    Ok(())
}
