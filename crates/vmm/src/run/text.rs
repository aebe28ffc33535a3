//! Console text on its way to the handler.

use crate::bus::{Access, Place, RouteId, Turn};
use crate::error::Result;
use crate::run::desk::{Desk, told};
use crate::run::handler::{LeftOpen, Unanswered};
use crate::run::post;

/// Hands over what was posted, and the text that waits, before a question, whose answer may take
/// long.
pub(crate) fn flush_before(desk: &mut Desk<'_>) -> Result<()> {
    post::announce(desk)?;
    flush_all(desk)
}

/// Delivers the text that waits, except for a route whose text another vCPU is delivering.
pub(crate) fn flush_all(desk: &mut Desk<'_>) -> Result<()> {
    for index in 0.. {
        let Some((route, place)) = desk.bus.bus().console_at(index) else {
            break;
        };
        let waits = desk.bus.console(place, |console| console.waits());
        if waits != Some(true) {
            continue;
        }
        if let Some(turn) = desk.bus.try_turn(place) {
            hand_over(desk, route, place, turn)?;
        }
    }
    Ok(())
}

/// After a pause: waits for a handler that had text before it, and has yet to take more.
pub(crate) fn catch_up(desk: &mut Desk<'_>) -> Result<()> {
    match desk.handler.left_open() {
        LeftOpen::Answer => return Ok(()),
        LeftOpen::Nothing => desk.bus.let_go(desk.vcpu),
        LeftOpen::Text => {
            let reply = desk.handler.text_taken();
            if reply != Err(Unanswered::Paused) {
                desk.bus.let_go(desk.vcpu);
            }
            told(reply)?;
        }
    }
    Ok(())
}

/// Delivers the text of a route when it is its turn.
pub(crate) fn flush(desk: &mut Desk<'_>, access: &Access) -> Result<()> {
    let kick = desk.kick;
    let give_up = || kick.requested().is_some();
    match desk.bus.turn(access.place, desk.vcpu, give_up) {
        Some(turn) => hand_over(desk, access.route, access.place, turn),
        None => Ok(()),
    }
}

fn hand_over(
    desk: &mut Desk<'_>,
    route: RouteId,
    place: Place,
    turn: Option<Turn<'_>>,
) -> Result<()> {
    post::announce(desk)?;
    let taken = desk.bus.console(place, |console| console.take());
    let Some(bytes) = taken.flatten() else {
        return Ok(());
    };
    let reply = desk.handler.console(route, &bytes);
    let unseen = reply == Err(Unanswered::Withdrawn);
    desk.bus
        .console(place, |console| console.give_back(bytes, unseen));
    if let Some(turn) = turn.filter(|_| reply == Err(Unanswered::Paused)) {
        turn.keep(desk.vcpu);
    }
    told(reply)
}
