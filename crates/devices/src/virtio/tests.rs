//! The transport, its rings and its devices, with a driver that may do anything.

mod fuzz;
mod guest;
mod keeper;
mod lifetime;
mod malformed;
mod transport;
