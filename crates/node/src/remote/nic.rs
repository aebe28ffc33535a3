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
