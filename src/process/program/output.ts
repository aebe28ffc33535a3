import { Readable } from 'node:stream'

/** Bytes that wait to be taken, until the process has to wait. */
const WAITING_BYTES = 64 * 1024

/** What a process writes, until it is read. */
export class Output extends Readable {
  readonly #writers = new Set<() => void>()
  #isFull = false

  constructor() {
    super({ highWaterMark: WAITING_BYTES, autoDestroy: true })
    // A reader that gives up says so by destroying it.
    this.on('error', () => {})
  }

  override _read(): void {
    this.#isFull = false
    this.#wake()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#isFull = false
    this.#wake()
    done(error)
  }

  /** Whether the process would have to wait. */
  get isFull(): boolean {
    return this.#isFull
  }

  /** Nothing reads it any more. */
  get isGone(): boolean {
    return this.destroyed
  }

  put(bytes: Uint8Array): void {
    if (!this.destroyed) this.#isFull = !this.push(bytes)
  }

  /** Calls once there is room, unless what it returns was called. */
  onceRoom(call: () => void): () => void {
    const once = (): void => {
      this.#writers.delete(once)
      call()
    }
    this.#writers.add(once)
    if (!this.#isFull) queueMicrotask(() => this.#writers.has(once) && once())
    return () => this.#writers.delete(once)
  }

  /** Nothing more will be written. */
  finish(): void {
    if (!this.destroyed) this.push(null)
  }

  #wake(): void {
    for (const writer of this.#writers) writer()
  }
}
