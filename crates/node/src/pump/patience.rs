//! How long a thread polls before it sleeps: as long as polling has paid lately.

use std::cell::Cell;
use std::time::Duration;

/// Waking a thread costs some 10 to 50 µs, and so does the event loop's turn: looking longer than
/// this can never pay.
const LONGEST: Duration = Duration::from_micros(100);

/// A wait that would have ended within the longest look, the cost of waking included.
const SHORT_WAIT: Duration = Duration::from_micros(250);

/// A thread's patience. One wait that was short brings it back whole; each that was long halves it,
/// so that rare questions and slow handlers burn nothing.
#[derive(Debug)]
pub struct Patience(Cell<Duration>);

impl Default for Patience {
    fn default() -> Self {
        Self(Cell::new(LONGEST))
    }
}

impl Patience {
    /// Whether to continue polling.
    pub fn lasts(&self, looked: Duration) -> bool {
        looked < self.0.get()
    }

    /// How long a wait has taken in the end.
    pub fn learn(&self, waited: Duration) {
        self.0.set(if waited < SHORT_WAIT {
            LONGEST
        } else {
            self.0.get() / 2
        });
    }
}
