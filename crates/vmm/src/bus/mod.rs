//! The address map: which port and which address belongs to which route, and what stands there.
//!
//! ```text
//! map ─► route ─┬─ backend   what answers: a value, a console, a ring, a device, the handler
//!   │           ├─ gate      vCPUs ask about it one after the other
//!   │           └─ counters
//!   └─► table ─► claim
//! ```

mod access;
mod backend;
mod claim;
mod counts;
mod feed;
mod gate;
pub mod irqchip;
mod map;
mod ring;
mod route;
mod saved;
mod table;
mod target;
mod watch;

pub(crate) use access::Access;
pub(crate) use backend::{Backend, Reaction, fill_items, item};
pub(crate) use claim::Standing;
pub use claim::{Base, Claim, RouteId};
pub use counts::{Counter, RouteCounters};
pub use feed::{EventCount, Feed};
pub(crate) use gate::Turn;
pub(crate) use map::{Bus, BusAccess};
pub use ring::{PostedRing, PostedWrite};
pub(crate) use route::{Doorbell, Route};
pub(crate) use saved::BusState;
pub(crate) use table::{Place, Row, Table};
pub use target::{RouteConfig, RouteTarget};
pub use watch::Watch;
