import { checkArray, checkBoolean, checkObject } from '../options/check.ts'
import { fail, invalid, show } from '../native/errors.ts'
import { suggestion } from '../options/nearest.ts'
import type { NumberRule, ObjectRule, Rule, TextRule, WordRule } from './rules.ts'

/** The longest number in a string: 20 decimal digits make 64 bits. */
export const maxDigits = 20

/**
 * Checks a value and returns a copy of it, in which numbers are numbers or bigints. Each key is
 * read once, an object's own ones only, so what is checked is what counts. Throws
 * `ERR_INVALID_OPTION` or `ERR_LIMIT` with the path of what is wrong.
 */
export function check(rule: Rule, value: unknown, name: string): unknown {
  switch (rule.kind) {
    case 'any':
      return undefined
    case 'text':
      return checkText(rule, value, name)
    case 'word':
      return checkOneOf(rule, value, name)
    case 'flag':
      return checkBoolean(name, value)
    case 'number':
      return checkNumber(rule, value, name)
    case 'list':
      return checkArray(name, value, rule.most, (item, at) => check(rule.of, item, at))
    case 'either':
      return check(typeof value === 'string' ? rule.word : rule.object, value, name)
    case 'object':
      return checkMembers(rule, value, name)
  }
}

function checkText({ pattern, expected = 'a string' }: TextRule, value: unknown, name: string) {
  const fits = typeof value === 'string' && (pattern?.test(value) ?? true)
  return fits ? value : invalid(name, expected, value)
}

function checkOneOf({ words }: WordRule, value: unknown, name: string): WordRule['words'][number] {
  const found = words.find((word) => word === value)
  if (found !== undefined) return found
  const texts = words.filter((word) => typeof word === 'string')
  const meant = typeof value === 'string' ? suggestion(value, texts) : ''
  const one = words.length === 1 ? '' : 'one of '
  const expected = `${one}${words.map(show).join(', ')}`
  return fail('ERR_INVALID_OPTION', `${name} must be ${expected}, got ${show(value)}${meant}`)
}

function checkNumber(rule: NumberRule, value: unknown, name: string): number | bigint {
  const { least, most, text, wide } = rule
  const whole = wholeOf(value, text)
  if (whole !== undefined && whole >= least && whole <= most) return wide ? whole : Number(whole)
  const strings = text ? ", or a string such as '0x1000'" : ''
  return invalid(name, `a whole number from ${least} to ${most}${strings}`, value)
}

function wholeOf(value: unknown, text: boolean): bigint | undefined {
  if (Number.isSafeInteger(value)) return BigInt(value as number)
  if (!text || typeof value !== 'string' || value.length > maxDigits) return undefined
  return /^(0x[\da-fA-F]+|0|[1-9]\d*)$/.test(value) ? BigInt(value) : undefined
}

function checkMembers(rule: ObjectRule, value: unknown, name: string): Record<string, unknown> {
  const given = checkObject(name || 'the definition', value)
  const checked: Record<string, unknown> = {}
  for (const key of Object.keys(given)) {
    const known = Object.hasOwn(rule.keys, key) ? rule.keys[key] : undefined
    if (!known) return unknownKey(rule, key, name)
    if (known.kind === 'any') continue
    const member = given[key]
    if (member !== undefined) checked[key] = check(known, member, pathOf(name, key))
  }
  const has = (key: string): boolean => checked[key] !== undefined
  for (const key of rule.required ?? []) if (!has(key)) missing(rule, key, name)
  const [one, other] = rule.either ?? []
  if (one !== undefined && other !== undefined && has(one) === has(other)) {
    invalid(name, `given exactly one of ${one} and ${other}`, has(one) ? 'both' : 'neither')
  }
  for (const [key, where] of Object.entries(rule.beside ?? {}))
    if (has(key) && !has(where)) misplaced(pathOf(name, key), pathOf(name, where))
  if (rule.needed) checkNeeded(rule, rule.needed, checked, name)
  return checked
}

function checkNeeded(
  rule: ObjectRule,
  { key, where, is }: NonNullable<ObjectRule['needed']>,
  checked: Record<string, unknown>,
  name: string,
): void {
  const isNeeded = checked[where] === is
  if (isNeeded && checked[key] === undefined) missing(rule, key, name)
  if (!isNeeded && checked[key] !== undefined)
    misplaced(pathOf(name, key), `${pathOf(name, where)} ${show(is)}`)
}

/** Says what the key should be. */
function missing(rule: ObjectRule, key: string, name: string): never {
  check(rule.keys[key]!, undefined, pathOf(name, key))
  return fail('ERR_INVALID_OPTION', `${pathOf(name, key)} is missing`)
}

function misplaced(name: string, where: string): never {
  return fail('ERR_INVALID_OPTION', `${name} goes with ${where} only`)
}

function unknownKey(rule: ObjectRule, key: string, name: string): never {
  const known = Object.keys(rule.keys)
  const meant = suggestion(key, known) || `; known are ${known.join(', ')}`
  return fail('ERR_INVALID_OPTION', `${pathOf(name, key)} is no known key${meant}`)
}

function pathOf(name: string, key: string): string {
  if (!/^[\w$-]{1,60}$/.test(key)) return `${name}[${show(key)}]`
  return name === '' ? key : `${name}.${key}`
}
