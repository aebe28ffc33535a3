//! Virtio devices.

pub mod block;
