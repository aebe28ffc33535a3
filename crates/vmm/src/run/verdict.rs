//! The verdict about an exit.

use crate::bus::Access;
use crate::debug::Caught;
use crate::error::Error;
use crate::run::outcome::End;

/// What becomes of an exit; the loop settles it.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Answered; the run goes on.
    Done,
    /// As `Done`, and a whole batch of the console's text waits for the handler.
    Flush,
    /// Answered, and the run ends.
    End(End),
    /// The run ends, and the guest waits for a value that comes later.
    AwaitsReply(End),
    /// There is nothing to answer; the run goes on.
    Nothing,
    /// There is nothing to answer, and the run ends.
    Over(End),
    /// A fault, which ends the run.
    Fault(Box<Caught>),
    /// A fault that is mended; the guest tries again.
    Mended(Box<Caught>),
    /// A kick came. From this piece on the next run asks; without one all is answered.
    Kicked(Option<usize>),
    /// As `Kicked`, and the run fails.
    Failed(Option<usize>, Error),
}

/// The piece with this index, if there is one.
pub(crate) fn rest(access: &Access, index: usize) -> Option<usize> {
    access.piece(index).map(|_| index)
}
