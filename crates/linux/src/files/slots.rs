//! Numbered places, of which the lowest free one is taken.

use serde::{Deserialize, Serialize};

/// Values by small numbers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Slots<T>(Vec<Option<T>>);

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Slots<T> {
    /// The value at `number`.
    pub fn get(&self, number: usize) -> Option<&T> {
        self.0.get(number)?.as_ref()
    }

    /// The value at `number`, to change.
    pub fn get_mut(&mut self, number: usize) -> Option<&mut T> {
        self.0.get_mut(number)?.as_mut()
    }

    /// The lowest free number from `first` on, below `most`.
    pub fn free(&self, first: usize, most: usize) -> Option<usize> {
        let free = (first..self.0.len()).find(|number| self.get(*number).is_none());
        Some(free.unwrap_or(self.0.len().max(first))).filter(|number| *number < most)
    }

    /// Puts `value` at `number`, which the caller bounds, and returns what was there.
    pub fn put(&mut self, number: usize, value: T) -> Option<T> {
        if number >= self.0.len() {
            self.0.resize_with(number + 1, || None);
        }
        self.0.get_mut(number)?.replace(value)
    }

    /// Takes the value at `number` out.
    pub fn take(&mut self, number: usize) -> Option<T> {
        let value = self.0.get_mut(number)?.take();
        while self.0.last().is_some_and(Option::is_none) {
            self.0.pop();
        }
        value
    }

    /// One more than the highest number that is taken.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All values.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }
}
