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
