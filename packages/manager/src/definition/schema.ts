import { ManagerError } from '../supervisor/errors.ts'
import { show, suggestion } from './show.ts'

/** The words of JSON schema that `machine.schema.json` uses. */
export interface Schema {
  readonly $schema?: string
  readonly description?: string
  readonly type?: 'object' | 'array' | 'string' | 'boolean' | 'integer'
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly pattern?: string
  readonly maxLength?: number
  readonly minimum?: number
  readonly maximum?: number
  readonly maxItems?: number
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema | false>>
  readonly additionalProperties?: false
  readonly required?: readonly string[]
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly dependentRequired?: Readonly<Record<string, readonly string[]>>
  readonly if?: Schema
  readonly then?: Schema
  readonly else?: Schema
  /** Not of JSON schema: what a message calls the expected value; it does not show a secret. */
  readonly expected?: string
  readonly secret?: boolean
}

type Members = Record<string, unknown>

const patterns = new Map<string, RegExp>()

/**
 * Checks a value and returns a copy of it, with keys in the order of the schema. Each key is read
 * once, an object's own ones only, so what is checked is what counts. Throws `ERR_INVALID_OPTION`
 * with the path of what is wrong.
 */
export function check(schema: Schema, value: unknown, path: string): unknown {
  if (schema.anyOf) return checkAny(schema.anyOf, schema, value, path)
  if (schema.enum) return checkWord(schema.enum, value, path)
  switch (schema.type) {
    case 'object':
      return checkMembers(schema, value, path)
    case 'array':
      return checkItems(schema, value, path)
    case 'string':
    case 'integer':
    case 'boolean':
      return fits(schema, value) ? value : refuse(schema, value, path)
    case undefined:
      // Whatever: it is not kept.
      return undefined
  }
}

/** Whether a plain value is what the schema says. */
function fits(schema: Schema, value: unknown): boolean {
  const { type, maxLength = Infinity, minimum = -Infinity, maximum = Infinity } = schema
  if (type === 'boolean') return typeof value === 'boolean'
  if (type === 'integer')
    return Number.isSafeInteger(value) && Number(value) >= minimum && Number(value) <= maximum
  return (
    typeof value === 'string' &&
    value.length <= maxLength &&
    (schema.pattern === undefined || compiled(schema.pattern).test(value))
  )
}

function compiled(pattern: string): RegExp {
  const found = patterns.get(pattern) ?? new RegExp(pattern)
  patterns.set(pattern, found)
  return found
}

/** A number or a string of digits, or a word or an object. */
function checkAny(ways: readonly Schema[], all: Schema, value: unknown, path: string): unknown {
  const object = ways.find(({ type }) => type === 'object')
  if (object && typeof value === 'object' && value !== null) return check(object, value, path)
  const found = ways.find(
    (way) => way !== object && (way.enum?.includes(value) ?? fits(way, value)),
  )
  return found ? value : refuse(all, value, path)
}

function checkWord(words: readonly unknown[], value: unknown, path: string): unknown {
  if (words.includes(value)) return value
  const texts = words.filter((word) => typeof word === 'string')
  const meant = typeof value === 'string' ? suggestion(value, texts) : ''
  const one = words.length === 1 ? '' : 'one of '
  return invalid(path, `${one}${words.map(show).join(', ')}`, `${show(value)}${meant}`)
}

function checkItems({ maxItems = Infinity, items = {} }: Schema, value: unknown, path: string) {
  if (!Array.isArray(value)) return invalid(path, 'an array', show(value))
  if (value.length > maxItems)
    throw new ManagerError('ERR_LIMIT', `${path}: at most ${maxItems}, got ${value.length}`)
  return Array.from(value, (item, index) => check(items, item, `${path}[${index}]`))
}

