//! The characters of code page 437, 8 by 16 points each. `font.txt` shows them, drawn for this
//! project.

/// Rows of pixels of a cell.
pub const CELL_HEIGHT: usize = 16;

/// Blocks of 16 rows with eight characters each, side by side; other lines name what follows.
const DRAWN: &[u8] = include_bytes!("font.txt");

/// Characters beside each other in a row of the drawing.
const ABREAST: usize = 8;

/// The rows of each character, the leftmost point in bit 7.
pub(super) static FONT: [[u8; CELL_HEIGHT]; 256] = font();

const fn font() -> [[u8; CELL_HEIGHT]; 256] {
    let mut font = [[0; CELL_HEIGHT]; 256];
    let (mut at, mut row) = (0, 0);
    while at < DRAWN.len() {
        let is_row = matches!(DRAWN[at], b'.' | b'#');
        let mut character = row / CELL_HEIGHT * ABREAST;
        while DRAWN[at] != b'\n' {
            if is_row {
                match DRAWN[at] {
                    b' ' => character += 1,
                    point => {
                        let bits = &mut font[character][row % CELL_HEIGHT];
                        *bits = *bits << 1 | (point == b'#') as u8;
                    }
                }
            }
            at += 1;
        }
        at += 1;
        row += is_row as usize;
    }
    assert!(row * ABREAST == 256 * CELL_HEIGHT);
    font
}
