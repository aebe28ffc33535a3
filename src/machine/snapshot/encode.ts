import { types } from 'node:util'

import { type Kind, kinds, most, viewKinds } from './value-kinds.ts'
import { fail } from '../../native/errors.ts'

/**
 * Writes a device's state as bytes: everything that `structuredClone` takes and gives back, except
 * blobs, keys, streams and other objects of the host, and shared memory. An object that is
 * referred to twice is written once.
 *
 * @throws {VmError} `ERR_SNAPSHOT` for what cannot be written, naming it.
 */
export function encode(name: string, value: unknown): Uint8Array {
  const encoder = new Encoder(name)
  encoder.put(value, 0)
  return encoder.bytes()
}

class Encoder {
  readonly #name: string
  readonly #known = new Map<object, number>()
  #view = new DataView(new ArrayBuffer(256))
  #length = 0

  constructor(name: string) {
    this.#name = name
  }

  bytes(): Uint8Array {
    return new Uint8Array(this.#view.buffer, 0, this.#length).slice()
  }

  put(value: unknown, depth: number): void {
    if (depth > most.depth) this.#refuse(`nests more than ${most.depth} objects`)
    switch (typeof value) {
      case 'undefined':
        return this.#kind(kinds.undefined)
      case 'boolean':
        return this.#kind(value ? kinds.true : kinds.false)
      case 'number':
        this.#kind(kinds.number)
        return this.#number(value)
      case 'bigint':
        this.#kind(value < 0n ? kinds.negativeBigint : kinds.bigint)
        return this.#digits((value < 0n ? -value : value).toString(16))
      case 'string':
        this.#kind(kinds.string)
        return this.#text(value)
      case 'object':
        return value === null ? this.#kind(kinds.null) : this.#object(value, depth)
      default:
        return this.#refuse(`holds a ${typeof value}`)
    }
  }

  #object(value: object, depth: number): void {
    const known = this.#known.get(value)
    if (known !== undefined) {
      this.#kind(kinds.known)
      return this.#count(known)
    }
    this.#known.set(value, this.#known.size)
    if (Array.isArray(value)) return this.#array(value, depth)
    if (types.isDate(value)) {
      this.#kind(kinds.date)
      return this.#number(Date.prototype.getTime.call(value))
    }
    if (types.isRegExp(value)) {
      this.#kind(kinds.regExp)
      this.#text(value.source)
      return this.#text(value.flags)
    }
    if (types.isMap(value)) {
      this.#kind(kinds.map)
      this.#count(value.size)
      for (const [key, item] of value) {
        this.put(key, depth + 1)
        this.put(item, depth + 1)
      }
      return undefined
    }
    if (types.isSet(value)) {
      this.#kind(kinds.set)
      this.#count(value.size)
      for (const item of value) this.put(item, depth + 1)
      return undefined
    }
    if (ArrayBuffer.isView(value)) return this.#viewOf(value, depth)
    if (types.isArrayBuffer(value)) {
      this.#kind(kinds.arrayBuffer)
      return this.#blob(new Uint8Array(value))
    }
    if (types.isNativeError(value)) {
      this.#kind(kinds.error)
      for (const part of [value.name, value.message, value.stack]) this.put(part, depth + 1)
      return this.put(value.cause, depth + 1)
    }
    return this.#plain(value, depth)
  }

  #array(value: readonly unknown[], depth: number): void {
    this.#kind(kinds.array)
    this.#count(value.length)
    for (let index = 0; index < value.length; index++) {
      if (index in value) this.put(value[index], depth + 1)
      else this.#kind(kinds.hole)
    }
  }

  #viewOf(view: ArrayBufferView, depth: number): void {
    const index = viewKinds.findIndex((kind) => kind.name === kindOf(view))
    if (index < 0) this.#refuse(`holds a ${kindOf(view)}`)
    if (types.isSharedArrayBuffer(view.buffer)) this.#refuse('holds shared memory')
    this.#kind(kinds.view)
    this.#count(index)
    // Views of one buffer share it afterwards, too.
    this.put(view.buffer, depth + 1)
    this.#count(view.byteOffset)
    this.#count(view.byteLength)
  }

  #plain(value: object, depth: number): void {
    const isOfTheHost =
      types.isProxy(value) || types.isPromise(value) || types.isBoxedPrimitive(value)
    const name = Object.prototype.toString.call(value).slice(8, -1)
    if (isOfTheHost || name !== 'Object') this.#refuse(`holds a ${name}`)
    const entries = Object.entries(value)
    this.#kind(kinds.object)
    this.#count(entries.length)
    for (const [key, item] of entries) {
      this.#text(key)
      this.put(item, depth + 1)
    }
  }

  #refuse(what: string): never {
    return fail(
      'ERR_SNAPSHOT',
      `the state of ${this.#name} cannot be written to a file: it ${what}`,
    )
  }

  #digits(digits: string): void {
    if (digits.length > most.digits) this.#refuse('holds a bigint that is too large')
    this.#text(digits)
  }

  #kind(kind: Kind): void {
    const at = this.#room(1)
    this.#view.setUint8(at, kind)
  }

  #number(value: number): void {
    const at = this.#room(8)
    this.#view.setFloat64(at, value, true)
  }

  #count(value: number): void {
    if (value > most.count) this.#refuse(`has more than ${most.count} parts`)
    const at = this.#room(4)
    this.#view.setUint32(at, value, true)
  }

  /** UTF-16, since a string of JavaScript's may hold half a pair. */
  #text(value: string): void {
    this.#count(value.length)
    const at = this.#room(value.length * 2)
    for (let index = 0; index < value.length; index++) {
      this.#view.setUint16(at + index * 2, value.charCodeAt(index), true)
    }
  }

  #blob(value: Uint8Array): void {
    this.#count(value.length)
    const at = this.#room(value.length)
    new Uint8Array(this.#view.buffer).set(value, at)
  }

  /** Where the next bytes go. */
  #room(bytes: number): number {
    const at = this.#length
    this.#length += bytes
    if (this.#length > most.bytes) this.#refuse(`takes more than ${most.bytes} bytes`)
    if (this.#length > this.#view.byteLength) {
      const larger = new Uint8Array(Math.max(this.#length, this.#view.byteLength * 2))
      larger.set(new Uint8Array(this.#view.buffer))
      this.#view = new DataView(larger.buffer)
    }
    return at
  }
}

function kindOf(view: ArrayBufferView): string {
  return Object.prototype.toString.call(view).slice(8, -1)
}
