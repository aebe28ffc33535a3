//! A machine's screen, as the host sees it: cells or pixels in guest memory, at any time.

use std::sync::Arc;

use boot::{Screen, layout};
use devices::{CELL_HEIGHT, CELL_WIDTH, Cursor, Look, draw_text, xrgb_to_rgba};
use devices::{TEXT_BYTES, TEXT_COLUMNS, TEXT_LINES, VgaPort};

use crate::error::{Error, ErrorCode, Result};
use crate::kvm::memory::GuestMemory;

/// Bytes that are compared at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Bytes of the registers in what [`ScreenView::look`] compares.
const LOOK_BYTES: usize = 2 + 5 + 16 * 3 + 1;

/// The host's view of a machine's screen. It holds the machine's memory.
#[derive(Clone, Debug)]
pub struct ScreenView {
    screen: Screen,
    vga: Arc<VgaPort>,
    memory: Arc<GuestMemory>,
}

impl ScreenView {
    pub(crate) const fn new(screen: Screen, vga: Arc<VgaPort>, memory: Arc<GuestMemory>) -> Self {
        Self {
            screen,
            vga,
            memory,
        }
    }

    /// What kind it is.
    pub const fn screen(&self) -> Screen {
        self.screen
    }

    /// Pixels of a row, and rows.
    pub const fn size(&self) -> (u32, u32) {
        match self.screen {
            Screen::Text => (
                (TEXT_COLUMNS * CELL_WIDTH) as u32,
                (TEXT_LINES * CELL_HEIGHT) as u32,
            ),
            Screen::Pixels { width, height } => (width, height),
        }
    }

    /// Character and attribute of each cell of a text screen, from its first one on.
    ///
    /// # Errors
    /// `InvalidOption` when it has pixels; `GuestMemory` never, since a machine with a screen has
    /// that memory.
    pub fn cells(&self) -> Result<Vec<u8>> {
        if self.screen != Screen::Text {
            return Err(Error::new(
                ErrorCode::InvalidOption,
                "the screen has pixels, and no text; make the machine with screen: 'text'",
            ));
        }
        self.cells_from(self.vga.look().start)
    }

    /// What shows, as `into` then has it: red, green, blue and 255 of each pixel, row by row.
    ///
    /// # Errors
    /// As [`cells`](Self::cells); `InvalidOption` when `into` has another length.
    pub fn draw(&self, into: &mut [u8]) -> Result<()> {
        let (width, height) = self.size();
        check_length(into, width as usize * height as usize * 4)?;
        if self.screen == Screen::Text {
            let look = self.vga.look();
            draw_text(&self.cells_from(look.start)?, &look, into);
        } else {
            self.memory.read(layout::FRAMEBUFFER_START, into)?;
            xrgb_to_rgba(into);
        }
        Ok(())
    }

    /// Bytes of what [`look`](Self::look) compares.
    pub const fn look_bytes(&self) -> usize {
        match self.screen {
            Screen::Text => TEXT_BYTES + LOOK_BYTES,
            Screen::Pixels { .. } => self.screen.pixel_bytes() as usize,
        }
    }

    /// Whether anything shows that did not when `last` was filled, which gets what shows now.
    ///
    /// # Errors
    /// As [`draw`](Self::draw).
    pub fn look(&self, last: &mut [u8]) -> Result<bool> {
        check_length(last, self.look_bytes())?;
        if self.screen == Screen::Text {
            let look = self.vga.look();
            let mut now = self.cells_from(look.start)?;
            now.extend(bytes_of(&look));
            return Ok(replace(last, &now));
        }
        let mut is_other = false;
        let mut now = vec![0; CHUNK_BYTES.min(last.len())];
        let mut gpa = layout::FRAMEBUFFER_START;
        for chunk in last.chunks_mut(CHUNK_BYTES) {
            let now = now.get_mut(..chunk.len()).unwrap_or_default();
            self.memory.read(gpa, now)?;
            is_other |= replace(chunk, now);
            gpa += CHUNK_BYTES as u64;
        }
        Ok(is_other)
    }

    /// A screen's cells from one of video memory on, which goes on at its beginning.
    fn cells_from(&self, start: u16) -> Result<Vec<u8>> {
        let memory = layout::TEXT_MEMORY;
        let at = memory.start + u64::from(start) * 2 % (memory.end - memory.start);
        let mut cells = vec![0; TEXT_BYTES];
        let first = TEXT_BYTES.min((memory.end - at) as usize);
        let (low, high) = cells.split_at_mut(first);
        self.memory.read(at, low)?;
        self.memory.read(memory.start, high)?;
        Ok(cells)
    }
}

/// Puts `now` in the place of `last`, and says whether that is another.
fn replace(last: &mut [u8], now: &[u8]) -> bool {
    let is_other = last != now;
    if is_other {
        last.copy_from_slice(now);
    }
    is_other
}

fn bytes_of(look: &Look) -> Vec<u8> {
    let Look {
        start,
        cursor,
        colours,
        blinks,
    } = look;
    let (is_on, Cursor { cell, first, last }) = (
        cursor.is_some(),
        cursor.unwrap_or(Cursor {
            cell: 0,
            first: 0,
            last: 0,
        }),
    );
    let mut bytes = start.to_le_bytes().to_vec();
    bytes.push(u8::from(is_on));
    bytes.extend(cell.to_le_bytes());
    bytes.extend([first, last, u8::from(*blinks)]);
    bytes.extend(colours.as_flattened());
    bytes
}

fn check_length(bytes: &[u8], length: usize) -> Result<()> {
    if bytes.len() == length {
        return Ok(());
    }
    let got = bytes.len();
    Err(Error::new(
        ErrorCode::InvalidOption,
        format!("the screen needs {length} bytes, got {got}"),
    ))
}
