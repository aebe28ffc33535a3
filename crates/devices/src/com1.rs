//! The first serial port on the bus: a 16550, its interrupt line, and the two ways of its bytes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::console::Console;
use crate::output::Output;
use crate::serial::{Serial, SerialState};
use crate::state::{State, saved};
use crate::trigger::Trigger;

/// The interrupt line of a port, for a machine that has interrupt lines.
type Line = Option<Box<dyn Trigger + Send>>;

saved! {
    /// What a [`Com1`] holds.
    Com1State = "com1" {
        /// The chip.
        uart: SerialState,
        /// What the guest has sent and the handler has yet to get.
        text: Vec<u8>,
    }
}

/// The host's end of a serial port, usable from any thread while the machine runs.
#[derive(Debug)]
pub struct SerialPort {
    uart: Mutex<Serial<Line>>,
    /// Whether what the guest sends goes to the handler; else it joins the outcome's text.
    deliver: AtomicBool,
}

impl SerialPort {
    /// Sends bytes to the guest, as many as there is space for, and returns how many.
    pub fn input(&self, bytes: &[u8]) -> usize {
        self.uart().input(bytes)
    }

    /// From now on the handler gets what the guest sends, or no longer.
    pub fn deliver(&self, deliver: bool) {
        self.deliver.store(deliver, Ordering::Relaxed);
    }

    fn uart(&self) -> MutexGuard<'_, Serial<Line>> {
        self.uart.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The guest's end.
#[derive(Debug)]
pub struct Com1 {
    /// The host's end.
    pub port: Arc<SerialPort>,
    console: Console,
}

impl Com1 {
    /// A port as after a reset, whose interrupt goes to `line`.
    pub fn new(line: Option<Box<dyn Trigger + Send>>) -> Self {
        Self {
            port: Arc::new(SerialPort {
                uart: Mutex::new(Serial::new(line)),
                deliver: AtomicBool::new(false),
            }),
            console: Console::new(true),
        }
    }

    /// What the port would need to go on elsewhere: its registers, what the host has sent and the
    /// guest has not read, and the text that was not handed over.
    pub fn save(&self) -> State {
        State::of(&Com1State {
            uart: self.port.uart().save(),
            text: self.console.waiting().to_vec(),
        })
    }

    /// Goes on as the port that saved this, without an interrupt; `false` for what no port saves,
    /// which changes nothing. Whether the handler gets what the guest sends is not its state.
    pub fn restore(&mut self, state: &State) -> bool {
        let Some(Com1State { uart, text }) = state.fields() else {
            return false;
        };
        let restored = self.port.uart().restore(uart);
        if restored {
            self.console.replace(text);
        }
        restored
    }

    /// The byte at `offset`.
    pub fn read(&mut self, offset: u8) -> u8 {
        self.port.uart().read(offset)
    }

    /// What waits for the handler; once that gets no more, it joins the outcome's text.
    pub fn console(&mut self, output: &mut Output) -> &mut Console {
        if !self.port.deliver.load(Ordering::Relaxed)
            && let Some(text) = self.console.take()
        {
            output.push(&text);
        }
        &mut self.console
    }

    /// Takes bytes, each at its offset, and hands on what the guest sends with them.
    pub fn write(&mut self, bytes: impl Iterator<Item = (u8, u8)>, output: &mut Output) {
        self.console(output);
        let mut uart = self.port.uart();
        for (offset, byte) in bytes {
            uart.write(offset, byte);
        }
        let sent = uart.pending_output();
        if self.port.deliver.load(Ordering::Relaxed) {
            self.console.write(sent, output);
        } else {
            output.push(sent);
        }
        uart.clear_output();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Noise;

    /// Writes a byte and hands on what was sent.
    fn write(com1: &mut Com1, offset: u8, byte: u8, output: &mut Output) {
        com1.write(std::iter::once((offset, byte)), output);
    }

    #[test]
    fn a_restored_port_has_its_input_and_its_text() {
        let mut output = Output::default();
        let mut one = Com1::new(None);
        one.port.deliver(true);
        one.port.input(b"in");
        b"out"
            .iter()
            .for_each(|byte| write(&mut one, 0, *byte, &mut output));
        let saved = one.save();
        assert_eq!(
            one.console(&mut output).take().as_deref(),
            Some(&b"out"[..])
        );
        assert_eq!((one.read(0), one.read(0)), (b'i', b'n'));
        write(&mut one, 0, b'!', &mut output);
        // In place, and with the host's end that there was.
        let port = Arc::clone(&one.port);
        assert!(one.restore(&saved));
        assert_eq!(one.save(), saved);
        port.input(b"!");
        assert_eq!([0; 4].map(|_| one.read(0)), *b"in!\0");
        assert_eq!(
            one.console(&mut output).take().as_deref(),
            Some(&b"out"[..])
        );
        assert_eq!(output, Output::default());
    }

    #[test]
    fn without_a_handler_restored_text_is_the_outcomes() {
        let mut output = Output::default();
        let mut one = Com1::new(None);
        one.port.deliver(true);
        write(&mut one, 0, b'x', &mut output);
        let (mut two, mut text) = (Com1::new(None), Output::default());
        assert!(two.restore(&one.save()));
        write(&mut two, 0, b'y', &mut text);
        assert_eq!(text.bytes, b"xy");
        let mut console = Console::new(true);
        console.write(b"z", &mut output);
        let mut silent = Console::new(false);
        assert!(silent.restore(&console.save(), &mut text) && !silent.waits());
        assert_eq!(text.bytes, b"xyz");
        assert!(!silent.restore(&one.save(), &mut text) && !two.restore(&console.save()));
    }

    #[test]
    fn bytes_from_anywhere_are_a_state_or_are_refused() {
        let mut noise = Noise::new(0xc0de);
        let mut one = Com1::new(None);
        one.port.deliver(true);
        one.port.input(b"some bytes");
        one.read(5);
        write(&mut one, 0, b'x', &mut Output::default());
        let good = one.save();
        for length in 0..good.bytes.len() {
            let bytes = good.bytes[..length].to_vec();
            let cut = State {
                bytes,
                ..good.clone()
            };
            assert!(!one.restore(&cut), "{length} bytes of {}", good.bytes.len());
            assert_eq!(one.save(), good);
        }
        for _ in 0..50_000 {
            let mut state = good.clone();
            for _ in 0..1 + noise.below(4) {
                let at = noise.below(state.bytes.len());
                state.bytes[at] = noise.byte();
            }
            let mut two = Com1::new(None);
            if two.restore(&state) {
                assert_eq!(two.save(), state);
                for _ in 0..8 {
                    two.read(noise.below(8) as u8);
                    let offset = noise.below(8) as u8;
                    write(&mut two, offset, noise.byte(), &mut Output::default());
                }
            }
        }
    }
}
