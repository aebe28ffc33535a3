//! The registers of the adapter at ports 0x3c0 to 0x3df, and the host's end of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::picture::{Cursor, Look};
use super::state::VgaState;
use crate::device::{Clock, Context, Device, PowerRequest, SystemClock, read_bytes, write_bytes};
use crate::state::State;

/// Ports of an adapter, from 0x3c0 on.
pub const VGA_PORTS: u32 = 0x20;

/// Offsets of the registers from port 0x3c0 (IBM VGA, "Video Subsystem", register summary).
mod port {
    pub const ATTRIBUTE: u8 = 0x00;
    pub const ATTRIBUTE_DATA: u8 = 0x01;
    /// Write: miscellaneous output. Read: input status 0.
    pub const MISC: u8 = 0x02;
    pub const SEQUENCER: u8 = 0x04;
    pub const SEQUENCER_DATA: u8 = 0x05;
    pub const DAC_MASK: u8 = 0x06;
    /// Write: the index of reads. Read: which kind of access comes next.
    pub const DAC_READ: u8 = 0x07;
    pub const DAC_WRITE: u8 = 0x08;
    pub const DAC_DATA: u8 = 0x09;
    pub const FEATURE_READ: u8 = 0x0a;
    pub const MISC_READ: u8 = 0x0c;
    pub const GRAPHICS: u8 = 0x0e;
    pub const GRAPHICS_DATA: u8 = 0x0f;
    pub const CRTC: u8 = 0x14;
    pub const CRTC_DATA: u8 = 0x15;
    /// Read: input status 1. Write: feature control.
    pub const STATUS: u8 = 0x1a;
}

/// Registers of the CRT controller that count here.
mod crtc {
    pub const CURSOR_START: usize = 0x0a;
    pub const CURSOR_END: usize = 0x0b;
    pub const START_HIGH: usize = 0x0c;
    pub const START_LOW: usize = 0x0d;
    pub const CURSOR_HIGH: usize = 0x0e;
    pub const CURSOR_LOW: usize = 0x0f;
    /// Bit 7 protects registers 0 to 7.
    pub const RETRACE_END: usize = 0x11;
    pub const PROTECTED: usize = 8;
    pub const CURSOR_OFF: u8 = 0x20;
    pub const LINE: u8 = 0x1f;
}

/// Registers of the attribute controller that count here; the first 16 are the palette.
mod attribute {
    pub const MODE: usize = 0x10;
    pub const COLOUR_SELECT: usize = 0x14;
    pub const BLINKS: u8 = 0x08;
    /// Bits 4 and 5 of a colour come from the colour select register.
    pub const SELECTS: u8 = 0x80;
}

/// Vertical retrace, or none of the picture is shown.
pub(super) const IN_RETRACE: u8 = 1 << 3;
pub(super) const BLANK: u8 = 1 << 0;

/// A line of the picture, 449 of which make a frame: 400 are shown, and four fifths of each.
const LINE_NS: u128 = 31_778;
const FRAME_LINES: u128 = 449;
const SHOWN_LINES: u128 = 400;

/// The host's end of an adapter.
#[derive(Debug)]
pub struct VgaPort(Mutex<VgaState>);

impl Default for VgaPort {
    fn default() -> Self {
        Self(Mutex::new(VgaState::text()))
    }
}

