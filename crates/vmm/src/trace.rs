//! Every exit of a machine as a record, while a caller wants it: a ring for each vCPU, whose newest
//! records take the place of the oldest.
//!
//! A ring has one writer, the thread that runs the vCPU, and readers at any time. Nothing is
//! locked: the writer publishes a record after it has written it, and a reader drops what may have
//! been overwritten while it copied. One slot more than the capacity is for the record that is
//! being written.

mod record;
mod recording;
mod ring;
mod tracer;

pub use record::{RECORD_WORDS, REGISTER_WORDS, flags};
pub use recording::{Trace, TraceCopy, TraceSlot};
pub(crate) use tracer::Tracer;
