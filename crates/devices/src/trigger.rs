//! Where a device's interrupt goes.

use std::fmt::Debug;

/// An interrupt line that sees edges only.
pub trait Trigger: Debug {
    /// The line rises and falls.
    fn trigger(&self);
}

/// A line that a machine may lack: its interrupts then go nowhere.
impl<T: Trigger + ?Sized> Trigger for Option<Box<T>> {
    fn trigger(&self) {
        if let Some(line) = self {
            (**line).trigger();
        }
    }
}

/// An interrupt line that stays as it is set.
pub trait Level: Debug {
    /// The line is high, and interrupts for as long as it is, or it is low.
    fn set(&self, is_high: bool);
}
