//! What a device is to a machine.

use std::fmt::Debug;

/// A device with registers of a byte each.
pub trait Chip: Debug + Send {
    /// The byte at `offset`.
    fn read(&mut self, offset: u8) -> u8;

    /// Takes a byte at `offset`; what the guest wants of the whole machine is returned.
    fn write(&mut self, offset: u8, value: u8) -> Option<PowerRequest>;
}

/// What a guest asks of the whole machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerRequest {
    /// Start again from the reset vector.
    Reset,
    /// Power off: the soft-off state S5.
    Off,
}
