//! Console ports, as methods of the native class.

use std::sync::Arc;

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use vmm::{Remote, RemotePort};

use crate::machine::NativeMachine;

#[napi]
impl NativeMachine {
    /// Takes all bytes that the guest has sent, by the port's place among the devices that
    /// JavaScript answers; `null` when there are none. From the first call on the guest waits for
    /// the next ones.
    #[napi]
    pub fn take_port_bytes(&self, remote: u32) -> Option<Uint8Array> {
        let bytes = self.port(remote)?.take();
        (!bytes.is_empty()).then(|| bytes.into())
    }

    /// Sends bytes to the guest, as many as there is room for, and returns how many. The others may
    /// come when the port is served.
    #[napi]
    pub fn push_port_bytes(&self, remote: u32, bytes: Uint8Array) -> u32 {
        let pushed = self.port(remote).map(|port| port.push(&bytes));
        pushed.unwrap_or_default() as u32
    }

    /// Whether somebody is there at the host's end; else what the guest sends goes nowhere.
    #[napi]
    pub fn open_port(&self, remote: u32, is_open: bool) {
        if let Some(port) = self.port(remote) {
            port.open(is_open);
        }
    }
}

impl NativeMachine {
    fn port(&self, remote: u32) -> Option<Arc<RemotePort>> {
        let found = self.quietly(|life| life.handles.remotes()?.get(remote).cloned());
        match found? {
            Remote::Port(port) => Some(port),
            _ => None,
        }
    }
}
