use std::sync::Arc;
use std::time::Duration;

use super::adapter::{BLANK, IN_RETRACE, beam};
use super::*;
use crate::device::Device;
use crate::noise::Noise;
use crate::state::State;

fn adapter() -> (Vga, Arc<VgaPort>) {
    let port = Arc::new(VgaPort::default());
    (Vga::new(Arc::clone(&port)), port)
}

fn out(vga: &mut Vga, offset: u32, data: &[u8]) {
    assert_eq!(Device::write(vga, offset, data), None);
}

fn read(vga: &mut Vga, offset: u32) -> u8 {
    let mut byte = [0];
    Device::read(vga, offset, &mut byte);
    byte[0]
}

#[test]
fn an_adapter_begins_in_mode_3() {
    let look = adapter().1.look();
    let cursor = Cursor {
        cell: 0,
        first: 0x0d,
        last: 0x0e,
    };
    assert_eq!((look.start, look.cursor), (0, Some(cursor)));
    assert!(look.blinks);
    let some = [0, 1, 4, 6, 7, 8, 9, 14, 15].map(|colour| look.colours[colour]);
    let expected = [
        [0x00, 0x00, 0x00],
        [0x00, 0x00, 0xaa],
        [0xaa, 0x00, 0x00],
        [0xaa, 0x55, 0x00],
        [0xaa, 0xaa, 0xaa],
        [0x55, 0x55, 0x55],
        [0x55, 0x55, 0xff],
        [0xff, 0xff, 0x55],
        [0xff, 0xff, 0xff],
    ];
    assert_eq!(some, expected);
}

#[test]
fn a_word_sets_index_and_register_of_the_crtc() {
    let (mut vga, port) = adapter();
    out(&mut vga, 0x14, &[0x0c, 0x12]);
    out(&mut vga, 0x14, &[0x0d]);
    out(&mut vga, 0x15, &[0x34]);
    assert_eq!(read(&mut vga, 0x15), 0x34);
    assert_eq!(port.look().start, 0x1234);
    for (index, value) in [(0x0a, 0x20), (0x0b, 0x0f)] {
        out(&mut vga, 0x14, &[index, value]);
    }
    assert_eq!(port.look().cursor, None, "it is off");
    out(&mut vga, 0x14, &[0x0a, 0x1f]);
    assert_eq!(port.look().cursor, None, "it ends before it starts");
    // Registers 0 to 7 are protected until bit 7 of 0x11 is cleared.
    out(&mut vga, 0x14, &[0x01, 0x77]);
    assert_eq!(read(&mut vga, 0x15), 0x4f);
    out(&mut vga, 0x14, &[0x11, 0x0e]);
    out(&mut vga, 0x14, &[0x01, 0x77]);
    assert_eq!(read(&mut vga, 0x15), 0x77);
}

#[test]
fn linux_sets_its_palette() {
    // vgacon_startup: the attribute controller's palette becomes the first 16 colours of the DAC.
    let (mut vga, port) = adapter();
    for colour in 0..16 {
        read(&mut vga, 0x1a);
        out(&mut vga, 0, &[colour]);
        out(&mut vga, 0, &[colour]);
        out(&mut vga, 0, &[0x20]);
    }
    out(&mut vga, 8, &[3]);
    for part in [0xaa, 0x55, 0xff] {
        out(&mut vga, 9, &[part]);
    }
    assert_eq!(port.look().colours[3], [0xaa, 0x55, 0xff]);
    // The index moves on after each colour.
    assert_eq!(read(&mut vga, 8), 4);
    out(&mut vga, 7, &[3]);
    let parts = [0; 3].map(|_| read(&mut vga, 9));
    assert_eq!((parts, read(&mut vga, 7)), ([0x2a, 0x15, 0x3f], 3));
}

#[test]
fn the_beam_goes_through_its_frame_seventy_times_a_second() {
    let at = |micros| beam(Duration::from_micros(micros));
    assert_eq!(at(10), 0, "in the first line");
    assert_eq!(at(30), BLANK, "beside it");
    assert_eq!(at(13_000), IN_RETRACE | BLANK);
    assert_eq!(at(14_268 + 10), 0, "in the next frame");
}

#[test]
fn registers_are_saved_and_put_back() {
    let (mut vga, port) = adapter();
    out(&mut vga, 0x14, &[0x0d, 80]);
    let saved = vga.save();
    out(&mut vga, 0x14, &[0x0d, 160]);
    assert!(vga.restore(&saved));
    assert_eq!(port.look().start, 80, "the host's end is the same");
    let mut short = saved.clone();
    short.bytes.pop();
    assert!(!vga.restore(&short));
    assert!(!vga.restore(&State::default()));
    assert_eq!(vga.save(), saved);
}

#[test]
fn whatever_a_guest_writes_a_picture_can_be_drawn() {
    let mut noise = Noise::new(0x3c0);
    let (mut vga, port) = adapter();
    let cells: Vec<u8> = (0..TEXT_BYTES).map(|_| noise.byte()).collect();
    let mut picture = vec![0; 640 * 400 * 4];
    for round in 0..100_000 {
        let offset = (noise.byte() & 0x1f).into();
        let data = [0; 4].map(|_| noise.byte());
        let length = [1, 2, 4][noise.below(3)];
        out(&mut vga, offset, &data[..length]);
        let mut read = [0; 4];
        Device::read(&mut vga, offset, &mut read[..length]);
        if round % 1000 == 0 {
            draw_text(&cells, &port.look(), &mut picture);
            assert!(picture.chunks(4).all(|pixel| pixel[3] == 0xff));
        }
    }
}

#[test]
fn a_cell_is_drawn_in_the_colours_of_its_attribute() {
    let mut cells = vec![0; TEXT_BYTES];
    let look = |blinks| Look {
        start: 0x3fff,
        cursor: Some(Cursor {
            cell: 0x8000,
            first: 14,
            last: 31,
        }),
        colours: std::array::from_fn(|colour| [colour as u8; 3]),
        blinks,
    };
    // A full block, dark on bright.
    cells[..2].copy_from_slice(&[0xdb, 0xc3]);
    let mut picture = vec![0; 640 * 400 * 4];
    let pixel = |picture: &[u8], x: usize, y: usize| picture[(y * 640 + x) * 4];
    draw_text(&cells, &look(true), &mut picture);
    assert_eq!(pixel(&picture, 0, 0), 3);
    // The first cell is the last of video memory, and the cursor is in the one after it.
    cells[2..4].copy_from_slice(&[0x20, 0xc3]);
    draw_text(&cells, &look(true), &mut picture);
    let column = |picture: &[u8]| [13, 14, 15, 16].map(|y| pixel(picture, 8, y));
    assert_eq!(column(&picture), [4, 3, 3, 0]);
    draw_text(&cells, &look(false), &mut picture);
    assert_eq!(column(&picture), [12, 3, 3, 0], "the background is bright");
}

#[test]
fn pixels_of_memory_are_turned_around() {
    let mut pixels = [1, 2, 3, 4, 5, 6, 7, 8];
    xrgb_to_rgba(&mut pixels);
    assert_eq!(pixels, [3, 2, 1, 0xff, 7, 6, 5, 0xff]);
}
