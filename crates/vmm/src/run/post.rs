//! Posted writes: into the ring of a `queue` route, and out of the kernel's ring for `coalesce`.

use std::sync::Arc;

use crate::bus::{Access, Bus, BusAccess, PostedRing, PostedWrite, item};
use crate::error::{Error, Result};
use crate::kvm::exit::Exit;
use crate::kvm::vcpu::{Coalesced, Vcpu};
use crate::run::desk::{Desk, told};
use crate::run::verdict::{Verdict, rest};

/// What came of waiting for room in a ring.
enum Room {
    Perhaps,
    Kicked,
    Failed(Error),
}

/// The piece of a write with this index.
fn posted_write(access: &Access, data: &[u8], index: usize) -> Option<PostedWrite> {
    let piece = access.piece(index)?;
    Some(PostedWrite {
        offset: piece.offset,
        size: piece.size,
        value: item(piece.of(data), usize::from(piece.size)),
    })
}

/// Posts the pieces of a write.
pub(crate) fn post(
    desk: &mut Desk<'_>,
    vcpu: &mut Vcpu,
    exit: &Exit,
    access: &Access,
    from: usize,
) -> Result<Verdict> {
    let data = vcpu.access_data(exit)?;
    for index in from.. {
        let Some(write) = posted_write(access, data, index) else {
            break;
        };
        let mut waits = false;
        loop {
            match push(desk, access, write) {
                Ok(false) => break,
                Ok(true) => match desk.tell_posted() {
                    Ok(()) => break,
                    Err(error) => return Ok(Verdict::Failed(rest(access, index + 1), error)),
                },
                Err(ring) => match wait_for_room(desk, &ring, &mut waits) {
                    Room::Perhaps => {}
                    Room::Kicked => return Ok(Verdict::Kicked(Some(index))),
                    Room::Failed(error) => return Ok(Verdict::Failed(Some(index), error)),
                },
            }
        }
    }
    Ok(Verdict::Done)
}

/// Puts a write into its ring: whether the handler is to be told, or the ring that has no room.
fn push(desk: &mut Desk<'_>, access: &Access, write: PostedWrite) -> Result<bool, Arc<PostedRing>> {
    let at_once = desk.handler.takes_at_once();
    let pushed = desk.bus.ring(access.place, |ring| {
        if ring.push(write) {
            Ok(at_once || ring.wants_bell())
        } else {
            Err(Arc::clone(ring))
        }
    });
    pushed.unwrap_or(Ok(false))
}

fn wait_for_room(desk: &mut Desk<'_>, ring: &PostedRing, waits: &mut bool) -> Room {
    if !std::mem::replace(waits, true) {
        desk.counters.ring_waits.add(1);
    }
    if desk.is_kicked() {
        return Room::Kicked;
    }
    match told(desk.handler.full(ring)) {
        Ok(()) => Room::Perhaps,
        Err(error) => Room::Failed(error),
    }
}

/// Empties the kernel's ring, which holds what the guest wrote before the exit at hand. `false`
/// when a kick came first.
pub(crate) fn drain_coalesced(desk: &mut Desk<'_>, vcpu: &mut Vcpu) -> Result<bool> {
    let (mut waits, mut bell) = (false, desk.handler.takes_at_once());
    let mut moved = false;
    loop {
        let step = desk
            .bus
            .in_order(|straggler, bus| next_coalesced(vcpu, straggler, bus))?;
        match step {
            // Told once: what the kernel has gathered is one batch.
            Step::Empty if moved && bell => return desk.tell_posted().map(|()| true),
            Step::Empty => return Ok(true),
            Step::Posted { wants_bell } => {
                (waits, moved) = (false, true);
                bell |= wants_bell;
            }
            Step::Full(ring) => match wait_for_room(desk, &ring, &mut waits) {
                Room::Perhaps => {}
                Room::Kicked => return Ok(false),
                Room::Failed(error) => return Err(error),
            },
        }
    }
}

/// Tells the handler that something waits, if something does. What a vCPU has posted comes before
/// what it asks.
pub(crate) fn announce(desk: &mut Desk<'_>) -> Result<()> {
    if desk.bus.bus().posts() {
        desk.tell_posted()
    } else {
        Ok(())
    }
}

/// What one look into the kernel's ring came to.
enum Step {
    Empty,
    /// A write moved into the ring of its route, whose bell is due or not.
    Posted {
        wants_bell: bool,
    },
    /// This ring has no room for the next write.
    Full(Arc<PostedRing>),
}

type Straggler = Option<(Coalesced, usize)>;

/// Moves the next piece of a coalesced write into the ring of its route.
fn next_coalesced(
    vcpu: &mut Vcpu,
    straggler: &mut Straggler,
    bus: &mut BusAccess<'_>,
) -> Result<Step> {
    loop {
        let Some((coalesced, index)) = oldest(vcpu, straggler)? else {
            return Ok(Step::Empty);
        };
        let Some(access) = bus.bus().claim(&coalesced.exit) else {
            continue;
        };
        let Some(write) = posted_write(&access, &coalesced.data, index) else {
            bus.bus().count(&access);
            continue;
        };
        let pushed = bus.ring(access.place, |ring| {
            if ring.push(write) {
                Ok(ring.wants_bell())
            } else {
                Err(Arc::clone(ring))
            }
        });
        let Some(pushed) = pushed else { continue };
        *straggler = Some((coalesced, index + usize::from(pushed.is_ok())));
        return Ok(match pushed {
            Ok(wants_bell) => Step::Posted { wants_bell },
            Err(ring) => Step::Full(ring),
        });
    }
}

/// The oldest coalesced write that is not posted yet, and how many of its pieces are.
fn oldest(vcpu: &mut Vcpu, straggler: &mut Straggler) -> Result<Straggler> {
    if let Some(straggler) = straggler.take() {
        return Ok(Some(straggler));
    }
    Ok(vcpu.next_coalesced()?.map(|write| (write, 0)))
}

/// At the run's end: nothing stays in the kernel's ring, whether there is room for it or not.
pub(crate) fn last_coalesced(vcpu: &mut Vcpu, bus: &mut Bus) -> Result<()> {
    if !bus.coalesces {
        return Ok(());
    }
    BusAccess::Alone(bus).in_order(|straggler, bus| {
        while let Some((coalesced, from)) = oldest(vcpu, straggler)? {
            let Some(access) = bus.bus().claim(&coalesced.exit) else {
                continue;
            };
            let writes = (from..).map_while(|at| posted_write(&access, &coalesced.data, at));
            bus.ring(access.place, |ring| {
                writes.for_each(|write| ring.push_or_spill(write));
            });
            bus.bus().count(&access);
        }
        Ok(())
    })
}
