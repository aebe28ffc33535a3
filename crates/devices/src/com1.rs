//! The first serial port on the bus: a 16550, its interrupt line, and the two ways of its bytes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::console::Console;
use crate::output::Output;
use crate::serial::{Serial, SerialState};
use crate::trigger::Trigger;

/// The interrupt line of a port, for a machine that has interrupt lines.
type Line = Option<Box<dyn Trigger + Send>>;

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

    /// What the UART would need to go on elsewhere.
    pub fn save(&self) -> SerialState {
        self.port.uart().save()
    }

    /// Goes on as the port that saved this, with another interrupt line; `false` for what no port
    /// saves, which changes nothing.
    pub fn restore(&mut self, state: &SerialState, line: Option<Box<dyn Trigger + Send>>) -> bool {
        let restored = Serial::restored(state, line);
        restored.is_some_and(|uart| {
            *self.port.uart() = uart;
            true
        })
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
