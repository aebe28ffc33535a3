import { checkBytes, lengthOf } from '../../options/check.ts'
import { VmError, raise } from '../../native/errors.ts'
import type { NativeMachine } from '../../native/seam.ts'
import { GuestStream } from './guest-stream.ts'

type WriteCallback = (error?: Error | null) => void

const { subarray } = Uint8Array.prototype

/**
 * The host's end of a console port. The guest receives what is written to the stream; what the
 * guest sends is read from it. A slow reader makes the guest wait, and a slow guest the writer.
 *
 * The stream continues from run to run and ends with `vm.close()`. After `destroy()` nobody is
 * there for the guest, and what it sends goes nowhere.
 */
export class ConsolePort extends GuestStream {
  readonly #machine: NativeMachine
  readonly #index: number
  /** Whether the stream has room for more of the guest's. */
  #takesMore = false
  #isOver = false
  /** Whether a run is under way that can wait for the reader. */
  #mayWait = false
  /** A write for which there was no room. */
  #waiting: { bytes: Uint8Array; length: number; done: WriteCallback } | undefined

  /** @internal */
  constructor(machine: NativeMachine, index: number) {
    super(() => this.#mayWait)
    this.#machine = machine
    this.#index = index
  }

  /**
   * Chunk by chunk, until `vm.close()`. Leaving the loop leaves the stream open.
   * @internal
   */
  override [Symbol.asyncIterator](): NodeJS.AsyncIterator<Buffer> {
    return this.iterator({ destroyOnReturn: false })
  }

  /** Something waits at its other end; returns whether somebody has got something. @internal */
  serve(): boolean {
    this.#send()
    return this.#receive()
  }

  /** A run has begun or ended. @internal */
  changed(mayWait: boolean): void {
    this.#mayWait = mayWait
    this.consider()
  }

  /** @internal */
  override _read(): void {
    if (!this.#takesMore) {
      this.#takesMore = true
      // In a turn of its own: a guest that floods leaves the event loop its turns.
      setImmediate(() => this.#receive())
    }
    this.consider()
  }

  /** @internal */
  override _write(chunk: Buffer, _encoding: string, done: WriteCallback): void {
    try {
      const bytes = checkBytes('chunk', chunk)
      this.#waiting = { bytes, length: lengthOf(bytes), done }
    } catch (error) {
      return done(error as VmError)
    }
    this.#send()
  }

  /** @internal */
  override _destroy(error: Error | null, done: WriteCallback): void {
    this.#machine.openPort(this.#index, false)
    this.letGo()
    this.#waiting?.done(new VmError('ERR_VM_CLOSED', 'the guest did not read what was written'))
    this.#waiting = undefined
    done(error)
  }

  /**
   * The machine is closed: what was received can still be read, and what is written goes nowhere.
   * @internal
   */
  finish(): void {
    if (this.destroyed) return
    this.#isOver = true
    this.push(null)
    if (!this.#waiting) return void this.end()
    const isBehind = this.readableFlowing !== null && this.readableLength > 0
    if (this.isRead || isBehind) this.once('end', () => this.destroy())
    else this.destroy()
  }

  #send(): void {
    if (!this.#waiting) return
    const { bytes, length, done } = this.#waiting
    if (lengthOf(bytes) !== length) {
      this.#waiting = undefined
      const what = 'what is written must keep its length until the guest has read it'
      return done(new VmError('ERR_INVALID_OPTION', what))
    }
    const taken = this.#machine.pushPortBytes(this.#index, bytes)
    if (taken === length) {
      this.#waiting = undefined
      return done()
    }
    this.#waiting = { bytes: subarray.call(bytes, taken), length: length - taken, done }
  }

  /** Hands over what waits at this moment, and returns whether there was something. */
  #receive(): boolean {
    if (!this.#takesMore || this.destroyed || this.#isOver) return false
    const sent = this.#machine.takePortBytes(this.#index)
    if (!sent) return false
    try {
      this.#takesMore = this.push(Buffer.from(sent.buffer, sent.byteOffset, sent.byteLength))
    } catch (error) {
      // As with any stream, what a listener throws is nobody's to catch.
      process.nextTick(raise, error)
    }
    this.consider()
    return true
  }
}
