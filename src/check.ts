import { fail, invalid, show } from './errors.ts'

/** An object as options are given; arrays and class instances of built-in kinds are none. */
export function checkObject(name: string, value: unknown): Record<string, unknown> {
  if (
    typeof value !== 'object' ||
    value === null ||
    Array.isArray(value) ||
    ArrayBuffer.isView(value)
  ) {
    return invalid(name, 'an object', value)
  }
  return value as Record<string, unknown>
}

/** Refuses what is probably a typing error. */
export function checkKeys(name: string, value: object, known: readonly string[]): void {
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) invalid(name, `made of ${known.join(', ')}`, `unknown '${key}'`)
  }
}

/** A whole number in a range. */
export function checkInteger(name: string, value: unknown, least: number, most: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    return invalid(name, `a whole number from ${least} to ${most}`, value)
  }
  return value
}

/** A number of milliseconds. */
export function checkMilliseconds(name: string, value: unknown, most: number): number {
  if (typeof value !== 'number' || !(value >= 0 && value <= most)) {
    return invalid(name, `a number of milliseconds from 0 to ${most}`, value)
  }
  return value
}

/** A 64-bit value: a bigint, or a whole number where both are allowed. */
export function checkUint64(name: string, value: unknown, numberToo = false): bigint {
  if (typeof value === 'bigint' && value >= 0n && value < 1n << 64n) return value
  if (numberToo && typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) {
    return BigInt(value)
  }
  const kind = numberToo ? 'a whole number or bigint' : 'a bigint'
  return invalid(name, `${kind} from 0 to 2^64 - 1`, value)
}

/** A function, or nothing. */
export function checkFunction(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function') invalid(name, 'a function', value)
}

/** Bytes. */
export function checkBytes(name: string, value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value
  return fail('ERR_INVALID_OPTION', `${name} must be a Uint8Array, got ${show(value)}`)
}

/** Text. */
export function checkString(name: string, value: unknown): string {
  return typeof value === 'string' ? value : invalid(name, 'a string', value)
}

/** `true` or `false`. */
export function checkBoolean(name: string, value: unknown): boolean {
  return typeof value === 'boolean' ? value : invalid(name, 'true or false', value)
}

/** One of several words. */
export function checkWord<T extends string>(name: string, value: unknown, words: readonly T[]): T {
  const found = words.find((word) => word === value)
  return found ?? invalid(name, `one of ${words.map(show).join(', ')}`, value)
}

/** An array. */
export function checkArray(name: string, value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : invalid(name, 'an array', value)
}
