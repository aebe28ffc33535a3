//! A machine's screen, as methods of the native class. They work at any time, also while the
//! machine runs.

use napi::Either;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use vmm::Screen;

use crate::convert::config::NativeScreenSize;
use crate::convert::failure::{Failure, either, nothing};
use crate::ffi;
use crate::machine::NativeMachine;

/// What kind of screen a machine has.
#[napi(object)]
pub struct NativeScreenKind {
    /// Whether it has characters.
    pub is_text: bool,
    /// Its pixels.
    pub size: NativeScreenSize,
    /// Bytes of the array that `lookAtScreen` wants.
    pub look_bytes: u32,
}

#[napi]
impl NativeMachine {
    /// The screen of a machine that has one.
    #[napi]
    pub fn screen_kind(&self) -> Option<NativeScreenKind> {
        let screen = self.quietly(|life| life.handles.screen().ok())?;
        let (width, height) = screen.size();
        Some(NativeScreenKind {
            is_text: screen.screen() == Screen::Text,
            size: NativeScreenSize { width, height },
            look_bytes: screen.look_bytes() as u32,
        })
    }

    /// Character and attribute of each cell of a text screen. `ERR_INVALID_OPTION` of another.
    #[napi(ts_return_type = "Uint8Array | Failure")]
    pub fn screen_cells(&self) -> Either<Uint8Array, Failure> {
        either(
            self.life
                .guarded(|life| Ok(life.handles.screen()?.cells()?.into())),
        )
    }

    /// Fills an array with the screen's pixels: red, green, blue and 255 of each.
    #[napi]
    pub fn draw_screen(&self, into: Uint8Array) -> Option<Failure> {
        nothing(self.life.guarded(|life| {
            let screen = life.handles.screen()?;
            ffi::fill(into, |bytes| screen.draw(bytes))
        }))
    }

    /// Whether the screen is another than when `last` was filled, which then gets what it is now.
    #[napi(ts_return_type = "boolean | Failure")]
    pub fn look_at_screen(&self, last: Uint8Array) -> Either<bool, Failure> {
        let mut is_other = false;
        let looked = self.life.guarded(|life| {
            let screen = life.handles.screen()?;
            ffi::fill(last, |bytes| {
                is_other = screen.look(bytes)?;
                Ok(())
            })
        });
        either(looked.map(|()| is_other))
    }
}
