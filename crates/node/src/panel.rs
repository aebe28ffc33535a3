//! What a user touches of a PC: the keyboard and the power button of a `NativeMachine`.

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

use crate::machine::NativeMachine;

#[napi]
impl NativeMachine {
    /// Whether it has a keyboard and a power button, as a PC has.
    #[napi]
    pub fn has_keyboard(&self) -> bool {
        self.quietly(|life| life.handles.panel().keyboard.is_some())
    }

    /// Types codes of set 1, as many as there is space for, and returns how many.
    #[napi]
    pub fn keyboard_input(&self, codes: Uint8Array) -> u32 {
        let keyboard = self.quietly(|life| life.handles.panel().keyboard);
        keyboard.map_or(0, |port| port.push(&codes)) as u32
    }

    /// How many codes the guest has yet to read.
    #[napi]
    pub fn keyboard_unread(&self) -> u32 {
        let keyboard = self.quietly(|life| life.handles.panel().keyboard);
        keyboard.map_or(0, |port| port.unread()) as u32
    }

    /// Presses the power button.
    #[napi]
    pub fn press_power(&self) {
        self.quietly(|life| {
            if let Some(button) = life.handles.panel().power_button {
                button.press();
            }
        });
    }
}
