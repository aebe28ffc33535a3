//! A VGA adapter in its text mode of 80 columns and 25 lines (mode 3), as far as that is not
//! memory: the registers at ports 0x3c0 to 0x3df. The host looks at them through a [`VgaPort`].

mod adapter;
mod font;
mod picture;
mod state;

pub use adapter::{VGA_PORTS, Vga, VgaPort};
pub use picture::{
    CELL_HEIGHT, CELL_WIDTH, Cursor, Look, TEXT_BYTES, TEXT_COLUMNS, TEXT_LINES, draw_text,
    xrgb_to_rgba,
};

#[cfg(test)]
mod tests;
