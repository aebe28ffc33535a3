import { Readable, Writable } from 'node:stream'

import { invalid } from '../../native/errors.ts'
import { checkBytes } from '../../options/check.ts'

/**
 * What a standard input can be.
 *
 * @category Process
 */
export type Source =
  | string
  | Uint8Array
  | Readable
  | AsyncIterable<Uint8Array | string>
  | Iterable<Uint8Array | string>

/** Checks what is given as standard input. */
export function checkSource(name: string, value: unknown): Source {
  if (typeof value === 'string') return value
  if (ArrayBuffer.isView(value)) return checkBytes(name, value)
  const isIterable =
    typeof value === 'object' &&
    value !== null &&
    (Symbol.asyncIterator in value || Symbol.iterator in value)
  return isIterable ? (value as Source) : invalid(name, 'a string, bytes or a stream', value)
}

/** Bytes that wait to be read, until what writes has to wait. */
const WAITING_BYTES = 64 * 1024

/** What is written to a process, and waits there until it reads. */
export class Input extends Writable {
  #waiting: Uint8Array[] = []
  #written: (() => void) | undefined
  #isOver = false
  readonly #readers = new Set<() => void>()

  constructor(source: Source | undefined) {
    super({ highWaterMark: WAITING_BYTES, decodeStrings: true })
    // A source that fails is told to the process, by its read.
    this.on('error', () => {})
    if (source === undefined) return
    if (typeof source === 'string' || ArrayBuffer.isView(source)) this.end(source)
    else {
      const from = source instanceof Readable ? source : Readable.from(source)
      from.on('error', (error) => this.destroy(error))
      from.pipe(this)
    }
  }

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    this.#waiting.push(chunk)
    // The next piece comes when this one was read.
    this.#written = done
    this.#wake()
  }

  override _final(done: () => void): void {
    this.#isOver = true
    this.#wake()
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#isOver = true
    this.#wake()
    done(error)
  }

  /** Whether `take` has an answer: bytes, or the end. */
  get isReady(): boolean {
    return this.#waiting.length > 0 || this.#isOver
  }

  /** Whether all is read that came before a failure of the source. */
  get hasFailed(): boolean {
    return this.#waiting.length === 0 && this.errored !== null
  }

  /** How many bytes wait. */
  get waiting(): number {
    return this.#waiting.reduce((sum, { length }) => sum + length, 0)
  }

  /** At most so many bytes, which stay: none at the end. */
  peek(most: number): Uint8Array {
    return this.#waiting[0]?.subarray(0, most) ?? new Uint8Array()
  }

  /** At most so many bytes: none at the end. */
  take(most: number): Uint8Array {
    const [first] = this.#waiting
    const part = this.peek(most)
    if (!first) return part
    if (part.length < first.length) this.#waiting[0] = first.subarray(most)
    else this.#waiting.shift()
    if (this.#waiting.length === 0) {
      const done = this.#written
      this.#written = undefined
      done?.()
    }
    return part
  }

  /** Calls once there is an answer, unless what it returns was called. */
  onceReady(call: () => void): () => void {
    const once = (): void => {
      this.#readers.delete(once)
      call()
    }
    this.#readers.add(once)
    if (this.isReady) queueMicrotask(() => this.#readers.has(once) && once())
    return () => this.#readers.delete(once)
  }

  #wake(): void {
    for (const reader of this.#readers) reader()
  }
}
