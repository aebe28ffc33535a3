//! A run: entering the guest, answering what it asks, and writing down what came of it.
//!
//! ```text
//! crew ─► shift ─► drive ─┬─► ask ─┬─► text ─► post ─► desk   asking gives a verdict
//!                         │        └─► handler
//!                         ├─► stopping (breakpoints, watchpoints, steps), which asks likewise
//!                         └─► settle, which alone writes what is pending and what is counted
//! ```

mod ask;
mod clock;
mod crew;
mod desk;
mod drive;
mod handler;
mod inspect;
mod outcome;
mod post;
mod processor;
mod program;
mod saved;
mod shift;
mod stopping;
mod text;
mod verdict;
mod whereabouts;
mod yardstick;

pub(crate) use clock::Alarm;
pub use clock::{RunLimits, Steps};
pub(crate) use crew::Crew;
pub use handler::{
    At, ExitHandler, LeftOpen, ReadAnswer, Reply, StopAnswer, Unanswered, WriteAnswer,
};
pub use outcome::{End, ExitRecord, Outcome, Shutdown, Whereabouts};
pub use processor::Processor;
pub(crate) use saved::CrewState;
pub use saved::ProcessorState;
pub(crate) use shift::Scene;
pub use stopping::StopMeans;
pub(crate) use stopping::stop_means;
