//! The PS/2 controller, with a keyboard.

mod keyboard;
mod translation;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::device::{Device, PowerRequest, read_bytes, write_bytes};
use crate::state::{Field, State, saved};
use crate::trigger::Trigger;
pub use keyboard::KEYBOARD_QUEUE_CODES;
use keyboard::KeyboardState;

/// Codes that are read in a row at most before the data port is seen empty once. Who wants it
/// flushed reads until then: Linux and SeaBIOS up to 16 times, the bytes that a keyboard keeps, and
/// take a port that is still full for a broken one.
const MOST_IN_A_ROW: u8 = 15;

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
    pub const KEYBOARD_INTERRUPT: u8 = 1 << 0;
    pub const SYSTEM: u8 = 1 << 2;
    pub const KEYBOARD_OFF: u8 = 1 << 4;
    pub const AUX_OFF: u8 = 1 << 5;
    pub const TRANSLATE: u8 = 1 << 6;
}

const SELF_TEST_PASSED: u8 = 0x55;
/// An interface test's "no error".
const INTERFACE_PASSED: u8 = 0x00;
/// An interface test's "clock line stuck high".
const NOBODY_THERE: u8 = 0x02;
/// What the data port holds when a device stays silent.
const RESEND: u8 = 0xfe;
/// The input port: the keyboard is not locked.
const INPUT_PORT: u8 = 0x80;

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
    Keyboard,
    /// The auxiliary device, which is not there.
    Aux,
    /// The configuration byte.
    Config,
    /// The output port.
    OutputPort,
    /// The data port itself, as if from the keyboard.
    Echo,
    /// The same, as if from the auxiliary device.
    AuxEcho,
}

impl Field for Taker {
    fn put(&self, into: &mut Vec<u8>) {
        (*self as u8).put(into);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let all = [
            Self::Keyboard,
            Self::Aux,
            Self::Config,
            Self::OutputPort,
            Self::Echo,
            Self::AuxEcho,
        ];
        all.get(usize::from(u8::take(from)?)).copied()
    }
}

saved! {
    /// What an [`I8042`] holds.
    I8042State = "i8042" {
        /// The byte that waits in the data port.
        output: Option<u8>,
        /// It is the keyboard's next, which goes on when it is read.
        is_keyboards: bool,
        /// What was read there last.
        last: u8,
        /// It says that a device did not answer in time.
        timed_out: bool,
        /// The configuration byte.
        config: u8,
        /// The output port.
        output_port: u8,
        /// Who gets the next byte written to the data port.
        taker: Taker,
        /// Codes read since the data port was last seen empty.
        in_a_row: u8,
        /// The next code waits until the data port is seen empty, or is read.
        pauses: bool,
        keyboard: KeyboardState,
    }
}

/// The interrupt line of the keyboard, for a machine that has interrupt lines.
type Line = Option<Box<dyn Trigger + Send>>;

/// The host's end of the keyboard, usable from any thread while the machine runs.
#[derive(Debug)]
pub struct KeyboardPort(Mutex<Controller>);

impl KeyboardPort {
    /// Types codes of set 1, as many as there is space for, and returns how many.
    pub fn push(&self, codes: &[u8]) -> usize {
        let mut controller = self.controller();
        let taken = controller.state.keyboard.push(codes);
        controller.load();
        taken
    }

    /// Codes that wait for the guest, at most [`KEYBOARD_QUEUE_CODES`].
    pub fn unread(&self) -> usize {
        self.controller().state.keyboard.unread()
    }

    fn controller(&self) -> MutexGuard<'_, Controller> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An 8042 with a keyboard and an empty auxiliary port, as firmware leaves it: tested, the keyboard
/// on, with interrupts, its codes translated to set 1. Every command is answered at once. Codes
/// that the guest does not want yet wait, also while it turns the keyboard off or resets it.
///
/// The command 0xfe, or any other that pulls the reset line, resets the machine.
#[derive(Debug)]
pub struct I8042 {
    /// The host's end.
    pub port: Arc<KeyboardPort>,
}

impl I8042 {
    /// The controller, whose keyboard's interrupt goes to `line`.
    pub fn new(line: Option<Box<dyn Trigger + Send>>) -> Self {
        let controller = Controller {
            state: I8042State::new(),
            line,
        };
        Self {
            port: Arc::new(KeyboardPort(Mutex::new(controller))),
        }
    }

    /// The byte at `offset`; 0 outside the two ports. An empty data port keeps what was read last.
    pub fn read(&mut self, offset: u8) -> u8 {
        match offset {
            DATA => self.port.controller().read_data(),
            COMMAND => self.port.controller().read_status(),
            _ => 0,
        }
    }

    /// Takes a byte at `offset`.
    pub fn write(&mut self, offset: u8, value: u8) -> Option<PowerRequest> {
        match offset {
            DATA => self.port.controller().write_data(value),
            COMMAND => self.port.controller().command(value),
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
        State::of(&self.port.controller().state)
    }

    fn restore(&mut self, state: &State) -> bool {
        let Some(state) = state.fields().filter(I8042State::is_whole) else {
            return false;
        };
        self.port.controller().state = state;
        true
    }
}

impl I8042State {
    fn new() -> Self {
        Self {
            output: None,
            is_keyboards: false,
            last: 0,
            timed_out: false,
            config: config::KEYBOARD_INTERRUPT
                | config::SYSTEM
                | config::AUX_OFF
                | config::TRANSLATE,
            output_port: RESET_LINE | A20_LINE,
            taker: Taker::Keyboard,
            in_a_row: 0,
            pauses: false,
            keyboard: KeyboardState::new(),
        }
    }

