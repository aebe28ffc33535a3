//! Whether a posted route announces each write or gathers many: a lone write shall arrive at once,
//! and a flood shall not ring the bell for each write.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long a route gathers before it is looked at; what arrives more rarely is alone.
pub const LOOK: Duration = Duration::from_millis(2);

/// So many writes within [`LOOK`], or at once, are a flood.
const FLOOD: u64 = 8;

/// So many writes in quick succession, each alone, are looked at more closely: a flood whose
/// consumer keeps up looks like a guest that waits for an answer to each. One that is delayed tells
/// them apart.
const FIRST_STREAK: u32 = 16;

/// The longest such streak; each delay that found no flood makes it four times as long.
const LONGEST_STREAK: u32 = 1024;

/// What becomes of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// From now on writes gather, and JavaScript's thread has to look.
    Gather,
    /// From now on each is announced.
    Announce,
}

/// One route's pace.
#[derive(Debug)]
pub struct Pace {
    /// When it began to gather, and the writes since then.
    gathering: Cell<Option<(Instant, u64)>>,
    streak: Cell<u32>,
    longest: Cell<u32>,
    last: Cell<Option<Instant>>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            gathering: Cell::new(None),
            streak: Cell::new(0),
            longest: Cell::new(FIRST_STREAK),
            last: Cell::new(None),
        }
    }
}

impl Pace {
    /// Each write is announced, as at the beginning.
    pub fn reset(&self) {
        self.gathering.set(None);
        self.streak.set(0);
        self.last.set(None);
    }

    /// Whether writes gather.
    pub fn gathers(&self) -> bool {
        self.gathering.get().is_some()
    }

    /// Notes how many writes were taken, perhaps none.
    pub fn took(&self, count: u64, now: Instant) -> Option<Change> {
        match self.gathering.get() {
            Some((since, seen)) => self.look(since, seen.saturating_add(count), now),
            None => self.announced(count, now),
        }
    }

    fn announced(&self, count: u64, now: Instant) -> Option<Change> {
        if count == 0 {
            return None;
        }
        let is_alone = self
            .last
            .replace(Some(now))
            .is_none_or(|last| now - last > LOOK);
        let streak = if is_alone { 0 } else { self.streak.get() + 1 };
        self.streak.set(streak);
        if count < FLOOD && streak < self.longest.get() {
            return None;
        }
        self.streak.set(0);
        self.gathering.set(Some((now, 0)));
        Some(Change::Gather)
    }

    fn look(&self, since: Instant, seen: u64, now: Instant) -> Option<Change> {
        if now - since < LOOK {
            self.gathering.set(Some((since, seen)));
            return None;
        }
        if seen >= FLOOD {
            self.longest.set(FIRST_STREAK);
            self.gathering.set(Some((now, 0)));
            return None;
        }
        self.longest
            .set((self.longest.get() * 4).min(LONGEST_STREAK));
        self.last.set(Some(now));
        self.gathering.set(None);
        Some(Change::Announce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_micros(50);

    #[test]
    fn what_comes_alone_is_announced_for_ever() {
        let (pace, mut now) = (Pace::default(), Instant::now());
        for _ in 0..1000 {
            now += 2 * LOOK;
            assert_eq!(pace.took(1, now), None);
        }
    }

    #[test]
    fn many_at_once_gather_until_they_are_few() {
        let (pace, now) = (Pace::default(), Instant::now());
        assert_eq!(pace.took(FLOOD, now), Some(Change::Gather));
        assert_eq!(pace.took(256, now + SOON), None);
        assert_eq!(pace.took(0, now + LOOK), None);
        assert!(pace.gathers());
        assert_eq!(pace.took(1, now + 2 * LOOK), Some(Change::Announce));
        assert!(!pace.gathers());
    }

    #[test]
    fn a_flood_that_comes_one_by_one_is_found_out() {
        let (pace, mut now) = (Pace::default(), Instant::now());
        let mut announced = 0;
        while pace.took(1, now).is_none() {
            now += SOON;
            announced += 1;
        }
        assert_eq!(announced, FIRST_STREAK);
        assert_eq!(pace.took(40, now + LOOK), None);
        assert!(pace.gathers());
    }

    #[test]
    fn a_guest_that_waits_for_each_answer_is_delayed_ever_more_rarely() {
        let (pace, mut now) = (Pace::default(), Instant::now());
        let mut delays = 0;
        for _ in 0..10_000 {
            let changed = pace.took(1, now);
            now += SOON;
            if changed == Some(Change::Gather) {
                delays += 1;
                now += LOOK;
                assert_eq!(pace.took(1, now), Some(Change::Announce));
            }
        }
        assert!(delays <= 3 + 10_000 / LONGEST_STREAK, "{delays}");
    }
}
