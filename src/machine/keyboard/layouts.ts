import { fail, show } from '../../native/errors.ts'

/**
 * Where a keyboard's keys are labelled: the name of a layout.
 *
 * @category Devices
 */
export type KeyboardLayout = 'us' | 'gb' | 'de' | 'fr'

/** The keys that have characters, row by row; `IntlBackslash` is left of Z, where there is one. */
const rows = `Backquote Digit1 Digit2 Digit3 Digit4 Digit5 Digit6 Digit7 Digit8 Digit9 Digit0 Minus
Equal KeyQ KeyW KeyE KeyR KeyT KeyY KeyU KeyI KeyO KeyP BracketLeft BracketRight Backslash KeyA KeyS
KeyD KeyF KeyG KeyH KeyJ KeyK KeyL Semicolon Quote KeyZ KeyX KeyC KeyV KeyB KeyN KeyM Comma Period
Slash IntlBackslash`.split(/\s/)

/** A layout: what the keys of `rows` make alone, with Shift, and with AltGr; a space is nothing. */
interface Labels {
  readonly plain: string
  readonly shift: string
  readonly altGr: string
  /** Characters whose key waits for the next one, which then is the space bar. */
  readonly dead: string
}

const layouts: Record<KeyboardLayout, Labels> = {
  us: {
    plain: "`1234567890-=qwertyuiop[]\\asdfghjkl;'zxcvbnm,./ ",
    shift: '~!@#$%^&*()_+QWERTYUIOP{}|ASDFGHJKL:"ZXCVBNM<>? ',
    altGr: '',
    dead: '',
  },
  gb: {
    plain: "`1234567890-=qwertyuiop[]#asdfghjkl;'zxcvbnm,./\\",
    shift: '¬!"£$%^&*()_+QWERTYUIOP{}~ASDFGHJKL:@ZXCVBNM<>?|',
    altGr: '¦   €                                           ',
    dead: '',
  },
  de: {
    plain: '^1234567890ß´qwertzuiopü+#asdfghjklöäyxcvbnm,.-<',
    shift: '°!"§$%&/()=?`QWERTZUIOPÜ*\'ASDFGHJKLÖÄYXCVBNM;:_>',
    altGr: '  ²³   {[]}\\ @ €        ~                 µ    |',
    dead: '^´`',
  },
  fr: {
    plain: '²&é"\'(-è_çà)=azertyuiop^$*qsdfghjklmùwxcvbn,;:!<',
    shift: ' 1234567890°+AZERTYUIOP¨£µQSDFGHJKLM%WXCVBN?./§>',
    altGr: '  ~#{[|`\\^@]}  €                                ',
    dead: '¨',
  },
}

/** The names of all layouts. */
export const layoutNames = Object.keys(layouts) as readonly KeyboardLayout[]

/** The keys to press for one character: modifiers first, and perhaps a key after them. */
export interface Strokes {
  readonly held: readonly string[]
  readonly key: string
  /** The key before has waited for another. */
  readonly next?: string
}

/** The same in every layout. */
const common: Record<string, string> = {
  ' ': 'Space',
  '\n': 'Enter',
  '\r': 'Enter',
  '\t': 'Tab',
  '\b': 'Backspace',
  '\u001b': 'Escape',
}

const made = new Map<KeyboardLayout, ReadonlyMap<string, Strokes>>()

/** What each character of a layout is typed with. */
export function strokesOf(layout: KeyboardLayout): ReadonlyMap<string, Strokes> {
  const known = made.get(layout)
  if (known) return known
  const { plain, shift, altGr, dead } = layouts[layout]
  const all = new Map<string, Strokes>()
  const levels: [string, string[]][] = [
    [plain, []],
    [shift, ['ShiftLeft']],
    [altGr, ['AltRight']],
  ]
  for (const [labels, held] of levels) {
    for (const [index, character] of [...labels].entries()) {
      if (character === ' ' || all.has(character)) continue
      const next = dead.includes(character) ? { next: 'Space' } : {}
      all.set(character, { held, key: rows[index]!, ...next })
    }
  }
  for (const [character, key] of Object.entries(common)) all.set(character, { held: [], key })
  made.set(layout, all)
  return all
}

/** So many characters are named in a message. */
const mostNamed = 5

/** The keys for a whole text; a line that ends with CR and LF gets one Enter. */
export function strokesFor(text: string, layout: KeyboardLayout): Strokes[] {
  const known = strokesOf(layout)
  const strokes: Strokes[] = []
  const unknown: string[] = []
  let index = 0
  for (const character of text) {
    const found = known.get(character)
    if (!found) unknown.push(`${show(character)} at ${index}`)
    else if (character !== '\n' || text[index - 1] !== '\r') strokes.push(found)
    index += character.length
  }
  if (unknown.length === 0) return strokes
  const more = unknown.length - mostNamed
  const named = unknown.slice(0, mostNamed).join(', ') + (more > 0 ? ` and ${more} more` : '')
  return fail(
    'ERR_INVALID_OPTION',
    `text must be made of characters that layout '${layout}' has a key for, got ${named}`,
  )
}
