import { kinds, most, viewKinds } from './value-kinds.ts'
import { fail } from '../../native/errors.ts'

/**
 * Reads what `encode` has written. The bytes may come from anywhere: a wrong one is an error, and
 * nothing larger than them is made.
 *
 * @throws {VmError} `ERR_SNAPSHOT`.
 */
export function decode(name: string, bytes: Uint8Array): unknown {
  const decoder = new Decoder(name, bytes)
  const value = decoder.take(0)
  decoder.end()
  return value
}

/** A hole in an array. */
const hole = Symbol('hole')

class Decoder {
  readonly #name: string
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #known: object[] = []
  #at = 0

  constructor(name: string, bytes: Uint8Array) {
    this.#name = name
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  end(): void {
    if (this.#at !== this.#bytes.length) this.#refuse()
  }

  take(depth: number): unknown {
    const value = this.#takeAny(depth)
    return value === hole ? this.#refuse() : value
  }

  #takeAny(depth: number): unknown {
    if (depth > most.depth) this.#refuse()
    const kind = this.#view.getUint8(this.#next(1))
    switch (kind) {
      case kinds.undefined:
        return undefined
      case kinds.null:
        return null
      case kinds.false:
        return false
      case kinds.true:
        return true
      case kinds.number:
        return this.#number()
      case kinds.bigint:
        return this.#bigint()
      case kinds.negativeBigint:
        return -this.#bigint()
      case kinds.string:
        return this.#text()
      case kinds.hole:
        return hole
      case kinds.known:
        return this.#known[this.#count(0)] ?? this.#refuse()
      default:
        return this.#object(kind, depth + 1)
    }
  }

  #object(kind: number, depth: number): unknown {
    switch (kind) {
      case kinds.array:
        return this.#array(depth)
      case kinds.object:
        return this.#plain(depth)
      case kinds.date:
        return this.#note(new Date(this.#number()))
      case kinds.regExp:
        return this.#note(this.#regExp())
      case kinds.map:
        return this.#map(depth)
      case kinds.set:
        return this.#set(depth)
      case kinds.arrayBuffer: {
        const length = this.#count(1)
        const at = this.#next(length)
        return this.#note(this.#bytes.slice(at, at + length).buffer)
      }
      case kinds.view:
        return this.#viewOf(depth)
      case kinds.error:
        return this.#error(depth)
      default:
        return this.#refuse()
    }
  }

  #array(depth: number): unknown[] {
    const length = this.#count(1)
    const array: unknown[] = this.#note([])
    for (let index = 0; index < length; index++) {
      const value = this.#takeAny(depth)
      if (value === hole) array.length = index + 1
      else array.push(value)
    }
    return array
  }

  #plain(depth: number): object {
    const count = this.#count(5)
    const object: Record<string, unknown> = this.#note({})
    for (let index = 0; index < count; index++) {
      const key = this.#text()
      // An own property, whatever its name is: `__proto__` too.
      Object.defineProperty(object, key, {
        value: this.take(depth),
        writable: true,
        enumerable: true,
        configurable: true,
      })
    }
    return object
  }

  #map(depth: number): Map<unknown, unknown> {
    const count = this.#count(2)
    const map = this.#note(new Map<unknown, unknown>())
    for (let index = 0; index < count; index++) {
      const key = this.take(depth)
      map.set(key, this.take(depth))
    }
    return map
  }

  #set(depth: number): Set<unknown> {
    const count = this.#count(1)
    const set = this.#note(new Set<unknown>())
    for (let index = 0; index < count; index++) set.add(this.take(depth))
    return set
  }

  #viewOf(depth: number): ArrayBufferView {
    const Made = viewKinds[this.#count(0)] ?? this.#refuse()
    // The view has its number before its buffer has one.
    const place = this.#known.length
    this.#known.push(this.#known)
    const buffer = this.take(depth)
    const [offset, bytes] = [this.#count(0), this.#count(0)]
    const item = Made.BYTES_PER_ELEMENT ?? 1
    const fits =
      buffer instanceof ArrayBuffer &&
      offset % item === 0 &&
      bytes % item === 0 &&
      offset + bytes <= buffer.byteLength
    if (!fits) return this.#refuse()
    const view = new Made(buffer, offset, bytes / item)
    this.#known[place] = view
    return view
  }

  #error(depth: number): Error {
    const error = this.#note(new Error())
    const [name, message, stack] = [this.take(depth), this.take(depth), this.take(depth)]
    const cause = this.take(depth)
    if (typeof name !== 'string' || typeof message !== 'string') return this.#refuse()
    const Made = errors.find((kind) => kind.name === name)
    if (Made) Object.setPrototypeOf(error, Made.prototype as object)
    const own = { message, stack, ...(cause !== undefined && { cause }) }
    for (const [key, value] of Object.entries(own)) {
      Object.defineProperty(error, key, { value, writable: true, configurable: true })
    }
    return error
  }

  #regExp(): RegExp {
    const [source, flags] = [this.#text(), this.#text()]
    try {
      return new RegExp(source, flags)
    } catch {
      return this.#refuse()
    }
  }

  #bigint(): bigint {
    const digits = this.#text()
    if (digits.length > most.digits || !/^[0-9a-f]+$/.test(digits)) this.#refuse()
    return BigInt(`0x${digits}`)
  }

  #note<T extends object>(value: T): T {
    this.#known.push(value)
    return value
  }

  #number(): number {
    return this.#view.getFloat64(this.#next(8), true)
  }

  /** A count of parts that each take so many bytes at least. */
  #count(least: number): number {
    const count = this.#view.getUint32(this.#next(4), true)
    if (count * least > this.#bytes.length - this.#at) this.#refuse()
    return count
  }

  #text(): string {
    const length = this.#count(2)
    const at = this.#next(length * 2)
    let text = ''
    for (let index = 0; index < length; index++) {
      text += String.fromCharCode(this.#view.getUint16(at + index * 2, true))
    }
    return text
  }

  #next(bytes: number): number {
    const at = this.#at
    if (bytes > this.#bytes.length - at) this.#refuse()
    this.#at += bytes
    return at
  }

  #refuse(): never {
    return fail('ERR_SNAPSHOT', `the state of ${this.#name} in the file is damaged`)
  }
}

const errors = [EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError]
