//! The registers, and what a BIOS sets for mode 3: 80 columns, 25 lines, 16 colours, characters of
//! 8 by 16 points.

use crate::state::saved;

saved! {
    /// The registers of a [`Vga`].
    VgaState = "vga" {
        /// The attribute controller's index, and whether its port takes data next.
        attribute_index: u8,
        attribute_takes_data: bool,
        attribute: [u8; 0x20],
        misc: u8,
        feature: u8,
        sequencer_index: u8,
        sequencer: [u8; 8],
        graphics_index: u8,
        graphics: [u8; 0x10],
        crtc_index: u8,
        crtc: [u8; 0x20],
        dac_mask: u8,
        /// Whether colours are being read.
        dac_reads: bool,
        dac_index: u8,
        /// Which part of the colour comes next: 0 to 2.
        dac_part: u8,
        /// 256 colours: red, green and blue of six bits each.
        dac: [u8; 768],
    }
}

/// (IBM VGA, "Video Subsystem", values of the standard modes.)
const CRTC: [u8; 25] = [
    0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00,
    0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
];
const SEQUENCER: [u8; 5] = [0x03, 0x00, 0x03, 0x00, 0x02];
const GRAPHICS: [u8; 9] = [0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff];
/// The palette: eight dark colours, of which the sixth is brown, and eight bright ones.
const ATTRIBUTE: [u8; 21] = [
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f,
    0x0c, 0x00, 0x0f, 0x08, 0x00,
];
const MISC: u8 = 0x67;
/// Bit 5 of the attribute controller's index: the palette is in use.
const SHOWS: u8 = 0x20;

impl VgaState {
    /// The registers after a mode set.
    pub fn text() -> Self {
        Self {
            attribute_index: SHOWS,
            attribute_takes_data: false,
            attribute: padded(&ATTRIBUTE),
            misc: MISC,
            feature: 0,
            sequencer_index: 0,
            sequencer: padded(&SEQUENCER),
            graphics_index: 0,
            graphics: padded(&GRAPHICS),
            crtc_index: 0,
            crtc: padded(&CRTC),
            dac_mask: 0xff,
            dac_reads: false,
            dac_index: 0,
            dac_part: 0,
            dac: colours(),
        }
    }
}

/// The 64 colours of an EGA, whose six bits are two thirds and one third of each part.
fn colours() -> [u8; 768] {
    let mut dac = [0; 768];
    for (index, colour) in dac.chunks_exact_mut(3).take(64).enumerate() {
        for (part, to) in colour.iter_mut().enumerate() {
            let bit = |shift: usize| (index >> shift & 1) as u8;
            *to = 0x2a * bit(2 - part) + 0x15 * bit(5 - part);
        }
    }
    dac
}

fn padded<const N: usize>(values: &[u8]) -> [u8; N] {
    let mut all = [0; N];
    for (to, from) in all.iter_mut().zip(values) {
        *to = *from;
    }
    all
}
