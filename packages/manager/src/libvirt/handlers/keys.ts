import { ERROR, fail } from '../errors.ts'

/** `virKeycodeSet`: those that we know. */
const CODESET = { linux: 0, xt: 1, atSet1: 2, xtKbd: 6, usb: 7, qnum: 9 } as const

const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'].map((letter) => `Key${letter}`)
const digits = [...'1234567890'].map((digit) => `Digit${digit}`)

/** Keys by their codes of set 1, from 1 on; Linux numbers them in the same way. */
const plain = [
  'Escape',
  ...digits,
  ...'Minus Equal Backspace Tab'.split(' '),
  ...[...'QWERTYUIOP'].map((letter) => `Key${letter}`),
  ...'BracketLeft BracketRight Enter ControlLeft'.split(' '),
  ...[...'ASDFGHJKL'].map((letter) => `Key${letter}`),
  ...'Semicolon Quote Backquote ShiftLeft Backslash'.split(' '),
  ...[...'ZXCVBNM'].map((letter) => `Key${letter}`),
  ...'Comma Period Slash ShiftRight NumpadMultiply AltLeft Space CapsLock'.split(' '),
  ...'F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 NumLock ScrollLock'.split(' '),
  ...'Numpad7 Numpad8 Numpad9 NumpadSubtract Numpad4 Numpad5 Numpad6 NumpadAdd'.split(' '),
  ...'Numpad1 Numpad2 Numpad3 Numpad0 NumpadDecimal'.split(' '),
]

const common = table(1, plain)

/** linux/input-event-codes.h. */
const linux = new Map([
  ...common,
  ...table(86, 'IntlBackslash F11 F12 IntlRo'.split(' ')),
  ...table(92, 'Convert KanaMode NonConvert'.split(' ')),
  ...table(96, 'NumpadEnter ControlRight NumpadDivide PrintScreen AltRight'.split(' ')),
  ...table(102, 'Home ArrowUp PageUp ArrowLeft ArrowRight End ArrowDown PageDown'.split(' ')),
  ...table(110, 'Insert Delete'.split(' ')),
  ...table(113, 'AudioVolumeMute AudioVolumeDown AudioVolumeUp Power NumpadEqual'.split(' ')),
  ...table(119, ['Pause']),
  ...table(121, ['NumpadComma']),
  ...table(124, 'IntlYen MetaLeft MetaRight ContextMenu'.split(' ')),
  ...table(142, 'Sleep WakeUp'.split(' ')),
  ...table(163, 'MediaTrackNext MediaPlayPause MediaTrackPrevious MediaStop'.split(' ')),
  ...table(183, 'F13 F14 F15 F16 F17 F18 F19 F20 F21 F22 F23 F24'.split(' ')),
])

/** What comes after the byte 0xe0 in set 1. */
const extended = new Map([
  [0x10, 'MediaTrackPrevious'],
  [0x19, 'MediaTrackNext'],
  ...table(0x1c, 'NumpadEnter ControlRight'.split(' ')),
  [0x20, 'AudioVolumeMute'],
  [0x22, 'MediaPlayPause'],
  [0x24, 'MediaStop'],
  [0x2e, 'AudioVolumeDown'],
  [0x30, 'AudioVolumeUp'],
  [0x35, 'NumpadDivide'],
  ...table(0x37, 'PrintScreen AltRight'.split(' ')),
  [0x46, 'Pause'],
  ...table(0x47, 'Home ArrowUp PageUp'.split(' ')),
  [0x4b, 'ArrowLeft'],
  [0x4d, 'ArrowRight'],
  ...table(0x4f, 'End ArrowDown PageDown Insert Delete'.split(' ')),
  ...table(0x5b, 'MetaLeft MetaRight ContextMenu Power Sleep'.split(' ')),
  [0x63, 'WakeUp'],
])

const set1 = new Map([
  ...common,
  ...table(0x56, 'IntlBackslash F11 F12 NumpadEqual'.split(' ')),
  ...table(0x64, 'F13 F14 F15 F16 F17 F18 F19 F20 F21 F22 F23'.split(' ')),
  [0x70, 'KanaMode'],
  [0x73, 'IntlRo'],
  [0x76, 'F24'],
  [0x79, 'Convert'],
  [0x7b, 'NonConvert'],
  [0x7d, 'IntlYen'],
  [0x7e, 'NumpadComma'],
])

/** The page of keyboards of HID's usage tables. */
const usb = new Map([
  ...table(4, letters),
  ...table(30, digits),
  ...table(40, 'Enter Escape Backspace Tab Space Minus Equal BracketLeft BracketRight'.split(' ')),
  ...table(49, 'Backslash Backslash Semicolon Quote Backquote Comma Period Slash'.split(' ')),
  ...table(57, 'CapsLock F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 F11 F12'.split(' ')),
  ...table(70, 'PrintScreen ScrollLock Pause Insert Home PageUp Delete End PageDown'.split(' ')),
  ...table(79, 'ArrowRight ArrowLeft ArrowDown ArrowUp NumLock NumpadDivide'.split(' ')),
  ...table(85, 'NumpadMultiply NumpadSubtract NumpadAdd NumpadEnter'.split(' ')),
  ...table(89, 'Numpad1 Numpad2 Numpad3 Numpad4 Numpad5 Numpad6 Numpad7'.split(' ')),
  ...table(96, 'Numpad8 Numpad9 Numpad0 NumpadDecimal IntlBackslash ContextMenu'.split(' ')),
  ...table(102, 'Power NumpadEqual'.split(' ')),
  ...table(104, 'F13 F14 F15 F16 F17 F18 F19 F20 F21 F22 F23 F24'.split(' ')),
  ...table(224, 'ControlLeft ShiftLeft AltLeft MetaLeft'.split(' ')),
  ...table(228, 'ControlRight ShiftRight AltRight MetaRight'.split(' ')),
])

function table(first: number, names: readonly string[]): [number, string][] {
  return names.map((name, index) => [first + index, name])
}

const byHighBit = (code: number): string | undefined =>
  code < 0x80 ? set1.get(code) : extended.get(code & 0x7f)

const lookups = new Map<number, (code: number) => string | undefined>([
  [CODESET.linux, (code) => linux.get(code)],
  [CODESET.xt, (code) => (code >> 8 === 0xe0 ? extended.get(code & 0xff) : set1.get(code))],
  [CODESET.atSet1, (code) => (code >> 8 === 0xe0 ? extended.get(code & 0xff) : set1.get(code))],
  [CODESET.xtKbd, byHighBit],
  [CODESET.usb, (code) => usb.get(code)],
  [CODESET.qnum, byHighBit],
])

/** Keys by their `KeyboardEvent.code`, of numbers of a code set of libvirt. */
export function codesOf(codeset: number, keys: readonly number[]): string[] {
  const lookup = lookups.get(codeset)
  if (lookup === undefined) {
    return fail(ERROR.argumentUnsupported, 'keys are known by the sets linux, xt, usb and qnum')
  }
  return keys.map(
    (key) => lookup(key) ?? fail(ERROR.invalidArgument, `no key has the code ${key} in that set`),
  )
}
