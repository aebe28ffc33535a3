/** A key, by its `KeyboardEvent.code`, and whether Shift makes the character of it. */
export interface KeyOf {
  code: string
  /** `undefined` where Shift does not matter. */
  isShifted?: boolean
}

/** What is printed on the keys of a US keyboard, without and with Shift. */
const printed: Record<string, string> = {
  Backquote: '`~',
  Minus: '-_',
  Equal: '=+',
  BracketLeft: '[{',
  BracketRight: ']}',
  Backslash: '\\|',
  Semicolon: ';:',
  Quote: `'"`,
  Comma: ',<',
  Period: '.>',
  Slash: '/?',
  ...Object.fromEntries(
    [...'1!2@3#4$5%6^7&8*9(0)'.matchAll(/../g)].map(([it]) => [`Digit${it[0]}`, it]),
  ),
  ...Object.fromEntries(
    [...'abcdefghijklmnopqrstuvwxyz'].map((it) => [
      `Key${it.toUpperCase()}`,
      it + it.toUpperCase(),
    ]),
  ),
}

/** Keys without a character, by the names of X11/keysymdef.h, at their numbers. */
const named: Record<number, string> = {
  0x20: 'Space',
  0xff08: 'Backspace',
  0xff09: 'Tab',
  0xff0d: 'Enter',
  0xff13: 'Pause',
  0xff14: 'ScrollLock',
  0xff15: 'PrintScreen',
  0xff1b: 'Escape',
  0xff50: 'Home',
  0xff51: 'ArrowLeft',
  0xff52: 'ArrowUp',
  0xff53: 'ArrowRight',
  0xff54: 'ArrowDown',
  0xff55: 'PageUp',
  0xff56: 'PageDown',
  0xff57: 'End',
  0xff61: 'PrintScreen',
  0xff63: 'Insert',
  0xff67: 'ContextMenu',
  0xff6b: 'Pause',
  // Shift with Tab, and AltGr.
  0xfe20: 'Tab',
  0xfe03: 'AltRight',
  0xff7e: 'AltRight',
  0xffe1: 'ShiftLeft',
  0xffe2: 'ShiftRight',
  0xffe3: 'ControlLeft',
  0xffe4: 'ControlRight',
  0xffe7: 'MetaLeft',
  0xffe8: 'MetaRight',
  0xffe9: 'AltLeft',
  0xffea: 'AltRight',
  0xffeb: 'MetaLeft',
  0xffec: 'MetaRight',
  0xffff: 'Delete',
  // The keypad. What it means is decided where it is pressed: its Num Lock is not the guest's.
  0xff8d: 'NumpadEnter',
  0xff95: 'Home',
  0xff96: 'ArrowLeft',
  0xff97: 'ArrowUp',
  0xff98: 'ArrowRight',
  0xff99: 'ArrowDown',
  0xff9a: 'PageUp',
  0xff9b: 'PageDown',
  0xff9c: 'End',
  0xff9e: 'Insert',
  0xff9f: 'Delete',
  0xffaa: 'NumpadMultiply',
  0xffab: 'NumpadAdd',
  0xffad: 'NumpadSubtract',
  0xffae: 'Period',
  0xffaf: 'NumpadDivide',
}

const keys = new Map<number, KeyOf>()
for (const [code, characters] of Object.entries(printed)) {
  keys.set(characters.charCodeAt(0), { code, isShifted: false })
  keys.set(characters.charCodeAt(1), { code, isShifted: true })
}
for (const [keysym, code] of Object.entries(named)) keys.set(Number(keysym), { code })
for (let index = 0; index < 12; index++) keys.set(0xffbe + index, { code: `F${index + 1}` })
for (let digit = 0; digit < 10; digit++) {
  keys.set(0xffb0 + digit, { code: `Digit${digit}`, isShifted: false })
}

/**
 * The key of a US keyboard that makes what a viewer names by its keysym. Caps Lock and Num Lock
 * have no key: the viewer has them, and names what they made of the key.
 */
export function keyOf(keysym: number): KeyOf | undefined {
  return keys.get(keysym)
}
