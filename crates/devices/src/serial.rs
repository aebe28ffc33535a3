//! COM1: a 16550 between the guest and two byte queues.
//!
//! vm-superio's `Serial` is the chip. This module adds the host's queue before its receiver FIFO,
//! and the interrupt identification register: an edge is all that an interrupt controller sees of
//! this line, so a guest that reads "nothing pending" with bytes in the FIFO would wait for ever.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;

use vm_superio::serial::{NoEvents, Serial as Uart};

use crate::state::{Field, saved};
use crate::trigger::Trigger;

/// Host bytes that wait for the guest; what is typed or pasted while it is busy. A sender of more
/// is told.
const SERIAL_INPUT_BYTES: usize = 64 << 10;

/// Offsets (PC16550D data sheet, table II).
const DATA: u8 = 0;
const INTERRUPT_ENABLE: u8 = 1;
const INTERRUPT_IDENTIFICATION: u8 = 2;
const FIFO_CONTROL: u8 = 2;
const LINE_CONTROL: u8 = 3;
const MODEM_CONTROL: u8 = 4;
const LINE_STATUS: u8 = 5;

/// Bits of line control, modem control, line status, FIFO control and interrupt enable.
const DLAB: u8 = 1 << 7;
const LOOPBACK: u8 = 1 << 4;
const OVERRUN: u8 = 1 << 1;
const FIFO_ENABLE: u8 = 1 << 0;
const CLEAR_RECEIVER: u8 = 1 << 1;
const RECEIVED_DATA: u8 = 1 << 0;
const TRANSMITTER_EMPTY: u8 = 1 << 1;

/// Interrupt identification (table IV).
const IIR_NONE: u8 = 0x01;
const IIR_TRANSMITTER_EMPTY: u8 = 0x02;
const IIR_RECEIVED_DATA: u8 = 0x04;
const IIR_FIFOS: u8 = 0xc0;

/// The receiver FIFO of vm-superio, four times a 16550's.
const FIFO_BYTES: usize = 64;

/// The trigger as vm-superio wants it; none while a state is put back.
#[derive(Debug)]
struct Line<T>(RefCell<Option<T>>);

impl<T: Trigger> vm_superio::Trigger for Line<T> {
    type E = Infallible;

    fn trigger(&self) -> Result<(), Infallible> {
        if let Some(trigger) = &*self.0.borrow() {
            trigger.trigger();
        }
        Ok(())
    }
}

/// A 16550 with eight byte-wide registers (PC16550D data sheet).
///
/// It differs from the chip in three ways. It sends in no time, so the transmitter is always empty.
/// With FIFOs on it holds 64 received bytes, not 16. And the line waits for the guest: the receiver
/// takes a byte of the host's when the guest looks for one or wants an interrupt for it, so that
/// none overruns it, and FIFO control clears only what it has taken. In loopback the line is cut:
/// what the receiver had of it goes back to wait with the rest.
#[derive(Debug)]
pub struct Serial<T: Trigger> {
    uart: Uart<Line<T>, NoEvents, Vec<u8>>,
    /// Host bytes that wait for room in the receiver FIFO.
    queue: VecDeque<u8>,
    /// Received bytes that the guest wants at a time: 1 until it turns the FIFOs on.
    depth: usize,
    /// Bytes at the receiver FIFO's front that the guest sent itself in an earlier loopback.
    own: usize,
    /// A byte in loopback found no room, and line status has yet to say so.
    overrun: bool,
    interrupt_enable: u8,
    /// An empty transmitter has yet to be identified.
    transmitter_empty: bool,
}

saved! {
    /// The registers and queues of a serial port. What was sent is not part of it.
    SerialState {
        /// vm-superio's registers.
        uart: vm_superio::SerialState,
        /// Host bytes that wait.
        queue: Vec<u8>,
        /// Whether FIFOs are on.
        fifos: bool,
        /// Bytes at the receiver FIFO's front that the guest sent itself.
        own: u8,
        /// Line status has yet to tell of an overrun.
        overrun: bool,
        /// The interrupt enable register.
        interrupt_enable: u8,
        /// An empty transmitter has yet to be identified.
        transmitter_empty: bool,
    }
}

impl Field for vm_superio::SerialState {
    fn put(&self, into: &mut Vec<u8>) {
        let registers = [
            self.baud_divisor_low,
            self.baud_divisor_high,
            self.interrupt_enable,
            self.interrupt_identification,
            self.line_control,
            self.line_status,
            self.modem_control,
            self.modem_status,
            self.scratch,
        ];
        registers.put(into);
        self.in_buffer.put(into);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let registers: [u8; 9] = Field::take(from)?;
        Some(Self {
            baud_divisor_low: registers[0],
            baud_divisor_high: registers[1],
            interrupt_enable: registers[2],
            interrupt_identification: registers[3],
            line_control: registers[4],
            line_status: registers[5],
            modem_control: registers[6],
            modem_status: registers[7],
            scratch: registers[8],
            in_buffer: Field::take(from)?,
        })
    }
}

