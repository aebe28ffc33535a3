//! System control port A.

use crate::device::{Device, PowerRequest, read_bytes, write_bytes};
use crate::state::{State, saved};

/// Of system control port A: address line 20 is not masked.
const A20_ENABLED: u8 = 1 << 1;
const FAST_RESET: u8 = 1 << 0;

saved! {
    /// The register of a [`ControlA`].
    ControlAState = "control-a" {
        /// The bits last written.
        value: u8,
    }
}

/// System control port A of the PS/2 (IBM PS/2 Technical Reference): its bit 0 resets where it goes
/// from 0 to 1. Address line 20 is on whatever is written, as on processors of this century.
#[derive(Clone, Debug)]
pub struct ControlA {
    state: ControlAState,
}

impl ControlA {
    /// The register as after a reset.
    pub const fn new() -> Self {
        Self {
            state: ControlAState { value: 0 },
        }
    }
}

impl Default for ControlA {
    fn default() -> Self {
        Self::new()
    }
}

impl Device for ControlA {
    fn read(&mut self, offset: u32, data: &mut [u8]) {
        let value = self.state.value | A20_ENABLED;
        read_bytes(offset, data, |_| value);
    }

    fn write(&mut self, offset: u32, data: &[u8]) -> Option<PowerRequest> {
        write_bytes(offset, data, |_, value| {
            let was = std::mem::replace(&mut self.state.value, value);
            (value & !was & FAST_RESET != 0).then_some(PowerRequest::Reset)
        })
    }

    fn save(&self) -> State {
        State::of(&self.state)
    }

    fn restore(&mut self, state: &State) -> bool {
        let Some(state) = state.fields() else {
            return false;
        };
        self.state = state;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_reset_is_an_edge_and_a20_stays_on() {
        let mut port = ControlA::new();
        let mut read = [0];
        for (value, request) in [
            (0x00, None),
            (0x02, None),
            (0x03, Some(PowerRequest::Reset)),
            (0x01, None),
            (0x00, None),
            (0x01, Some(PowerRequest::Reset)),
        ] {
            assert_eq!(Device::write(&mut port, 0, &[value]), request, "{value}");
            Device::read(&mut port, 0, &mut read);
            assert_eq!(read, [value | 0x02]);
        }
        let saved = port.save();
        let mut other = ControlA::new();
        assert!(other.restore(&saved) && other.save() == saved);
    }
}
