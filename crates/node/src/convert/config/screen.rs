//! A machine's screen, converted from JavaScript's types to Rust's and back.

use napi::Either;
use napi_derive::napi;
use vmm::Screen;

/// The pixels of a screen.
#[napi(object)]
#[derive(Clone, Copy)]
pub struct NativeScreenSize {
    /// Pixels of a row, 64 to 4096.
    pub width: u32,
    /// Rows, 64 to 2160.
    pub height: u32,
}

/// As JavaScript has it.
pub type NativeScreen = Either<String, NativeScreenSize>;

pub fn parse(screen: &NativeScreen) -> Screen {
    match screen {
        Either::A(_) => Screen::Text,
        Either::B(NativeScreenSize { width, height }) => Screen::Pixels {
            width: *width,
            height: *height,
        },
    }
}

pub fn of(screen: Screen) -> NativeScreen {
    match screen {
        Screen::Text => Either::A("text".into()),
        Screen::Pixels { width, height } => Either::B(NativeScreenSize { width, height }),
    }
}