impl<T: Trigger> Serial<T> {
    /// A UART as after a reset, whose interrupt goes to `trigger`.
    pub fn new(trigger: T) -> Self {
        Self {
            uart: Uart::new(Line(RefCell::new(Some(trigger))), Vec::new()),
            queue: VecDeque::new(),
            depth: 1,
            own: 0,
            overrun: false,
            interrupt_enable: 0,
            transmitter_empty: false,
        }
    }

    /// What it would need to go on elsewhere.
    pub fn save(&self) -> SerialState {
        SerialState {
            uart: self.uart.state(),
            queue: self.queue.iter().copied().collect(),
            fifos: self.depth == FIFO_BYTES,
            own: self.own as u8,
            overrun: self.overrun,
            interrupt_enable: self.interrupt_enable,
            transmitter_empty: self.transmitter_empty,
        }
    }

    /// Goes on where another was saved, on its own line, which stays as it is. `false` for what no
    /// UART saves, which changes nothing.
    pub fn restore(&mut self, state: SerialState) -> bool {
        let depth = if state.fifos { FIFO_BYTES } else { 1 };
        let (received, own) = (state.uart.in_buffer.len(), usize::from(state.own));
        // Loopback gives back what the receiver had.
        let most = SERIAL_INPUT_BYTES + FIFO_BYTES;
        if received > depth || own > received || state.queue.len() > most {
            return false;
        }
        let sent = std::mem::take(self.uart.writer_mut());
        let line = Line(RefCell::default());
        let Ok(uart) = Uart::from_state(&state.uart, line, NoEvents, sent) else {
            return false;
        };
        let trigger = self.uart.interrupt_evt().0.take();
        uart.interrupt_evt().0.replace(trigger);
        *self = Self {
            uart,
            queue: state.queue.into(),
            depth,
            own,
            overrun: state.overrun,
            interrupt_enable: state.interrupt_enable,
            transmitter_empty: state.transmitter_empty,
        };
        true
    }

    /// The register at `offset`; 0 from 8 on. An empty receiver reads as 0, so `rep insb` of more
    /// bytes than there are is filled up with zeros.
    pub fn read(&mut self, offset: u8) -> u8 {
        if offset == INTERRUPT_IDENTIFICATION {
            return self.identify();
        }
        let data = offset == DATA && !self.divisor_latch();
        if (data || offset == LINE_STATUS) && self.received() == 0 {
            self.refill();
        }
        let mut value = self.uart.read(offset);
        if data {
            self.own = self.own.saturating_sub(1);
            if self.received() == 0 {
                self.arrive();
            }
        }
        if offset == LINE_STATUS && std::mem::take(&mut self.overrun) {
            value |= OVERRUN;
        }
        value
    }

    /// Takes a byte at `offset`; what is sent joins [`pending_output`](Self::pending_output).
    pub fn write(&mut self, offset: u8, value: u8) {
        let divisor_latch = self.divisor_latch();
        // Neither the line nor a vector fails.
        match offset {
            DATA if divisor_latch => _ = self.uart.write(offset, value),
            DATA => return self.send(value),
            // The interrupt falls when nothing that is pending is enabled any more, so that it
            // rises again with what is enabled next. vm-superio keeps it up until it is identified.
            INTERRUPT_ENABLE if !divisor_latch => {
                self.interrupt_enable = value;
                if self.pending() == IIR_NONE {
                    self.forget_interrupt();
                }
                self.uart.write(offset, value).ok();
            }
            FIFO_CONTROL => self.control_fifos(value),
            MODEM_CONTROL => self.control_modem(value),
            _ => _ = self.uart.write(offset, value),
        }
        self.arrive();
    }

    /// Sending takes the transmitter's interrupt back and, the byte being gone, raises it anew.
    /// vm-superio does so only for a driver that has identified the last one, and in loopback
    /// never.
    fn send(&mut self, value: u8) {
        self.uart.read(INTERRUPT_IDENTIFICATION);
        self.transmitter_empty = true;
        if !self.loopback() {
            self.uart.write(DATA, value).ok();
            return;
        }
        let full = self.received() >= self.depth;
        self.overrun |= full;
        // Without FIFOs the new byte takes the place of the old one; a full FIFO keeps what it has.
        if full && self.depth == 1 {
            self.take_received();
        }
        if self.received() < self.depth {
            self.uart.write(DATA, value).ok();
        }
        self.uart
            .write(INTERRUPT_ENABLE, self.interrupt_enable)
            .ok();
    }

