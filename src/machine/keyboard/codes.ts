import { fail, show } from '../../native/errors.ts'
import { suggestion } from '../../options/nearest.ts'

/** Set in the last byte of a key's code when it is released. */
const released = 0x80

/** A key of the first keyboards: its code is its place in this list, from 1. */
const plain = `Escape Digit1 Digit2 Digit3 Digit4 Digit5 Digit6 Digit7 Digit8 Digit9 Digit0 Minus Equal
Backspace Tab KeyQ KeyW KeyE KeyR KeyT KeyY KeyU KeyI KeyO KeyP BracketLeft BracketRight Enter
ControlLeft KeyA KeyS KeyD KeyF KeyG KeyH KeyJ KeyK KeyL Semicolon Quote Backquote ShiftLeft
Backslash KeyZ KeyX KeyC KeyV KeyB KeyN KeyM Comma Period Slash ShiftRight NumpadMultiply AltLeft
Space CapsLock F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 NumLock ScrollLock Numpad7 Numpad8 Numpad9
NumpadSubtract Numpad4 Numpad5 Numpad6 NumpadAdd Numpad1 Numpad2 Numpad3 Numpad0 NumpadDecimal`

/** Keys that came later, and their codes. */
const later: Record<string, number> = {
  IntlBackslash: 0x56,
  F11: 0x57,
  F12: 0x58,
  NumpadEqual: 0x59,
  F13: 0x64,
  F14: 0x65,
  F15: 0x66,
  F16: 0x67,
  F17: 0x68,
  F18: 0x69,
  F19: 0x6a,
  F20: 0x6b,
  F21: 0x6c,
  F22: 0x6d,
  F23: 0x6e,
  KanaMode: 0x70,
  IntlRo: 0x73,
  F24: 0x76,
  Convert: 0x79,
  NonConvert: 0x7b,
  IntlYen: 0x7d,
  NumpadComma: 0x7e,
}

/** Keys whose code comes after the byte 0xe0. */
const extended: Record<string, number> = {
  MediaTrackPrevious: 0x10,
  MediaTrackNext: 0x19,
  NumpadEnter: 0x1c,
  ControlRight: 0x1d,
  AudioVolumeMute: 0x20,
  MediaPlayPause: 0x22,
  MediaStop: 0x24,
  AudioVolumeDown: 0x2e,
  AudioVolumeUp: 0x30,
  NumpadDivide: 0x35,
  PrintScreen: 0x37,
  AltRight: 0x38,
  Home: 0x47,
  ArrowUp: 0x48,
  PageUp: 0x49,
  ArrowLeft: 0x4b,
  ArrowRight: 0x4d,
  End: 0x4f,
  ArrowDown: 0x50,
  PageDown: 0x51,
  Insert: 0x52,
  Delete: 0x53,
  MetaLeft: 0x5b,
  MetaRight: 0x5c,
  ContextMenu: 0x5d,
  Power: 0x5e,
  Sleep: 0x5f,
  WakeUp: 0x63,
}

const keys = new Map<string, readonly number[]>([
  ...plain.split(/\s/).map((name, index): [string, number[]] => [name, [index + 1]]),
  ...Object.entries(later).map(([name, code]): [string, number[]] => [name, [code]]),
  ...Object.entries(extended).map(([name, code]): [string, number[]] => [name, [0xe0, code]]),
])

/** Its codes say that it is pressed and released at once. */
const pause = [0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5]

/** The names of all keys. */
export const codeNames: readonly string[] = [...keys.keys(), 'Pause']

/** The codes of set 1 when a key goes down. */
export function downCodes(code: string): readonly number[] {
  return code === 'Pause' ? pause : codesOf(code)
}

/** The codes of set 1 when a key goes up. */
export function upCodes(code: string): readonly number[] {
  if (code === 'Pause') return []
  return codesOf(code).map((byte) => (byte === 0xe0 ? byte : byte | released))
}

function codesOf(code: string): readonly number[] {
  return keys.get(code)!
}

/** The name of a key, as `KeyboardEvent.code` has it. */
export function checkCode(name: string, value: unknown): string {
  if (typeof value === 'string' && (keys.has(value) || value === 'Pause')) return value
  const meant = typeof value === 'string' ? suggestion(value, codeNames) : ''
  const what = `${name} must be a key as KeyboardEvent.code names it, such as "KeyA"`
  return fail('ERR_INVALID_OPTION', `${what}, got ${show(value)}${meant}`)
}
