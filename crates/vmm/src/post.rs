//! Writes that nobody waits for: into the ring of a `queue` route, and out of the kernel's ring for
//! `coalesce`.

use crate::access::Access;
use crate::devices::{Device, item};
use crate::error::Result;
use crate::exit::Exit;
use crate::handler::{Answer, Question};
use crate::machine::Pending;
use crate::ring::Event;
use crate::run::{Next, Run, handler_failed};

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
            let data = self.machine.vcpu.access_data(&exit)?;
            let Some(event) = event(access, data, index) else {
                break;
            };
            match self.push(access.route, event) {
                Posted::Yes => {}
                Posted::Kicked => {
                    self.machine.pending = Pending::Open(exit, index);
                    return Ok(Next::Kicked);
                }
                Posted::Failed(posted) => {
                    self.leave(exit, access, index + usize::from(posted));
                    return Err(handler_failed());
                }
            }
        }
        self.count_items(access);
        self.machine.pending = Pending::Answered;
        Ok(Next::Enter)
    }

    /// Empties the kernel's ring, which holds what the guest wrote before the exit at hand. `false` when a
    /// kick came first.
    pub(crate) fn drain_coalesced(&mut self) -> Result<bool> {
        while let Some((write, from)) = self.machine.next_coalesced()? {
            let Some(access) = self.machine.routes.claim(&write.exit) else {
                continue;
            };
            for index in from.. {
                let Some(event) = event(&access, &write.data, index) else {
                    break;
                };
                match self.push(access.route, event) {
                    Posted::Yes => {}
                    Posted::Kicked => {
                        self.machine.straggler = Some((write, index));
                        return Ok(false);
                    }
                    Posted::Failed(posted) => {
                        self.machine.straggler = Some((write, index + usize::from(posted)));
                        return Err(handler_failed());
                    }
                }
            }
            self.count_items(&access);
        }
        Ok(true)
    }

    /// At the run's end: nothing stays in the kernel's ring.
    pub(crate) fn last_coalesced(&mut self) -> Result<()> {
        while self.machine.coalesces
            && let Some((write, from)) = self.machine.next_coalesced()?
        {
            let Some(access) = self.machine.routes.claim(&write.exit) else {
                continue;
            };
            if let Some(Device::Posted { ring, .. }) = self.machine.devices.get(access.route) {
                let events = (from..).map_while(|index| event(&access, &write.data, index));
                events.for_each(|event| ring.push_or_spill(event));
            }
            self.count_items(&access);
        }
        Ok(())
    }

    /// Tells the handler that something waits, if something may.
    pub(crate) fn announce(&mut self) -> Result<()> {
        let waits = self.machine.devices.iter().any(|device| match device {
            Device::Posted { ring, .. } => !ring.is_empty(),
            Device::Event(_) => true,
            _ => false,
        });
        if waits && self.handler.answer(Question::Posted) == Answer::Failed {
            return Err(handler_failed());
        }
        Ok(())
    }

    fn push(&mut self, route: usize, event: Event) -> Posted {
        let mut waited = false;
        loop {
            let Some(Device::Posted { ring, .. }) = self.machine.devices.get(route) else {
                return Posted::Yes;
            };
            if ring.push(event) {
                let failed =
                    ring.wants_bell() && self.handler.answer(Question::Posted) == Answer::Failed;
                return if failed {
                    Posted::Failed(true)
                } else {
                    Posted::Yes
                };
            }
            if self.kick.requested().is_some() {
                return Posted::Kicked;
            }
            if !waited {
                waited = true;
                self.machine.counters.ring_waits.add(1);
            }
            if self.handler.answer(Question::Full { ring }) == Answer::Failed {
                return Posted::Failed(false);
            }
        }
    }
}
