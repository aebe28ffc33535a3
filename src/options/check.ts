import { isAbsolute, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { types } from 'node:util'

import { fail, invalid, show } from '../native/errors.ts'

const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as object
const bufferGetter = Object.getOwnPropertyDescriptor(typedArray, 'buffer')!.get!
const lengthGetter = Object.getOwnPropertyDescriptor(typedArray, 'length')!.get!

/** A plain object of options; arrays and instances of built-in classes are refused. */
export function checkObject(name: string, value: unknown): Record<string, unknown> {
  const isPlain = typeof value === 'object' && value !== null && isArray(value) === false
  if (!isPlain || ArrayBuffer.isView(value)) return invalid(name, 'an object', value)
  return value as Record<string, unknown>
}

/** Refuses unknown keys, which are probably typing errors. */
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

const most64 = (1n << 64n) - 1n

/** A 64-bit value: a bigint, or a whole number where both are allowed. */
export function checkUint64(name: string, value: unknown, numberToo = false): bigint {
  if (typeof value === 'bigint' && value >= 0n && value <= most64) return value
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

/** Bytes: a `Uint8Array` of any realm, whatever its prototype is, that still has its memory. */
export function checkBytes(name: string, value: unknown): Uint8Array {
  if (!types.isUint8Array(value)) {
    const looks = looksLikeBytes(value) ? ', which only looks like one' : ''
    return fail('ERR_INVALID_OPTION', `${name} must be a Uint8Array, got ${show(value)}${looks}`)
  }
  if (lengthOf(value) === 0 && isCutOff(value))
    return fail('ERR_INVALID_OPTION', `${name} must have its memory, got a detached Uint8Array`)
  return value
}

/** How many bytes there are, whatever property hides the length. */
export function lengthOf(bytes: Uint8Array): number {
  return lengthGetter.call(bytes) as number
}

/** Buffers of guest memory, which a guest may write to at any time. */
const guestBuffers = new WeakSet<ArrayBufferLike>()

/** Notes that a guest writes to a buffer, too. */
export function noteGuestBuffer(buffer: ArrayBuffer): void {
  guestBuffers.add(buffer)
}

/** The bytes where they are; a copy of those that another thread could change meanwhile. */
export function steady(bytes: Uint8Array): Uint8Array {
  const buffer = bufferGetter.call(bytes) as ArrayBufferLike
  const isSteady = !types.isSharedArrayBuffer(buffer) && !guestBuffers.has(buffer)
  return isSteady ? bytes : new Uint8Array(bytes)
}

function looksLikeBytes(value: unknown): boolean {
  try {
    return value instanceof Uint8Array
  } catch {
    return false
  }
}

/** Whether its buffer is detached, or was shrunk to before its beginning. */
function isCutOff(bytes: Uint8Array): boolean {
  try {
    Uint8Array.prototype.indexOf.call(bytes, 0)
    return false
  } catch {
    return true
  }
}

/** Text. */
export function checkString(name: string, value: unknown): string {
  return typeof value === 'string' ? value : invalid(name, 'a string', value)
}

/** A path as Node.js takes it, made absolute: the working directory may change meanwhile. */
export function checkPath(name: string, value: unknown): string {
  if (value instanceof URL && value.protocol === 'file:') return fileURLToPath(value)
  if (typeof value !== 'string' || value === '' || value.includes('\0'))
    return invalid(name, 'a path or a file: URL', value)
  return isAbsolute(value) ? value : resolve(value)
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

/** An array of at most so many items. Each is read once and checked; holes are `undefined`. */
export function checkArray<T>(
  name: string,
  value: unknown,
  most: number,
  check: (item: unknown, name: string) => T,
): T[] {
  if (isArray(value) !== true) return invalid(name, 'an array', value)
  const array = value as readonly unknown[]
  const { length } = array
  if (length > most) return fail('ERR_LIMIT', `${name}: at most ${most}, got ${length}`)
  return Array.from({ length }, (_, index) => check(array[index], `${name}[${index}]`))
}

/** `undefined` for a proxy that can only throw. */
function isArray(value: unknown): boolean | undefined {
  try {
    return Array.isArray(value)
  } catch {
    return undefined
  }
}
