import { refuse, shown } from './refuse.ts'

const named: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  apos: "'",
  quot: '"',
}

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  "'": '&apos;',
  '"': '&quot;',
}

/** Whether XML 1.0 can say a text (production 2 of it, `Char`). */
export function isSayable(text: string): boolean {
  return /^[\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]*$/u.test(text)
}

/** The text of a document that stands for `text` between tags. */
export function escapeText(text: string): string {
  return text.replaceAll(/[&<>\r]/g, escape)
}

/** The text of a document that stands for `text` as an attribute in single quotes. */
export function escapeAttribute(text: string): string {
  return text.replaceAll(/[&<>'"\r\n\t]/g, escape)
}

function escape(character: string): string {
  return escapes[character] ?? `&#${character.charCodeAt(0)};`
}

/**
 * What a document's text stands for. There are the five entities of XML and numbers of characters;
 * a document cannot declare any, so nothing expands to more than it is.
 */
export function unescape(text: string): string {
  return text.replaceAll(/&([^;&]{0,16})(;?)/g, (whole, name: string, end: string) => {
    const known = Object.hasOwn(named, name) ? named[name] : numbered(name)
    return end === '' || known === undefined
      ? refuse(`${shown(whole)} is no character that XML knows`)
      : known
  })
}

function numbered(name: string): string | undefined {
  const [, hexadecimal, decimal] = /^#(?:x([\da-fA-F]{1,6})|(\d{1,7}))$/.exec(name) ?? []
  const code = hexadecimal === undefined ? Number(decimal ?? -1) : Number.parseInt(hexadecimal, 16)
  if (code < 0 || code > 0x10_ff_ff) return undefined
  const character = String.fromCodePoint(code)
  return isSayable(character) ? character : undefined
}
