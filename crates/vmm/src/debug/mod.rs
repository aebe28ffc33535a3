//! What looks into a guest, and tells why it failed.

mod fault;
mod means;
mod sample;
mod stops;
mod virtual_memory;

pub use fault::Fault;
pub(crate) use fault::{Caught, caught_in, is_told};
pub use means::{DebugMeans, Int3, Means, Place};
pub use sample::{Activity, CodeSpace, Sample, Sampler, Samples, Stack};
pub use stops::{Hit, HitKind, Stop, StopAt, StopKind, Stops, WatchOn, Watched};
pub use virtual_memory::VirtualMemory;
