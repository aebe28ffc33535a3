/** The part of JSON Schema (2020-12) with which the API's bodies and parameters are described. */
export interface Schema {
  readonly $ref?: string
  readonly description?: string
  readonly anyOf?: readonly Schema[]
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean'
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | Schema
  readonly items?: Schema
  readonly minItems?: number
  readonly maxItems?: number
  readonly enum?: readonly string[]
  readonly pattern?: string
  readonly minLength?: number
  readonly maxLength?: number
  readonly minimum?: number
  readonly maximum?: number
}

/**
 * What is wrong with a value, or undefined. `$ref` and `anyOf` are for answers, which are not
 * checked here.
 */
export function problem(schema: Schema, value: unknown, place: string): string | undefined {
  if (schema.type !== undefined && !isOfType(schema.type, value))
    return `${place} must be ${article(schema.type)}, got ${shown(value)}`
  if (typeof value === 'string') return ofString(schema, value, place)
  if (typeof value === 'number') return ofNumber(schema, value, place)
  if (Array.isArray(value)) return ofArray(schema, value, place)
  if (typeof value === 'object' && value !== null) return ofObject(schema, value, place)
  return undefined
}

function isOfType(type: NonNullable<Schema['type']>, value: unknown): boolean {
  switch (type) {
    case 'array':
      return Array.isArray(value)
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value)
    case 'integer':
      return Number.isSafeInteger(value)
    default:
      return typeof value === type
  }
}

const article = (type: string): string => `${/^[aio]/.test(type) ? 'an' : 'a'} ${type}`

const maxShown = 40

function shown(value: unknown): string {
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object' && value !== null) return 'an object'
  const text = JSON.stringify(value)
  return text.length > maxShown ? `${text.slice(0, maxShown)}…` : text
}

function ofString(schema: Schema, value: string, place: string): string | undefined {
  const { minLength = 0, maxLength = Infinity, pattern } = schema
  if (schema.enum && !schema.enum.includes(value))
    return `${place} must be one of ${schema.enum.join(', ')}, got ${shown(value)}`
  if (value.length < minLength || value.length > maxLength)
    return `${place} must have ${range(minLength, maxLength)} characters, got ${value.length}`
  if (pattern !== undefined && !new RegExp(pattern, 'u').test(value))
    return `${place} must match ${pattern}, got ${shown(value)}`
  return undefined
}

function ofNumber(schema: Schema, value: number, place: string): string | undefined {
  const { minimum = -Infinity, maximum = Infinity } = schema
  const isIn = value >= minimum && value <= maximum
  return isIn ? undefined : `${place} must be ${range(minimum, maximum)}, got ${value}`
}

function ofArray(schema: Schema, value: unknown[], place: string): string | undefined {
  const { minItems = 0, maxItems = Infinity, items } = schema
  if (value.length < minItems || value.length > maxItems)
    return `${place} must have ${range(minItems, maxItems)} items, got ${value.length}`
  return items && first(value.keys(), (at) => problem(items, value[at], `${place}[${at}]`))
}

function ofObject(schema: Schema, value: object, place: string): string | undefined {
  const { properties = {}, required = [], additionalProperties = true } = schema
  const lacking = required.find((key) => !Object.hasOwn(value, key))
  if (lacking !== undefined) return `${place} lacks ${lacking}`
  return first(Object.entries(value), ([key, inner]) => {
    if (Object.hasOwn(properties, key)) return problem(properties[key]!, inner, `${place}.${key}`)
    if (typeof additionalProperties === 'object')
      return problem(additionalProperties, inner, `${place}.${key}`)
    const known = Object.keys(properties).join(', ') || 'nothing'
    return additionalProperties ? undefined : `${place} has ${shown(key)}, but may have ${known}`
  })
}

function first<T>(values: Iterable<T>, of: (value: T) => string | undefined): string | undefined {
  for (const value of values) {
    const found = of(value)
    if (found !== undefined) return found
  }
  return undefined
}

function range(least: number, most: number): string {
  if (most === Infinity) return `at least ${least}`
  return least === -Infinity ? `at most ${most}` : `${least} to ${most}`
}
