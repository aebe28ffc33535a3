// QEMU's extension of RFB sends the scan code of set 1, with the high bit set for the prefix 0xe0.

/** From a scan code on, the keys of the ones that follow. */
const rows: Record<number, string> = {
  0x01: 'Escape Digit1 Digit2 Digit3 Digit4 Digit5 Digit6 Digit7 Digit8 Digit9 Digit0 Minus Equal Backspace',
  0x0f: 'Tab KeyQ KeyW KeyE KeyR KeyT KeyY KeyU KeyI KeyO KeyP BracketLeft BracketRight Enter',
  0x1d: 'ControlLeft KeyA KeyS KeyD KeyF KeyG KeyH KeyJ KeyK KeyL Semicolon Quote Backquote',
  0x2a: 'ShiftLeft Backslash KeyZ KeyX KeyC KeyV KeyB KeyN KeyM Comma Period Slash ShiftRight',
  0x37: 'NumpadMultiply AltLeft Space CapsLock F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 NumLock ScrollLock',
  0x47: 'Numpad7 Numpad8 Numpad9 NumpadSubtract Numpad4 Numpad5 Numpad6 NumpadAdd',
  0x4f: 'Numpad1 Numpad2 Numpad3 Numpad0 NumpadDecimal PrintScreen',
  0x56: 'IntlBackslash F11 F12',
  0x9c: 'NumpadEnter ControlRight',
  0xb5: 'NumpadDivide',
  0xb7: 'PrintScreen AltRight',
  0xc6: 'Pause Home ArrowUp PageUp',
  0xcb: 'ArrowLeft',
  0xcd: 'ArrowRight',
  0xcf: 'End ArrowDown PageDown Insert Delete',
  0xdb: 'MetaLeft MetaRight ContextMenu',
}

const codes = new Map(
  Object.entries(rows).flatMap(([first, row]) =>
    row.split(' ').map((code, index): [number, string] => [Number(first) + index, code]),
  ),
)

/** The `KeyboardEvent.code` of a scan code. */
export function codeOf(scanCode: number): string | undefined {
  return codes.get(scanCode)
}