    /// Turning FIFOs on or off empties them, and so does the clear bit while they are on.
    fn control_fifos(&mut self, value: u8) {
        let enable = value & FIFO_ENABLE != 0;
        let depth = if enable { FIFO_BYTES } else { 1 };
        if depth != self.depth || enable && value & CLEAR_RECEIVER != 0 {
            self.take_received();
            self.own = 0;
        }
        self.depth = depth;
    }

    /// The line is cut or joined again as loopback begins or ends.
    fn control_modem(&mut self, value: u8) {
        let loopback = value & LOOPBACK != 0;
        if loopback && !self.loopback() {
            let mut own = self.take_received();
            for byte in own.drain(self.own..).rev() {
                self.queue.push_front(byte);
            }
            self.uart.enqueue_raw_bytes(&own).ok();
        } else if self.loopback() && !loopback {
            self.own = self.received();
        }
        self.uart.write(MODEM_CONTROL, value).ok();
    }

    /// What the guest has sent since the last clearing. A guest adds to it with every write: take
    /// it between exits.
    pub fn pending_output(&self) -> &[u8] {
        self.uart.writer()
    }

    /// Forgets what the caller has got.
    pub fn clear_output(&mut self) {
        self.uart.writer_mut().clear();
    }

    /// Sends `bytes` to the guest, as many as there is space for, and returns how many.
    pub fn input(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.input_space());
        self.queue.extend(&bytes[..taken]);
        self.arrive();
        taken
    }

    /// Bytes that [`input`](Self::input) would take, at most [`SERIAL_INPUT_BYTES`].
    pub fn input_space(&self) -> usize {
        // What loopback gives back may be more.
        SERIAL_INPUT_BYTES.saturating_sub(self.queue.len())
    }

    /// Bytes in the receiver FIFO.
    fn received(&self) -> usize {
        FIFO_BYTES - self.uart.fifo_capacity()
    }

    /// Empties the receiver FIFO, whose interrupt falls.
    fn take_received(&mut self) -> Vec<u8> {
        let line_control = self.uart.read(LINE_CONTROL);
        self.uart.write(LINE_CONTROL, line_control & !DLAB).ok();
        let bytes = (0..self.received()).map(|_| self.uart.read(DATA)).collect();
        self.uart.write(LINE_CONTROL, line_control).ok();
        bytes
    }

    fn divisor_latch(&mut self) -> bool {
        self.uart.read(LINE_CONTROL) & DLAB != 0
    }

    fn loopback(&mut self) -> bool {
        self.uart.read(MODEM_CONTROL) & LOOPBACK != 0
    }

    /// Receives what waits if the guest wants an interrupt for it; else it is received when the
    /// guest looks.
    fn arrive(&mut self) {
        if self.interrupt_enable & RECEIVED_DATA != 0 {
            self.refill();
        }
    }

    /// Moves waiting bytes into the receiver FIFO, with an interrupt; none in loopback, where the
    /// line is cut.
    fn refill(&mut self) {
        if self.loopback() {
            return;
        }
        let space = self.depth.saturating_sub(self.received());
        let wanted = space.min(self.queue.len());
        if wanted == 0 {
            return;
        }
        // All of them, wherever they lie: FIFO control clears what the receiver has.
        let front = &self.queue.make_contiguous()[..wanted];
        let taken = self.uart.enqueue_raw_bytes(front).unwrap_or(0);
        self.queue.drain(..taken);
    }

    /// The interrupt of the highest priority (table IV): received data for as long as there is any,
    /// then, once, an empty transmitter.
    fn identify(&mut self) -> u8 {
        self.forget_interrupt();
        let pending = self.pending();
        if pending == IIR_TRANSMITTER_EMPTY {
            self.transmitter_empty = false;
        }
        IIR_FIFOS | pending
    }

    fn pending(&self) -> u8 {
        let enabled = |bit: u8| self.interrupt_enable & bit != 0;
        if enabled(RECEIVED_DATA) && self.received() > 0 {
            IIR_RECEIVED_DATA
        } else if enabled(TRANSMITTER_EMPTY) && self.transmitter_empty {
            IIR_TRANSMITTER_EMPTY
        } else {
            IIR_NONE
        }
    }

    /// Makes vm-superio forget what it has interrupted for; that the transmitter is empty is kept
    /// here.
    fn forget_interrupt(&mut self) {
        let pending = self.uart.read(INTERRUPT_IDENTIFICATION);
        self.transmitter_empty |= pending & IIR_TRANSMITTER_EMPTY != 0;
    }
}

#[cfg(test)]
mod tests;
