//! Signals: what a program wants of them, those on their way, and how they come to its handlers.
//!
//! ```text
//! answers  system calls ─┐
//! traps    faults ───────┼─► state: actions · pending · set · stack ─► delivery ─► frame
//! timer, outside ────────┘
//! ```

mod actions;
mod answers;
mod delivery;
mod frame;
mod futex;
mod pending;
mod set;
mod stack;
mod state;
mod timer;
mod traps;

pub use answers::{answer, answer_process, from_outside, of_pipe, while_open};
pub use delivery::{Delivery, deliver, leave};
pub use frame::Registers;
pub use set::SIGNALS;
pub use state::{Next, Signals};
pub use timer::{is_set_by as sets_timer, look as look_at_time};
pub use traps::{Trap, take};