impl VgaPort {
    /// What shows on a screen, at any time.
    pub fn look(&self) -> Look {
        let state = self.lock();
        let word =
            |high: usize, low: usize| u16::from_be_bytes([state.crtc[high], state.crtc[low]]);
        let first = state.crtc[crtc::CURSOR_START];
        let (top, last) = (
            first & crtc::LINE,
            state.crtc[crtc::CURSOR_END] & crtc::LINE,
        );
        let on = first & crtc::CURSOR_OFF == 0 && top <= last;
        let mut colours = [[0; 3]; 16];
        for (colour, to) in colours.iter_mut().enumerate() {
            *to = state.colour(colour);
        }
        Look {
            start: word(crtc::START_HIGH, crtc::START_LOW),
            cursor: on.then(|| Cursor {
                cell: word(crtc::CURSOR_HIGH, crtc::CURSOR_LOW),
                first: top,
                last,
            }),
            colours,
            blinks: state.attribute[attribute::MODE] & attribute::BLINKS != 0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, VgaState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl VgaState {
    /// Red, green and blue of one of the 16 colours, eight bits each.
    fn colour(&self, colour: usize) -> [u8; 3] {
        let own = self.attribute[colour & 0x0f] & 0x3f;
        let select = self.attribute[attribute::COLOUR_SELECT];
        let index = if self.attribute[attribute::MODE] & attribute::SELECTS == 0 {
            own | (select & 0x0c) << 4
        } else {
            own & 0x0f | (select & 0x0f) << 4
        };
        let at = usize::from(index & self.dac_mask) * 3;
        [0, 1, 2].map(|part| {
            let six = self.dac[at + part] & 0x3f;
            six << 2 | six >> 4
        })
    }

    fn read(&mut self, offset: u8, since_1970: Duration) -> u8 {
        match offset {
            port::ATTRIBUTE => self.attribute_index,
            port::ATTRIBUTE_DATA => self.attribute[usize::from(self.attribute_index & 0x1f)],
            // A monitor is there; no interrupt is pending.
            port::MISC => 0x10,
            port::SEQUENCER => self.sequencer_index,
            port::SEQUENCER_DATA => self.sequencer[usize::from(self.sequencer_index & 7)],
            port::DAC_MASK => self.dac_mask,
            port::DAC_READ => {
                if self.dac_reads {
                    3
                } else {
                    0
                }
            }
            port::DAC_WRITE => self.dac_index,
            port::DAC_DATA => {
                let value = self.dac[self.dac_at()];
                self.next_part();
                value
            }
            port::FEATURE_READ => self.feature,
            port::MISC_READ => self.misc,
            port::GRAPHICS => self.graphics_index,
            port::GRAPHICS_DATA => self.graphics[usize::from(self.graphics_index & 0x0f)],
            port::CRTC => self.crtc_index,
            port::CRTC_DATA => self.crtc[usize::from(self.crtc_index & 0x1f)],
            port::STATUS => {
                self.attribute_takes_data = false;
                beam(since_1970)
            }
            _ => 0xff,
        }
    }

    fn write(&mut self, offset: u8, value: u8) {
        match offset {
            port::ATTRIBUTE => {
                if self.attribute_takes_data {
                    self.attribute[usize::from(self.attribute_index & 0x1f)] = value;
                } else {
                    self.attribute_index = value & 0x3f;
                }
                self.attribute_takes_data ^= true;
            }
            port::MISC => self.misc = value,
            port::SEQUENCER => self.sequencer_index = value & 7,
            port::SEQUENCER_DATA => self.sequencer[usize::from(self.sequencer_index & 7)] = value,
            port::DAC_MASK => self.dac_mask = value,
            port::DAC_READ | port::DAC_WRITE => {
                self.dac_reads = offset == port::DAC_READ;
                self.dac_index = value;
                self.dac_part = 0;
            }
            port::DAC_DATA => {
                self.dac[self.dac_at()] = value & 0x3f;
                self.next_part();
            }
            port::GRAPHICS => self.graphics_index = value & 0x0f,
            port::GRAPHICS_DATA => self.graphics[usize::from(self.graphics_index & 0x0f)] = value,
            port::CRTC => self.crtc_index = value & 0x1f,
            port::CRTC_DATA => {
                let index = usize::from(self.crtc_index & 0x1f);
                let protects = self.crtc[crtc::RETRACE_END] & 0x80 != 0;
                if index >= crtc::PROTECTED || !protects {
                    self.crtc[index] = value;
                }
            }
            port::STATUS => self.feature = value,
            _ => {}
        }
    }

    fn dac_at(&self) -> usize {
        usize::from(self.dac_index) * 3 + usize::from(self.dac_part % 3)
    }

    fn next_part(&mut self) {
        self.dac_part = (self.dac_part + 1) % 3;
        if self.dac_part == 0 {
            self.dac_index = self.dac_index.wrapping_add(1);
        }
    }
}

/// Input status 1: where the beam is in its frame, 70 of which make a second.
pub(super) fn beam(since_1970: Duration) -> u8 {
    let at = since_1970.as_nanos() % (LINE_NS * FRAME_LINES);
    let (line, column) = (at / LINE_NS, at % LINE_NS);
    if line >= SHOWN_LINES {
        IN_RETRACE | BLANK
    } else if column >= LINE_NS / 5 * 4 {
        BLANK
    } else {
        0
    }
}

/// The registers at ports 0x3c0 to 0x3df, where every offset takes any value.
#[derive(Debug)]
pub struct Vga {
    port: Arc<VgaPort>,
    clock: Arc<dyn Clock>,
}

impl Vga {
    /// An adapter whose screen the host sees through `port`.
    pub fn new(port: Arc<VgaPort>) -> Self {
        let clock = Arc::new(SystemClock);
        Self { port, clock }
    }
}

impl Device for Vga {
    fn attach(&mut self, context: &mut dyn Context) -> Result<(), String> {
        self.clock = context.clock();
        Ok(())
    }

    fn read(&mut self, offset: u32, data: &mut [u8]) {
        let mut state = self.port.lock();
        read_bytes(offset, data, |at| state.read(at, self.clock.now()));
    }

    fn write(&mut self, offset: u32, data: &[u8]) -> Option<PowerRequest> {
        let mut state = self.port.lock();
        write_bytes(offset, data, |at, value| {
            state.write(at, value);
            None
        })
    }

    fn save(&self) -> State {
        State::of(&*self.port.lock())
    }

    fn restore(&mut self, state: &State) -> bool {
        let fields = state.fields();
        let is_one = fields.is_some();
        if let Some(fields) = fields {
            *self.port.lock() = fields;
        }
        is_one
    }
}
