//! What a kernel is told of its screen: Linux in `screen_info`, multiboot kernels in the
//! information block.

use boot::{ErrorKind, LoadRequest, Screen};

use crate::images::{KERNEL, assert_refused, multiboot_elf, read, request, u16_at, u32_at, u64_at};

const PIXELS: Screen = Screen::Pixels {
    width: 1024,
    height: 768,
};

fn on(screen: Option<Screen>, image: &[u8]) -> LoadRequest<'_> {
    LoadRequest {
        screen,
        ..request(image)
    }
}

/// The first 64 bytes of `boot_params`.
fn screen_info(screen: Option<Screen>) -> Vec<u8> {
    let image = KERNEL.image();
    let loaded = boot::load(&on(screen, &image)).unwrap();
    read(&loaded, loaded.registers.rsi, 64).to_vec()
}

#[test]
fn linux_finds_a_vga_adapter_in_mode_3() {
    let mut expected = [0; 64];
    // orig_video_mode, orig_video_cols; orig_video_lines, orig_video_isVGA, orig_video_points.
    (expected[6], expected[7]) = (3, 80);
    (expected[14], expected[15], expected[16]) = (25, 1, 16);
    assert_eq!(screen_info(Some(Screen::Text)), expected);
    assert_eq!(screen_info(None), [0; 64]);
}

#[test]
fn linux_finds_the_framebuffer_of_efi() {
    let info = screen_info(Some(PIXELS));
    assert_eq!(info[..15], [0; 15], "no text");
    assert_eq!(info[15], 0x70); // VIDEO_TYPE_EFI
    let size = [18, 20, 22].map(|at| u16_at(&info, at));
    assert_eq!(size, [1024, 768, 32]);
    let place = [24, 28].map(|at| u32_at(&info, at));
    assert_eq!(place, [0xf000_0000, 1024 * 768 * 4]);
    assert_eq!(u16_at(&info, 36), 4096); // lfb_linelength
    // Size and position of red, green, blue and the rest.
    assert_eq!(info[38..46], [8, 16, 8, 8, 8, 0, 8, 24]);
    assert_eq!(info[46..], [0; 18]);
}

/// The information block of a multiboot kernel.
fn info(screen: Option<Screen>) -> Vec<u8> {
    let image = multiboot_elf(0);
    let loaded = boot::load(&on(screen, &image)).unwrap();
    read(&loaded, loaded.registers.rbx, 120).to_vec()
}

#[test]
fn the_multiboot_block_tells_of_the_screen() {
    let block = |screen| {
        let info = info(screen);
        let words = [96, 100, 104].map(|at| u32_at(&info, at));
        assert_ne!(u32_at(&info, 0) & 1 << 12, 0);
        (u64_at(&info, 88), words, info[108..116].to_vec())
    };
    let text = (0xb_8000, [160, 80, 25], vec![16, 2, 0, 0, 0, 0, 0, 0]);
    assert_eq!(block(Some(Screen::Text)), text);
    let pixels = (
        0xf000_0000,
        [4096, 1024, 768],
        vec![32, 1, 16, 8, 8, 8, 0, 8],
    );
    assert_eq!(block(Some(PIXELS)), pixels);
    let none = info(None);
    assert_eq!(u32_at(&none, 0) & 1 << 12, 0);
    assert_eq!(none[88..], [0; 32]);
}

#[test]
fn a_multiboot_kernel_that_must_have_a_screen_starts_with_one_only() {
    let image = multiboot_elf(1 << 2);
    assert!(boot::load(&on(Some(Screen::Text), &image)).is_ok());
    let words = ["flags", "if there is a screen"];
    assert_refused(&request(&image), ErrorKind::Payload, &words);
}

#[test]
fn nothing_is_placed_among_the_pixels() {
    let image = multiboot_elf(0);
    let slots = [boot::MemorySlot {
        gpa: 0,
        bytes: 64 << 20,
        read_only: false,
    }];
    let slots: Vec<_> = slots.into_iter().chain(PIXELS.slot()).collect();
    let pixels = PIXELS.slot().map(|slot| slot.gpa..slot.end());
    let reserved: Vec<_> = pixels.into_iter().collect();
    let loaded = boot::load(&LoadRequest {
        slots: &slots,
        reserved: &reserved,
        ..on(Some(PIXELS), &image)
    })
    .unwrap();
    assert!(loaded.parts.iter().all(|part| part.gpa < 64 << 20));
    let block = read(&loaded, loaded.registers.rbx, 120);
    let (length, at) = (u32_at(block, 44), u32_at(block, 48));
    let map = read(&loaded, at.into(), length as usize);
    let last = &map[map.len() - 24..];
    let entry = (u64_at(last, 4), u64_at(last, 12), u32_at(last, 20));
    assert_eq!(entry, (0xf000_0000, 1024 * 768 * 4, 2), "reserved");
}
