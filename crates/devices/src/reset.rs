//! Registers by which a guest resets its machine.

use crate::device::{Device, PowerRequest, read_bytes, write_bytes};
use crate::state::{State, saved};

/// SYS_RST, RST_CPU and FULL_RST.
const RESET_BITS: u8 = 0x0e;
const RST_CPU: u8 = 1 << 2;

saved! {
    /// The register of a [`ResetControl`].
    ResetControlState = "reset-control" {
        /// The bits last written.
        value: u8,
    }
}

/// The reset control register of Intel's chipsets, one byte (ICH10 data sheet §13.7.5, RST_CNT).
/// What kind of reset is asked for makes no difference to a virtual machine.
#[derive(Clone, Debug)]
pub struct ResetControl {
    state: ResetControlState,
}

impl ResetControl {
    /// What to write for a hard reset; the FADT's RESET_VALUE.
    pub const HARD_RESET: u8 = 0x06;

    /// The register as after a reset.
    pub const fn new() -> Self {
        Self {
            state: ResetControlState { value: 0 },
        }
    }
}

impl Default for ResetControl {
    fn default() -> Self {
        Self::new()
    }
}

impl ResetControl {
    /// The bits last written.
    pub fn read(&mut self, _: u8) -> u8 {
        self.state.value
    }

    /// Takes the register's new value.
    pub fn write(&mut self, _: u8, value: u8) -> Option<PowerRequest> {
        self.state.value = value & RESET_BITS;
        (value & RST_CPU != 0).then_some(PowerRequest::Reset)
    }
}

impl Device for ResetControl {
    fn read(&mut self, offset: u32, data: &mut [u8]) {
        read_bytes(offset, data, |at| Self::read(self, at));
    }

    fn write(&mut self, offset: u32, data: &[u8]) -> Option<PowerRequest> {
        write_bytes(offset, data, |at, value| Self::write(self, at, value))
    }

    fn save(&self) -> State {
        State::of(&self.state)
    }

    fn restore(&mut self, state: &State) -> bool {
        let Some(ResetControlState { value }) = state.fields() else {
            return false;
        };
        self.state.value = value & RESET_BITS;
        true
    }
}

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
    use crate::noise::Noise;

    #[test]
    fn rst_cpu_resets() {
        let mut reset = ResetControl::new();
        assert_eq!(reset.write(0, 0x02), None);
        assert_eq!(reset.read(0), 0x02);
        assert_eq!(
            reset.write(0, ResetControl::HARD_RESET),
            Some(PowerRequest::Reset)
        );
        assert_eq!(reset.write(0, 0xff), Some(PowerRequest::Reset));
        assert_eq!(reset.read(0), 0x0e);
    }

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

    #[test]
    fn only_rst_cpu_asks_for_anything() {
        let mut noise = Noise::new(0x9e37_79b9);
        let mut reset = ResetControl::new();
        for _ in 0..200_000 {
            let value = noise.byte();
            let again = value & RST_CPU != 0;
            assert_eq!(reset.write(0, value), again.then_some(PowerRequest::Reset));
        }
    }
}
