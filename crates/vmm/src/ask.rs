//! What only the handler can answer: accesses of its devices, and accesses that no route claims.

use crate::access::Access;
use crate::device::{fill_items, item};
use crate::error::Result;
use crate::exit::Exit;
use crate::handler::{Answer, Question};
use crate::outcome::{End, ExitRecord};
use crate::processor::Pending;
use crate::run::{Next, Run, handler_failed};

impl Run<'_> {
    /// Asks the handler's device piece by piece; a kick in between leaves the rest to the next run.
    pub(crate) fn ask_device(&mut self, exit: Exit, access: &Access, from: usize) -> Result<Next> {
        for index in from.. {
            let Some(piece) = access.piece(index) else {
                break;
            };
            if self.kick.requested().is_some() {
                self.processor.pending = Pending::Open(exit, index);
                return Ok(Next::Kicked);
            }
            let data = self.processor.vcpu.access_data(&exit)?;
            let bytes = data
                .get_mut(piece.start..piece.start + usize::from(piece.size))
                .unwrap_or_default();
            let (route, offset, size, vcpu) =
                (access.route, piece.offset, piece.size, self.processor.index);
            let answer = self.handler.answer(if access.write {
                Question::Write {
                    route,
                    offset,
                    size,
                    value: item(bytes, usize::from(size)),
                    vcpu,
                }
            } else {
                Question::Read {
                    route,
                    offset,
                    size,
                    vcpu,
                }
            });
            // A write that the handler has seen is done, whatever came of it; a read is asked again.
            let again = if access.write { index + 1 } else { index };
            match answer {
                Answer::Value(value) => fill_items(bytes, usize::from(size), value),
                Answer::Done if access.write => {}
                Answer::Done => bytes.fill(0xff),
                Answer::Withdrawn => {
                    self.processor.pending = Pending::Open(exit, index);
                    return Ok(Next::Kicked);
                }
                Answer::Interrupted => {
                    self.leave(exit, access, again);
                    return Ok(Next::Kicked);
                }
                Answer::Failed | Answer::End | Answer::Bytes(_) => {
                    self.leave(exit, access, again);
                    return Err(handler_failed());
                }
            }
        }
        self.count_items(access);
        self.processor.pending = Pending::Answered;
        Ok(Next::Enter)
    }

    /// Leaves the pieces from `index` on to the next run; without one the access is done.
    pub(crate) fn leave(&mut self, exit: Exit, access: &Access, index: usize) {
        if access.piece(index).is_some() {
            self.processor.pending = Pending::Open(exit, index);
        } else {
            self.count_items(access);
            self.processor.pending = Pending::Answered;
        }
    }

    pub(crate) fn answer_unclaimed(&mut self, exit: Exit) -> Result<Next> {
        let read = exit.is_read();
        if self.wiring.empty_bus {
            if read {
                self.processor.vcpu.access_data(&exit)?.fill(0xff);
            }
            self.processor.pending = Pending::Answered;
            return Ok(Next::Enter);
        }
        // Nobody is asked about an empty bus, and a kernel that looks for devices touches it often.
        self.flush_before(&exit, 0)?;
        if self.kick.requested().is_some() {
            self.processor.pending = Pending::Open(exit, 0);
            return Ok(Next::Kicked);
        }
        let data = self.processor.vcpu.access_data(&exit)?;
        if read {
            data.fill(0);
        }
        let item_bytes = match exit {
            Exit::PioIn(ref port) => usize::from(port.size),
            _ => data.len(),
        };
        let seen = if read {
            Pending::Open(exit.clone(), 0)
        } else {
            Pending::Answered
        };
        match self
            .handler
            .answer(Question::Unclaimed { exit: &exit, data })
        {
            Answer::Value(value) if read => fill_items(data, item_bytes, value),
            Answer::Bytes(bytes) if read && bytes.len() == data.len() => {
                data.copy_from_slice(&bytes)
            }
            Answer::Done | Answer::Value(_) if !read => {}
            Answer::Done => data.fill(0xff),
            Answer::End => {
                let record = ExitRecord {
                    data: if read { Vec::new() } else { data.to_vec() },
                    exit: exit.clone(),
                };
                self.processor.pending = if read {
                    Pending::Reply(exit)
                } else {
                    Pending::Answered
                };
                return Ok(Next::End(End::Exit(record)));
            }
            Answer::Withdrawn => {
                self.processor.pending = Pending::Open(exit, 0);
                return Ok(Next::Kicked);
            }
            Answer::Interrupted => {
                self.processor.pending = seen;
                return Ok(Next::Kicked);
            }
            Answer::Failed | Answer::Value(_) | Answer::Bytes(_) => {
                self.processor.pending = seen;
                return Err(handler_failed());
            }
        }
        self.processor.pending = Pending::Answered;
        Ok(Next::Enter)
    }
}
