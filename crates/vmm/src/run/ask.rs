//! What an exit comes to: answered by what stands at its route, by the handler, or not yet.

use crate::bus::{Access, Reaction, fill_items, item};
use crate::error::Result;
use crate::kvm::exit::Exit;
use crate::kvm::vcpu::Vcpu;
use crate::run::desk::{Desk, handler_failed};
use crate::run::handler::{At, LeftOpen, ReadAnswer, Reply, Unanswered, WriteAnswer};
use crate::run::outcome::{End, ExitRecord};
use crate::run::verdict::{Verdict, rest};
use crate::run::{post, text};

/// One vCPU, as it asks.
pub(crate) struct Asker<'a, 'd> {
    pub desk: &'a mut Desk<'d>,
    pub vcpu: &'a mut Vcpu,
    pub index: u32,
}

/// Has a port or MMIO access answered, from a piece on. The access is that of the route which
/// claims it, if one does.
pub(crate) fn answer(
    asker: Asker<'_, '_>,
    exit: &Exit,
    from: usize,
) -> (Option<Access>, Result<Verdict>) {
    let Some(access) = asker.desk.bus.bus().claim(exit) else {
        return (None, unclaimed(asker.desk, asker.vcpu, exit));
    };
    let data = match asker.vcpu.access_data(exit) {
        Ok(data) => data,
        Err(error) => return (Some(access), Err(error)),
    };
    let verdict = match asker.desk.bus.react(&access, data) {
        Reaction::Done => Ok(Verdict::Done),
        Reaction::Flush => Ok(Verdict::Flush),
        Reaction::Stop(code) => Ok(Verdict::End(End::ExitPort {
            code,
            record: record(exit, data),
        })),
        Reaction::Power(request) => Ok(Verdict::End(End::Power {
            request,
            record: record(exit, data),
        })),
        Reaction::Post => post::post(asker.desk, asker.vcpu, exit, &access, from),
        Reaction::Ask => device(asker, exit, &access, from),
        Reaction::Unclaimed => return (None, unclaimed(asker.desk, asker.vcpu, exit)),
    };
    (Some(access), verdict)
}

fn record(exit: &Exit, data: &[u8]) -> ExitRecord {
    ExitRecord {
        exit: exit.clone(),
        data: data.to_vec(),
    }
}

/// Asks the handler's device piece by piece, when it is this vCPU's turn.
fn device(
    Asker { desk, vcpu, index }: Asker<'_, '_>,
    exit: &Exit,
    access: &Access,
    from: usize,
) -> Result<Verdict> {
    // What was asked before a pause comes first, also if the run is to end.
    let was_open = desk.handler.left_open() == LeftOpen::Answer;
    if !was_open && let Err(error) = text::flush_before(desk) {
        return Ok(Verdict::Failed(Some(from), error));
    }
    let kick = desk.kick;
    let give_up = || kick.requested().is_some();
    let Some(turn) = desk.bus.turn(access.place, index, give_up) else {
        return Ok(Verdict::Kicked(Some(from)));
    };
    vcpu.show_registers()?;
    let data = vcpu.access_data(exit)?;
    for at in from.. {
        let Some(piece) = access.piece(at) else {
            break;
        };
        if desk.is_kicked() && !(was_open && at == from) {
            return Ok(Verdict::Kicked(Some(at)));
        }
        let (bytes, size) = (piece.of_mut(data), usize::from(piece.size));
        let place = At {
            route: access.route,
            offset: piece.offset,
            size: piece.size,
            vcpu: index,
        };
        let reply = if access.write {
            desk.handler.write(place, item(bytes, size))
        } else {
            let value = desk.handler.read(place);
            value.map(|value| fill_items(bytes, size, value.unwrap_or(u64::MAX)))
        };
        if let Err(why) = reply {
            if why == Unanswered::Paused {
                // P2: nobody else asks about this route meanwhile.
                if let Some(turn) = turn {
                    turn.keep(index);
                }
                return Ok(Verdict::Kicked(Some(at)));
            }
            // A write that the handler has seen is done, whatever came of it; a read is asked
            // again.
            let next = if access.write {
                rest(access, at + 1)
            } else {
                Some(at)
            };
            return Ok(unanswered(why, at, next));
        }
    }
    Ok(Verdict::Done)
}

/// The verdict on a question without an answer; `next` is the first piece that the handler has yet
/// to see.
fn unanswered(why: Unanswered, at: usize, next: Option<usize>) -> Verdict {
    match why {
        Unanswered::Failed => Verdict::Failed(next, handler_failed()),
        Unanswered::Interrupted => Verdict::Kicked(next),
        Unanswered::Withdrawn | Unanswered::Paused => Verdict::Kicked(Some(at)),
    }
}

/// An access that no route claims: an empty bus answers itself, else the handler is asked.
fn unclaimed(desk: &mut Desk<'_>, vcpu: &mut Vcpu, exit: &Exit) -> Result<Verdict> {
    if desk.bus.bus().is_empty_bus {
        // The handler is not asked: a kernel that looks for devices touches the empty bus often.
        if exit.is_read() {
            vcpu.access_data(exit)?.fill(0xff);
        }
        return Ok(Verdict::Done);
    }
    if desk.handler.left_open() != LeftOpen::Answer {
        if let Err(error) = text::flush_before(desk) {
            return Ok(Verdict::Failed(Some(0), error));
        }
        if desk.is_kicked() {
            return Ok(Verdict::Kicked(Some(0)));
        }
    }
    vcpu.show_registers()?;
    let data = vcpu.access_data(exit)?;
    if exit.is_read() {
        data.fill(0);
        let answer = desk.handler.unclaimed_read(exit, data);
        Ok(unclaimed_read(exit, data, answer))
    } else {
        let answer = desk.handler.unclaimed_write(exit, data);
        Ok(match answer {
            Ok(WriteAnswer::Done) => Verdict::Done,
            Ok(WriteAnswer::End) => Verdict::End(End::Exit(record(exit, data))),
            Err(why) => unanswered(why, 0, None),
        })
    }
}

fn unclaimed_read(exit: &Exit, data: &mut [u8], answer: Reply<ReadAnswer>) -> Verdict {
    let item_bytes = match exit {
        Exit::PioIn(port) => usize::from(port.size),
        _ => data.len(),
    };
    match answer {
        Ok(ReadAnswer::Value(value)) => fill_items(data, item_bytes, value),
        Ok(ReadAnswer::Bytes(bytes)) if bytes.len() == data.len() => data.copy_from_slice(&bytes),
        Ok(ReadAnswer::Bytes(_)) => return Verdict::Failed(Some(0), handler_failed()),
        Ok(ReadAnswer::Ones) => data.fill(0xff),
        Ok(ReadAnswer::End) => return Verdict::AwaitsReply(End::Exit(record(exit, &[]))),
        Err(why) => return unanswered(why, 0, Some(0)),
    }
    Verdict::Done
}
