//! From the cells of a text screen to a picture, and from a framebuffer's pixels.

pub use super::font::CELL_HEIGHT;
use super::font::FONT;

/// Characters of a line.
pub const TEXT_COLUMNS: usize = 80;

/// Lines of a text screen.
pub const TEXT_LINES: usize = 25;

/// A text screen in memory: character and attribute of each cell.
pub const TEXT_BYTES: usize = TEXT_COLUMNS * TEXT_LINES * 2;

/// Pixels of a cell in a row.
pub const CELL_WIDTH: usize = 8;

/// Cells of video memory: a screen that goes beyond its end goes on at its beginning.
const MEMORY_CELLS: usize = 0x4000;

/// Bytes of a pixel: red, green, blue, and no transparency.
const PIXEL_BYTES: usize = 4;

/// What of the registers shows on a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The first character cell, of the 16,384 that video memory has.
    pub start: u16,
    /// The cursor, unless it is off.
    pub cursor: Option<Cursor>,
    /// Red, green and blue of the 16 colours.
    pub colours: [[u8; 3]; 16],
    /// Whether bit 7 of an attribute blinks; otherwise it makes the background bright.
    pub blinks: bool,
}

/// Where a cursor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Its cell of video memory.
    pub cell: u16,
    /// The first of its lines in the cell.
    pub first: u8,
    /// The last one.
    pub last: u8,
}

/// Draws the cells of a text screen as pixels of four bytes, 640 by 400. What blinks is shown, the
/// cursor too.
pub fn draw_text(cells: &[u8], look: &Look, into: &mut [u8]) {
    let row_bytes = TEXT_COLUMNS * CELL_WIDTH * PIXEL_BYTES;
    let lines = into.chunks_exact_mut(row_bytes * CELL_HEIGHT);
    let rows = cells.chunks_exact(TEXT_COLUMNS * 2);
    for (line, (pixels, cells)) in lines.zip(rows).enumerate() {
        for (column, cell) in cells.chunks_exact(2).enumerate() {
            let &[character, attribute] = cell else {
                continue;
            };
            let place = usize::from(look.start) + line * TEXT_COLUMNS + column;
            let glyph = glyph(character, place, look);
            let [dark, light] = colours(attribute, look);
            for (bits, row) in glyph.iter().zip(pixels.chunks_exact_mut(row_bytes)) {
                let at = column * CELL_WIDTH * PIXEL_BYTES;
                let row = row.get_mut(at..).unwrap_or_default();
                for (bit, pixel) in (0..CELL_WIDTH).zip(row.chunks_exact_mut(PIXEL_BYTES)) {
                    let on = bits & 0x80 >> bit != 0;
                    pixel.copy_from_slice(if on { &light } else { &dark });
                }
            }
        }
    }
}

/// The rows of a character, with the cursor if it is there.
fn glyph(character: u8, place: usize, look: &Look) -> [u8; CELL_HEIGHT] {
    let mut glyph = FONT[usize::from(character)];
    if let Some(cursor) = look.cursor
        && usize::from(cursor.cell) % MEMORY_CELLS == place % MEMORY_CELLS
    {
        for row in usize::from(cursor.first)..=usize::from(cursor.last) {
            if let Some(bits) = glyph.get_mut(row) {
                *bits = 0xff;
            }
        }
    }
    glyph
}

/// Background and foreground of an attribute.
fn colours(attribute: u8, look: &Look) -> [[u8; PIXEL_BYTES]; 2] {
    let mask = if look.blinks { 7 } else { 15 };
    [attribute >> 4 & mask, attribute & 15].map(|colour| {
        let [red, green, blue] = look.colours[usize::from(colour)];
        [red, green, blue, 0xff]
    })
}

/// Turns pixels in memory (blue, green, red, unused) into red, green, blue, and no transparency.
pub fn xrgb_to_rgba(pixels: &mut [u8]) {
    for pixel in pixels.chunks_exact_mut(PIXEL_BYTES) {
        if let [blue, _, red, unused] = pixel {
            std::mem::swap(blue, red);
            *unused = 0xff;
        }
    }
}
