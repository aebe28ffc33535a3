import { fail, show } from '../../native/errors.ts'
import type { ErrorCode } from '../../native/vm-error.ts'
import { toKind } from './c-types.ts'
import { KINDS, type Kind } from './kinds.ts'

/** How a function is called. */
export interface Signature {
  readonly text: string
  /** Whether it says `...`, so that it cannot be called as it is. */
  readonly isVariadic: boolean
  readonly result: Kind
  readonly parameters: readonly Kind[]
}

/** More arguments than any function that is called by hand; an image may ask for any number. */
const MAX_PARAMETERS = 64
/** Longer ones are not read at all. */
const MAX_SIGNATURE_CHARS = 4096

/**
 * Reads `i32(ptr, usize)`, or the same in C's words: `int(const void *, size_t)`.
 *
 * `what` is the option or the record that has it, and `code` whose mistake it is.
 */
export function parseSignature(what: string, text: unknown, code: ErrorCode): Signature {
  const wrong = (why: string): never =>
    fail(code, `${what} must be a signature such as 'i32(ptr, usize)', got ${show(text)}${why}`)
  if (typeof text !== 'string') return wrong('')
  if (text.length > MAX_SIGNATURE_CHARS) return wrong(`, of ${text.length} characters`)
  const open = text.indexOf('(')
  const trimmed = text.trimEnd()
  if (open < 0 || !trimmed.endsWith(')')) return wrong('')
  const inner = trimmed.slice(open + 1, -1)
  const given = split(inner)
  if (!given) return wrong(': its parentheses do not match')
  const result = toKind(text.slice(0, open))
  if (!result) return wrong(`: ${unknown(text.slice(0, open))}`)
  const isVariadic = given.length > 1 && given.at(-1)!.trim() === '...'
  const fixed = isVariadic ? given.slice(0, -1) : given
  const isEmpty = fixed.length === 1 && ['', 'void'].includes(fixed[0]!.trim())
  const parameters = isEmpty ? [] : fixed.map((each) => toParameter(each, wrong))
  if (parameters.length > MAX_PARAMETERS) return wrong(`: at most ${MAX_PARAMETERS} parameters`)
  return { text: text.trim(), isVariadic, result, parameters }
}

function toParameter(text: string, wrong: (why: string) => never): Kind {
  const kind = toKind(text)
  return kind && kind !== KINDS.void ? kind : wrong(`: ${unknown(text)}`)
}

const unknown = (text: string): string =>
  text.trim() === '' ? 'a type is missing' : `${show(text.trim())} is no type that can be passed`

/** At its outer commas; nothing if parentheses do not match. */
function split(text: string): string[] | undefined {
  const parts: string[] = []
  let [depth, start] = [0, 0]
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at]
    if (letter === '(') depth += 1
    else if (letter === ')') depth -= 1
    else if (letter === ',' && depth === 0) {
      parts.push(text.slice(start, at))
      start = at + 1
    }
    if (depth < 0) return undefined
  }
  return depth === 0 ? [...parts, text.slice(start)] : undefined
}
