import { fail, show } from '../../native/errors.ts'
import { suggestion } from '../../options/nearest.ts'
import { codeNames } from './codes.ts'
import { type KeyboardLayout, strokesOf } from './layouts.ts'

/** How modifiers are written. */
const modifiers: Record<string, string> = {
  ctrl: 'ControlLeft',
  control: 'ControlLeft',
  shift: 'ShiftLeft',
  alt: 'AltLeft',
  altgr: 'AltRight',
  meta: 'MetaLeft',
  super: 'MetaLeft',
  win: 'MetaLeft',
}

/** How keys are written that are called otherwise in `KeyboardEvent.code`. */
const others: Record<string, string> = {
  esc: 'Escape',
  return: 'Enter',
  del: 'Delete',
  ins: 'Insert',
  up: 'ArrowUp',
  down: 'ArrowDown',
  left: 'ArrowLeft',
  right: 'ArrowRight',
  pgup: 'PageUp',
  pgdn: 'PageDown',
  sysrq: 'PrintScreen',
  plus: 'NumpadAdd',
}

const byLower = new Map<string, string>([
  ...codeNames.map((code): [string, string] => [code.toLowerCase(), code]),
  ...Object.entries(others),
  ...Object.entries(modifiers),
])

/** The keys of `'ctrl+alt+delete'`, in the order in which they go down. */
export function keysOfChord(keys: string, layout: KeyboardLayout): string[] {
  // The last `+` may be a key itself.
  const isPlus = keys === '+' || keys.endsWith('++')
  const parts = (isPlus ? keys.slice(0, -1) : keys).split('+')
  if (isPlus) parts[parts.length - 1] = '+'
  const last = parts.pop()!
  const held = parts.map((part) => modifierOf(part, keys))
  const own = keyOf(last, layout, keys)
  const all = [...held, ...own.filter((code) => !held.includes(code))]
  return [...new Set(all)]
}

function modifierOf(part: string, keys: string): string {
  const code = modifiers[part.toLowerCase()] ?? byLower.get(part.toLowerCase())
  return code ?? unknown(part, keys)
}

/** A letter is its key, written large or small; any other character has what it is typed with. */
function keyOf(part: string, layout: KeyboardLayout, keys: string): string[] {
  const code = byLower.get(part.toLowerCase())
  if (code) return [code]
  const known = strokesOf(layout)
  const found = known.get(part.toLowerCase()) ?? known.get(part)
  return found ? [...found.held, found.key] : unknown(part, keys)
}

function unknown(part: string, keys: string): never {
  const meant = suggestion(part, [...byLower.keys()])
  return fail(
    'ERR_INVALID_OPTION',
    `keys must be names of keys joined by +, such as "ctrl+c", got ${show(part)} in ${show(keys)}${meant}`,
  )
}
