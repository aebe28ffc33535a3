//! Network cards, as methods of the native class.

use std::sync::Arc;

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use vmm::{Pushed, Remote, RemoteNic};

use crate::machine::NativeMachine;

/// What became of a frame for the guest.
#[napi]
pub enum NativePushed {
    Taken = 0,
    Dropped = 1,
    Full = 2,
}

/// What a network card has counted.
#[napi(object, object_from_js = false)]
pub struct NativeNicCounts {
    /// Frames that the guest has sent.
    pub sent: f64,
    /// Frames that the guest has received.
    pub received: f64,
    /// Frames of both directions that were shorter than 14 bytes or longer than 1518, or for which
    /// there was no link, or no driver.
    pub dropped: f64,
}

#[napi]
impl NativeMachine {
    /// Takes all frames that the guest has sent, by the card's place among the devices that
    /// JavaScript answers, oldest first.
    #[napi]
    pub fn take_frames(&self, remote: u32) -> Vec<Uint8Array> {
        let frames = self.nic(remote).map(|nic| nic.take()).unwrap_or_default();
        frames.into_iter().map(Uint8Array::from).collect()
    }

    /// Sends a frame to the guest, which is a `NativePushed`. One that finds no room may come again
    /// when the card is served.
    #[napi]
    pub fn push_frame(&self, remote: u32, frame: Uint8Array) -> u32 {
        let pushed = self.nic(remote).map(|nic| nic.push(&frame));
        match pushed.unwrap_or(Pushed::Dropped) {
            Pushed::Taken => NativePushed::Taken as u32,
            Pushed::Dropped => NativePushed::Dropped as u32,
            Pushed::Full => NativePushed::Full as u32,
        }
    }

    /// Whether somebody is there at the card's other end.
    #[napi]
    pub fn link_nic(&self, remote: u32, has_link: bool) {
        if let Some(nic) = self.nic(remote) {
            nic.link(has_link);
        }
    }

    /// What the card has counted so far; `null` when the machine is closed.
    #[napi]
    pub fn nic_counts(&self, remote: u32) -> Option<NativeNicCounts> {
        let counts = self.nic(remote)?.counts();
        Some(NativeNicCounts {
            sent: counts.sent as f64,
            received: counts.received as f64,
            dropped: counts.dropped as f64,
        })
    }
}

impl NativeMachine {
    fn nic(&self, remote: u32) -> Option<Arc<RemoteNic>> {
        let found = self.quietly(|life| life.handles.remotes()?.get(remote).cloned());
        match found? {
            Remote::Nic(nic) => Some(nic),
            _ => None,
        }
    }
}
