//! What becomes of a stop: handlers are asked one after the other, or the run ends.

use crate::debug::Hit;
use crate::error::Result;
use crate::kvm::exit::Exit;
use crate::run::desk::{Desk, handler_failed};
use crate::run::handler::{LeftOpen, StopAnswer, Unanswered};
use crate::run::outcome::End;
use crate::run::processor::Processor;
use crate::run::text;
use crate::run::verdict::Verdict;

use super::course::Stopping;

impl Stopping<'_> {
    /// The verdict about an exit that tells of a stop, from one of its hits on.
    pub fn judge(
        &self,
        exit: &Exit,
        from: usize,
        processor: &mut Processor,
        desk: &mut Desk<'_>,
    ) -> Result<Verdict> {
        let hits = self.hits(exit, processor);
        for (index, hit) in hits.iter().enumerate().skip(from) {
            if !self.is_wanted(hit) {
                continue;
            }
            if !hit.asks {
                return Ok(Verdict::Over(End::Stop(*hit)));
            }
            if let Some(verdict) = ask(hit, index, processor, desk)? {
                return Ok(verdict);
            }
        }
        Ok(Verdict::Nothing)
    }
}

/// None if the run goes on.
fn ask(
    hit: &Hit,
    index: usize,
    processor: &mut Processor,
    desk: &mut Desk<'_>,
) -> Result<Option<Verdict>> {
    if desk.handler.left_open() != LeftOpen::Answer {
        if let Err(error) = text::flush_before(desk) {
            return Ok(Some(Verdict::Failed(Some(index), error)));
        }
        if desk.is_kicked() {
            return Ok(Some(Verdict::Kicked(Some(index))));
        }
    }
    processor.vcpu.show_registers()?;
    Ok(match desk.handler.stopped(processor.index, hit) {
        Ok(StopAnswer::Go) => None,
        Ok(StopAnswer::End) => Some(Verdict::Over(End::Stop(*hit))),
        Err(Unanswered::Failed) => Some(Verdict::Failed(Some(index + 1), handler_failed())),
        // It was seen, and is not told again.
        Err(Unanswered::Interrupted) => Some(Verdict::Kicked(Some(index + 1))),
        Err(Unanswered::Withdrawn | Unanswered::Paused) => Some(Verdict::Kicked(Some(index))),
    })
}
