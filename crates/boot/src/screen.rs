//! What a guest can be shown on.

use serde::{Deserialize, Serialize};

use crate::layout::{FRAMEBUFFER_BYTES, FRAMEBUFFER_START, TEXT_MEMORY};
use crate::limits::PAGE_BYTES;
use crate::slot::MemorySlot;

/// A screen in guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Screen {
    /// 80 columns and 25 lines of characters, as a VGA adapter shows them in mode 3.
    Text,
    /// Pixels of four bytes, blue first, row by row.
    Pixels {
        /// Pixels of a row.
        width: u32,
        /// Rows.
        height: u32,
    },
}

impl Screen {
    /// Bytes of a pixel.
    pub const PIXEL_BYTES: u32 = 4;

    /// Bytes of all pixels; 0 of a text screen.
    pub const fn pixel_bytes(self) -> u64 {
        match self {
            Self::Text => 0,
            Self::Pixels { width, height } => {
                let pixels = (width as u64).saturating_mul(height as u64);
                pixels.saturating_mul(Self::PIXEL_BYTES as u64)
            }
        }
    }

    /// The memory of its own that it needs, in whole pages; a text screen lies in that at gpa 0.
    pub fn slot(self) -> Option<MemorySlot> {
        match self {
            Self::Text => None,
            Self::Pixels { .. } => Some(MemorySlot {
                gpa: FRAMEBUFFER_START,
                bytes: self
                    .pixel_bytes()
                    .min(FRAMEBUFFER_BYTES)
                    .next_multiple_of(PAGE_BYTES),
                read_only: false,
            }),
        }
    }

    /// What a text screen's memory holds after a mode set: blanks, grey on black.
    pub fn blanks(self) -> Option<(u64, Vec<u8>)> {
        let cells = (TEXT_MEMORY.end - TEXT_MEMORY.start) as usize / 2;
        (self == Self::Text).then(|| (TEXT_MEMORY.start, [b' ', 0x07].repeat(cells)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_framebuffer_is_a_slot_of_whole_pages() {
        let slot = |width, height| Screen::Pixels { width, height }.slot();
        let small = slot(65, 64).map(|slot| (slot.gpa, slot.bytes));
        assert_eq!(small, Some((0xf000_0000, 5 * 4096)));
        let absurd = slot(u32::MAX, u32::MAX).map(|slot| slot.bytes);
        assert_eq!(absurd, Some(64 << 20));
        assert_eq!(Screen::Text.slot(), None);
    }

    #[test]
    fn a_text_screen_begins_with_blanks() {
        let (gpa, bytes) = Screen::Text.blanks().unwrap_or_default();
        assert_eq!((gpa, bytes.len()), (0xb_8000, 0x8000));
        assert_eq!(bytes.get(..4), Some(&[b' ', 7, b' ', 7][..]));
    }
}