function checkMembers(schema: Schema, value: unknown, path: string): Members {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return invalid(path, 'an object', show(value))
  const known = schema.properties ?? {}
  const given: Members = Object.fromEntries(Object.entries(value))
  const unknown = Object.keys(given).find((key) => !Object.hasOwn(known, key))
  if (unknown !== undefined) return unknownKey(unknown, Object.keys(known), path)
  const checked: Members = {}
  for (const [key, member] of Object.entries(known)) {
    const each = given[key]
    if (each === undefined || member === false) continue
    const copy = check(member, each, `${path}.${key}`)
    if (copy !== undefined) checked[key] = copy
  }
  checkTogether(schema, checked, path)
  return checked
}

/** Which keys are there beside which. */
function checkTogether(schema: Schema, checked: Members, path: string): void {
  const has = (key: string): boolean => Object.hasOwn(checked, key)
  for (const key of schema.required ?? []) if (!has(key)) missing(`${path}.${key}`)
  const either = (schema.oneOf ?? []).flatMap(({ required = [] }) => required)
  const there = either.filter(has)
  if (either.length > 0 && there.length !== 1)
    invalid(path, `given exactly one of ${either.join(' and ')}`, there.join(' and ') || 'neither')
  for (const [key, beside] of Object.entries(schema.dependentRequired ?? {}))
    if (has(key)) for (const other of beside) if (!has(other)) misplaced(`${path}.${key}`, other)
  if (schema.if) checkNeeded(schema, schema.if, checked, path)
}

/** What is there if, and only if, another one has a value. */
function checkNeeded(schema: Schema, condition: Schema, checked: Members, path: string): void {
  const wanted = Object.entries(condition.properties ?? {}).map(([key, way]) => ({
    key,
    value: way === false ? undefined : way.const,
  }))
  const has = (key: string): boolean => Object.hasOwn(checked, key)
  if (wanted.every(({ key, value }) => checked[key] === value)) {
    for (const key of schema.then?.required ?? []) if (!has(key)) missing(`${path}.${key}`)
    return
  }
  const where = wanted.map(({ key, value }) => `${key} ${show(value)}`).join(' and ')
  for (const [key, way] of Object.entries(schema.else?.properties ?? {}))
    if (way === false && has(key)) misplaced(`${path}.${key}`, where)
}

function unknownKey(key: string, known: readonly string[], path: string): never {
  const meant = suggestion(key, known) || `; known are ${known.join(', ')}`
  throw new ManagerError('ERR_INVALID_OPTION', `${path} has no key ${show(key)}${meant}`)
}

function missing(path: string): never {
  throw new ManagerError('ERR_INVALID_OPTION', `${path} is missing`)
}

function misplaced(path: string, where: string): never {
  throw new ManagerError('ERR_INVALID_OPTION', `${path} must be given beside ${where} only`)
}

function invalid(path: string, expected: string, got: string): never {
  throw new ManagerError('ERR_INVALID_OPTION', `${path} must be ${expected}, got ${got}`)
}

function refuse(schema: Schema, value: unknown, path: string): never {
  const got =
    schema.secret && typeof value === 'string' ? `${value.length} characters` : show(value)
  return invalid(path, schema.expected ?? expectation(schema), got)
}

/** What a schema asks for, in words. */
function expectation({ type, anyOf, pattern, enum: words, minimum, maximum }: Schema): string {
  if (words) return words.map(show).join(', ')
  if (anyOf) return digitsToo(anyOf) ?? anyOf.map(expectation).join(' or ')
  if (type === 'integer')
    return minimum === undefined ? 'a whole number' : `a whole number from ${minimum} to ${maximum}`
  if (type === 'boolean') return 'true or false'
  if (type === 'object') return 'an object'
  return pattern === undefined ? 'a string' : `a string like ${pattern}`
}

/** A number that may be a string of digits: its pattern says nothing to people. */
function digitsToo(ways: readonly Schema[]): string | undefined {
  const [number, digits] = ways
  if (number?.type !== 'integer' || digits?.type !== 'string') return undefined
  return `${expectation(number)}, or a string such as "0x1000"`
}