    /// Whether it is one that a controller can have.
    fn is_whole(&self) -> bool {
        let is_there = self.output.is_some();
        let keyboards = self.keyboard.replies() || self.keyboard.unread() > 0;
        self.keyboard.is_whole()
            && self.in_a_row <= MOST_IN_A_ROW
            && (!self.is_keyboards || is_there && keyboards)
            && !(self.pauses && is_there)
    }

    fn has(&self, bit: u8) -> bool {
        self.config & bit != 0
    }
}

/// The chip.
#[derive(Debug)]
struct Controller {
    state: I8042State,
    line: Line,
}

impl Controller {
    fn read_status(&mut self) -> u8 {
        let state = &self.state;
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let seen = status::UNLOCKED
            | flag(state.output.is_some(), status::OUTPUT_FULL)
            | flag(state.has(config::SYSTEM), status::SYSTEM)
            | flag(state.timed_out, status::TIMEOUT);
        if seen & status::OUTPUT_FULL == 0 {
            self.seen_empty();
        }
        seen
    }

    fn read_data(&mut self) -> u8 {
        if self.state.pauses {
            self.seen_empty();
        }
        let state = &mut self.state;
        state.timed_out = false;
        if let Some(byte) = state.output.take() {
            state.last = byte;
            if std::mem::take(&mut state.is_keyboards) {
                let is_code = !state.keyboard.replies();
                state.in_a_row += u8::from(is_code && state.in_a_row < MOST_IN_A_ROW);
                let translates = state.has(config::TRANSLATE);
                state.keyboard.sent(byte, translates);
            }
            self.load();
        }
        self.state.last
    }

    /// The guest has seen the data port empty: what waited for that comes.
    fn seen_empty(&mut self) {
        self.state.in_a_row = 0;
        self.state.pauses = false;
        self.load();
    }

    /// The keyboard's next byte goes into the data port if that is empty.
    fn load(&mut self) {
        let state = &mut self.state;
        if state.output.is_some() || state.pauses || state.has(config::KEYBOARD_OFF) {
            return;
        }
        let Some(byte) = state.keyboard.next(state.has(config::TRANSLATE)) else {
            return;
        };
        if !state.keyboard.replies() && state.in_a_row >= MOST_IN_A_ROW {
            // A guest that waits for an interrupt gets one, and then sees that nothing is there.
            state.pauses = true;
        } else {
            state.output = Some(byte);
            state.is_keyboards = true;
            state.timed_out = false;
        }
        self.interrupt();
    }

    /// The line rises: there is a byte of the keyboard's.
    fn interrupt(&self) {
        if self.state.has(config::KEYBOARD_INTERRUPT) {
            self.line.trigger();
        }
    }

    fn command(&mut self, command: u8) -> Option<PowerRequest> {
        self.state.taker = Taker::Keyboard;
        match command {
            0x20 => self.answer(self.state.config),
            0x60 => self.state.taker = Taker::Config,
            0xa7 => self.state.config |= config::AUX_OFF,
            0xa8 => self.state.config &= !config::AUX_OFF,
            0xa9 => self.answer(NOBODY_THERE),
            0xaa => {
                self.state.config |= config::SYSTEM;
                self.answer(SELF_TEST_PASSED);
            }
            0xab => self.answer(INTERFACE_PASSED),
            0xad => self.state.config |= config::KEYBOARD_OFF,
            0xae => self.configure(self.state.config & !config::KEYBOARD_OFF),
            0xc0 => self.answer(INPUT_PORT),
            0xd0 => self.answer(self.state.output_port),
            0xd1 => self.state.taker = Taker::OutputPort,
            0xd2 => self.state.taker = Taker::Echo,
            // An echo without the status bit of the auxiliary port says that there is none.
            0xd3 => self.state.taker = Taker::AuxEcho,
            0xd4 => self.state.taker = Taker::Aux,
            // Pulses the lines whose bits are 0.
            0xf0.. if command & RESET_LINE == 0 => return Some(PowerRequest::Reset),
            _ => {}
        }
        None
    }

    fn write_data(&mut self, value: u8) -> Option<PowerRequest> {
        match std::mem::replace(&mut self.state.taker, Taker::Keyboard) {
            Taker::Keyboard => self.tell_keyboard(value),
            Taker::Aux => {
                self.answer(RESEND);
                self.state.timed_out = true;
            }
            Taker::Config => self.configure(value),
            Taker::Echo => {
                self.answer(value);
                self.interrupt();
            }
            Taker::AuxEcho => self.answer(value),
            Taker::OutputPort => {
                self.state.output_port = value;
                return (value & RESET_LINE == 0).then_some(PowerRequest::Reset);
            }
        }
        None
    }

    /// A byte for the keyboard turns its port on, or it would not get there. Its answer goes before
    /// a code that was not read, and that code comes again.
    fn tell_keyboard(&mut self, value: u8) {
        let state = &mut self.state;
        state.config &= !config::KEYBOARD_OFF;
        state.keyboard.command(value);
        state.output = None;
        state.is_keyboards = false;
        state.pauses = false;
        self.load();
    }

    fn configure(&mut self, value: u8) {
        let before = std::mem::replace(&mut self.state.config, value);
        let rises = !before & value & config::KEYBOARD_INTERRUPT != 0;
        if rises && self.state.is_keyboards {
            self.interrupt();
        }
        self.load();
    }

    /// The output buffer is one byte: a new answer replaces one that was not read. A code that was
    /// not read comes again.
    fn answer(&mut self, value: u8) {
        self.state.output = Some(value);
        self.state.is_keyboards = false;
        self.state.pauses = false;
        self.state.timed_out = false;
    }
}

#[cfg(test)]
mod tests;
