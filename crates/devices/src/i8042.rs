//! The PS/2 controller, with nothing plugged in.

use crate::device::{Device, PowerRequest, read_bytes, write_bytes};
use crate::state::{Field, State, saved};

/// Status bits (IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device
/// Controller").
mod status {
    /// A byte waits in the data port.
    pub const OUTPUT_FULL: u8 = 1 << 0;
    /// The self-test has passed.
    pub const SYSTEM: u8 = 1 << 2;
    /// The keyboard is not locked.
    pub const UNLOCKED: u8 = 1 << 4;
    /// The device did not answer in time.
    pub const TIMEOUT: u8 = 1 << 6;
}

/// Bits of the configuration byte.
mod config {
    pub const SYSTEM: u8 = 1 << 2;
    pub const KEYBOARD_OFF: u8 = 1 << 4;
    pub const AUX_OFF: u8 = 1 << 5;
}

const SELF_TEST_PASSED: u8 = 0x55;
/// An interface test's "clock line stuck high".
const NOBODY_THERE: u8 = 0x02;
/// What the data port holds when a device stays silent.
const RESEND: u8 = 0xfe;

/// Low in the output port or pulsed low: the processor is reset.
const RESET_LINE: u8 = 1 << 0;
const A20_LINE: u8 = 1 << 1;

/// Offset of the data port, 0x60 in a PC.
const DATA: u8 = 0;
/// Offset of the status (read) and command (write) port, 0x64 in a PC.
const COMMAND: u8 = 4;

/// Who gets the next byte written to the data port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taker {
    /// The keyboard or the auxiliary device.
    Device,
    /// The configuration byte.
    Config,
    /// The output port.
    OutputPort,
    /// The data port itself.
    Echo,
}

impl Field for Taker {
    fn put(&self, into: &mut Vec<u8>) {
        (*self as u8).put(into);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let all = [Self::Device, Self::Config, Self::OutputPort, Self::Echo];
        all.get(usize::from(u8::take(from)?)).copied()
    }
}

saved! {
    /// The registers of an [`I8042`].
    I8042State = "i8042" {
        /// The byte that waits in the data port.
        output: Option<u8>,
        /// It says that a device did not answer in time.
        timed_out: bool,
        /// The configuration byte.
        config: u8,
        /// The output port.
        output_port: u8,
        /// Who gets the next byte written to the data port.
        taker: Taker,
    }
}

/// An 8042 whose keyboard and auxiliary ports are empty. The controller's own commands work, so
/// that probing gets its answers at once; a byte for a device is answered by a time-out. It raises
/// no interrupts.
///
/// The command 0xfe, or any other that pulls the reset line, resets the machine.
#[derive(Clone, Debug)]
pub struct I8042 {
    state: I8042State,
}

impl Default for I8042 {
    fn default() -> Self {
        Self::new()
    }
}

impl I8042 {
    /// The byte at `offset`; 0 from an empty data port and outside the two ports.
    pub fn read(&mut self, offset: u8) -> u8 {
        match offset {
            DATA => {
                self.state.timed_out = false;
                self.state.output.take().unwrap_or(0)
            }
            COMMAND => self.status(),
            _ => 0,
        }
    }

    /// Takes a byte at `offset`.
    pub fn write(&mut self, offset: u8, value: u8) -> Option<PowerRequest> {
        match offset {
            DATA => self.data(value),
            COMMAND => self.command(value),
            _ => None,
        }
    }
}

impl Device for I8042 {
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
        let Some(state) = state.fields() else {
            return false;
        };
        self.state = state;
        true
    }
}

impl I8042 {
    /// The controller as firmware leaves it: tested, both ports off, A20 on.
    pub fn new() -> Self {
        Self {
            state: I8042State {
                output: None,
                timed_out: false,
                config: config::SYSTEM | config::KEYBOARD_OFF | config::AUX_OFF,
                output_port: RESET_LINE | A20_LINE,
                taker: Taker::Device,
            },
        }
    }

    fn status(&self) -> u8 {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        status::UNLOCKED
            | flag(self.state.output.is_some(), status::OUTPUT_FULL)
            | flag(self.state.config & config::SYSTEM != 0, status::SYSTEM)
            | flag(self.state.timed_out, status::TIMEOUT)
    }

    fn command(&mut self, command: u8) -> Option<PowerRequest> {
        self.state.taker = Taker::Device;
        match command {
            0x20 => self.answer(self.state.config),
            0x60 => self.state.taker = Taker::Config,
            0xa7 => self.state.config |= config::AUX_OFF,
            0xa8 => self.state.config &= !config::AUX_OFF,
            0xa9 | 0xab => self.answer(NOBODY_THERE),
            0xaa => {
                self.state.config |= config::SYSTEM;
                self.answer(SELF_TEST_PASSED);
            }
            0xad => self.state.config |= config::KEYBOARD_OFF,
            0xae => self.state.config &= !config::KEYBOARD_OFF,
            0xd0 => self.answer(self.state.output_port),
            0xd1 => self.state.taker = Taker::OutputPort,
            // Also for the auxiliary port: an echo without its status bit says that there is none.
            0xd2 | 0xd3 => self.state.taker = Taker::Echo,
            // Pulses the lines whose bits are 0.
            0xf0.. if command & RESET_LINE == 0 => return Some(PowerRequest::Reset),
            // 0xd4 among them: the device that takes the next byte stays silent.
            _ => {}
        }
        None
    }

