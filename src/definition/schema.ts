import { maxDigits } from './check.ts'
import type { NumberRule, ObjectRule, Rule } from './rules.ts'

type Schema = Readonly<Record<string, unknown>>

/** A rule as a JSON schema, draft 2020-12, which accepts what the check accepts. */
export function schemaOf(rule: Rule): Schema {
  return { $schema: 'https://json-schema.org/draft/2020-12/schema', ...described(rule) }
}

function described(rule: Rule): Schema {
  return { ...(rule.about !== undefined && { description: rule.about }), ...bare(rule) }
}

function bare(rule: Rule): Schema {
  switch (rule.kind) {
    case 'any':
      return {}
    case 'text':
      return { type: 'string', ...(rule.pattern && { pattern: rule.pattern.source }) }
    case 'word':
      return { enum: rule.words }
    case 'flag':
      return { type: 'boolean' }
    case 'number':
      return rule.text ? { anyOf: [number(rule), digits(rule)] } : number(rule)
    case 'list':
      return { type: 'array', maxItems: rule.most, items: described(rule.of) }
    case 'either':
      return { anyOf: [described(rule.word), described(rule.object)] }
    case 'object':
      return members(rule)
  }
}

function members({ keys, required = [], either, beside, needed }: ObjectRule): Schema {
  const properties = Object.entries(keys).map(([key, rule]) => [key, described(rule)] as const)
  return {
    type: 'object',
    properties: Object.fromEntries(properties),
    additionalProperties: false,
    ...(required.length > 0 && { required }),
    ...(either && { oneOf: either.map((key) => ({ required: [key] })) }),
    ...(beside && {
      dependentRequired: Object.fromEntries(
        Object.entries(beside).map(([key, where]) => [key, [where]]),
      ),
    }),
    ...(needed && {
      if: { properties: { [needed.where]: { const: needed.is } }, required: [needed.where] },
      // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON schema
      then: { required: [needed.key] },
      else: { properties: { [needed.key]: false } },
    }),
  }
}

/** A JSON number is exact up to 2^53 - 1. */
function number({ least, most }: NumberRule): Schema {
  const exact = BigInt(Number.MAX_SAFE_INTEGER)
  return { type: 'integer', minimum: least, maximum: Number(most < exact ? most : exact) }
}

function digits({ least, most }: NumberRule): Schema {
  const ways = [
    ...(least === 0 ? ['0', '0x0+'] : []),
    `0x0*(${upTo(most, 16).join('|')})`,
    ...upTo(most, 10),
  ]
  return { type: 'string', maxLength: maxDigits, pattern: `^(${ways.join('|')})$` }
}

/** Patterns of the numbers from 1 to `most`, without leading zeros. */
function upTo(most: bigint, radix: 10 | 16): string[] {
  const text = most.toString(radix)
  const last = radix - 1
  const all = classOf(0, last)
  const ways = text.length > 1 ? [`${classOf(1, last)}${times(all, 0, text.length - 2)}`] : []
  // As long as the greatest: the same digits up to one that is less, and then any.
  for (const [index, digit] of [...text].entries()) {
    const before = [...text.slice(0, index)].map((each) => classOf(valueOf(each), valueOf(each)))
    const rest = text.length - index - 1
    const isWhole = [...text.slice(index + 1)].every((each) => valueOf(each) === last)
    const [least, greatest] = [index === 0 ? 1 : 0, valueOf(digit) - (isWhole ? 0 : 1)]
    if (greatest >= least)
      ways.push(`${before.join('')}${classOf(least, greatest)}${times(all, rest, rest)}`)
    if (isWhole) break
  }
  return ways
}

function valueOf(digit: string): number {
  return Number.parseInt(digit, 16)
}

/** One digit from `first` to `last`. */
function classOf(first: number, last: number): string {
  if (first === last && last <= 9) return `${first}`
  const decimal = first <= 9 ? span(`${first}`, `${Math.min(last, 9)}`) : ''
  if (last <= 9) return `[${decimal}]`
  const [from, to] = [Math.max(first, 10).toString(16), last.toString(16)]
  return `[${decimal}${span(from, to)}${span(from.toUpperCase(), to.toUpperCase())}]`
}

function span(first: string, last: string): string {
  return first === last ? first : `${first}-${last}`
}

function times(digit: string, least: number, most: number): string {
  if (most === 0) return ''
  if (least === 1 && most === 1) return digit
  return `${digit}{${least === most ? most : `${least},${most}`}}`
}
