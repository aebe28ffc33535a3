//! How long JavaScript's thread spends here in one turn of its event loop, and which machine it
//! serves next.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// The longest time in the pump during one turn of the event loop: timers and I/O wait no longer
/// than this.
const TURN: Duration = Duration::from_millis(1);

/// A turn of this length was a slow handler's.
const SLOW: Duration = Duration::from_millis(5);

/// What attending to a machine came to; the greatest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Served {
    Nothing,
    Something,
    /// A handler returned a promise; JavaScript must get its turn before it can settle.
    Promise,
}

/// The part of an event loop's turn that the pump takes.
pub struct Turn(Cell<Instant>);

impl Turn {
    pub fn new() -> Self {
        Self(Cell::new(Instant::now()))
    }

    /// The event loop has turned.
    pub fn begin(&self, now: Instant) {
        self.0.set(now);
    }

    /// Whether it is used up: the event loop comes first.
    pub fn is_over(&self) -> bool {
        self.is_over_at(Instant::now())
    }

    pub fn is_over_at(&self, now: Instant) -> bool {
        now.duration_since(self.0.get()) > TURN
    }

    /// Whether a slow handler has used it up.
    pub fn is_slow(&self) -> bool {
        self.0.get().elapsed() > SLOW
    }

    /// Serves one after the other until the turn is over; then the next turn begins with the one
    /// whose turn it is.
    pub fn each<T>(&self, next: &Cell<usize>, all: &[T], serve: impl Fn(&T) -> Served) -> Served {
        let (first, mut served) = (next.get(), Served::Nothing);
        let by_turns = (0..all.len()).map(|step| (first + step) % all.len());
        for (step, one) in by_turns.filter_map(|index| Some((index, all.get(index)?))) {
            let came_to = serve(one);
            served = served.max(came_to);
            if all.len() > 1 && came_to != Served::Nothing && self.is_over() {
                next.set(step + 1);
                break;
            }
        }
        served
    }
}