    fn data(&mut self, value: u8) -> Option<PowerRequest> {
        match std::mem::replace(&mut self.state.taker, Taker::Device) {
            Taker::Config => self.state.config = value,
            Taker::Echo => self.answer(value),
            Taker::OutputPort => {
                self.state.output_port = value;
                return (value & RESET_LINE == 0).then_some(PowerRequest::Reset);
            }
            Taker::Device => {
                self.answer(RESEND);
                self.state.timed_out = true;
            }
        }
        None
    }

    /// The output buffer is one byte: a new answer replaces one that was not read.
    fn answer(&mut self, value: u8) {
        self.state.output = Some(value);
        self.state.timed_out = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Noise;

    fn ask(i8042: &mut I8042, command: u8, parameter: Option<u8>) -> Option<u8> {
        assert_eq!(i8042.write(4, command), None);
        if let Some(value) = parameter {
            assert_eq!(i8042.write(0, value), None);
        }
        (i8042.read(4) & 1 != 0).then(|| i8042.read(0))
    }

    #[test]
    fn the_buffer_is_empty_at_first_and_never_refuses_a_write() {
        let mut i8042 = I8042::new();
        assert_eq!(i8042.read(4), 0x14);
        assert_eq!(i8042.read(0), 0);
    }

    #[test]
    fn linux_gets_every_answer_at_once_and_finds_no_aux_port() {
        // The order of drivers/input/serio/i8042.c: self-test, configuration, aux loop, aux test.
        let mut i8042 = I8042::new();
        assert_eq!(ask(&mut i8042, 0xaa, None), Some(0x55));
        let config = ask(&mut i8042, 0x20, None).unwrap();
        assert_eq!(ask(&mut i8042, 0x60, Some(config | 0x01)), None);
        assert_eq!(ask(&mut i8042, 0x20, None), Some(config | 0x01));
        i8042.write(4, 0xd3);
        i8042.write(0, 0x5a);
        assert_eq!(i8042.read(4) & 0x21, 0x01, "a byte, and not from aux");
        assert_eq!(i8042.read(0), 0x5a);
        assert_eq!(ask(&mut i8042, 0xa9, None), Some(0x02));
    }

    #[test]
    fn there_is_no_keyboard() {
        let mut i8042 = I8042::new();
        assert_eq!(ask(&mut i8042, 0xab, None), Some(0x02));
        assert_eq!(ask(&mut i8042, 0xae, None), None);
        // "Reset and self-test": a keyboard would say 0xfa, 0xaa.
        i8042.write(0, 0xff);
        assert_eq!(i8042.read(4), 0x55);
        assert_eq!(i8042.read(0), 0xfe);
        assert_eq!(i8042.read(4), 0x14);
        assert_eq!(ask(&mut i8042, 0xd4, Some(0xf4)), Some(0xfe));
    }

    #[test]
    fn ports_are_turned_on_and_off() {
        let mut i8042 = I8042::new();
        for (command, config) in [(0xae, 0x24), (0xa8, 0x04), (0xad, 0x14), (0xa7, 0x34)] {
            assert_eq!(ask(&mut i8042, command, None), None);
            assert_eq!(ask(&mut i8042, 0x20, None), Some(config));
        }
    }

    #[test]
    fn every_way_to_pull_the_reset_line_resets() {
        let reset = Some(PowerRequest::Reset);
        for command in 0..=0xff {
            let pulls = command >= 0xf0 && command & 1 == 0;
            let asked = I8042::new().write(4, command);
            assert_eq!(asked, reset.filter(|_| pulls), "{command:#x}");
        }
        let mut i8042 = I8042::new();
        assert_eq!(ask(&mut i8042, 0xd0, None), Some(0x03));
        assert_eq!(ask(&mut i8042, 0xd1, Some(0x01)), None);
        assert_eq!(ask(&mut i8042, 0xd0, None), Some(0x01));
        i8042.write(4, 0xd1);
        assert_eq!(i8042.write(0, 0x02), reset);
    }

    #[test]
    fn whatever_a_guest_writes_flushing_ends() {
        let mut noise = Noise::new(0x8042);
        let mut i8042 = I8042::new();
        for _ in 0..200_000 {
            let offset = [0, 4, noise.byte()][noise.below(3)];
            i8042.write(offset, noise.byte());
            if noise.below(4) == 0 {
                i8042.read(0);
                assert_eq!(i8042.read(4) & 0x43, 0, "one read empties the buffer");
            }
            assert_eq!(i8042.read(4) & 0x02, 0, "the input buffer is never full");
        }
    }
}
