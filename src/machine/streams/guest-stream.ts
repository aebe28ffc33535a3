import { Duplex } from 'node:stream'

import { VmError } from '../../native/errors.ts'
import { LoopHold } from '../../native/loop.ts'
import { checkBytes, lengthOf } from '../../options/check.ts'

type Listener = Parameters<Duplex['on']>[1]
type WriteCallback = (error?: Error | null) => void

const { subarray } = Uint8Array.prototype

/**
 * A stream whose other end the guest has. During a run a reader that waits for it keeps the process
 * alive, as with a socket.
 *
 * @category Devices
 */
export abstract class GuestStream extends Duplex {
  readonly #hold = new LoopHold()
  /** A write that the guest has not read yet. */
  #waiting: { bytes: Uint8Array; length: number; done: WriteCallback } | undefined
  /** Tells whether a run is under way that can wait for the reader. @internal */
  protected readonly mayWait: () => boolean

  /** @internal */
  constructor(mayWait: () => boolean) {
    super({ autoDestroy: true })
    this.mayWait = mayWait
  }

  /** Holds the event loop while a reader waits for what a run may bring. @internal */
  consider(): void {
    if (this.isRead && this.readableLength < this.readableHighWaterMark && this.mayWait()) {
      this.#hold.take(this)
    } else this.#hold.release()
  }

  // With each of these a reader may have come or gone. The event 'removeListener' does not tell:
  // Node.js 20 leaves it out where a stream's only listener of a kind goes.

  /** @internal */
  override on(event: string | symbol, listener: Listener): this {
    super.on(event, listener)
    this.consider()
    return this
  }

  /** @internal */
  override addListener(event: string | symbol, listener: Listener): this {
    return this.on(event, listener)
  }

  /** @internal */
  override removeListener(event: string | symbol, listener: Listener): this {
    super.removeListener(event, listener)
    this.consider()
    return this
  }

  /** @internal */
  override off(event: string | symbol, listener: Listener): this {
    return this.removeListener(event, listener)
  }

  /** @internal */
  override removeAllListeners(event?: string | symbol): this {
    super.removeAllListeners(event)
    this.consider()
    return this
  }

  /** @internal */
  override resume(): this {
    super.resume()
    this.consider()
    return this
  }

  /** @internal */
  override pause(): this {
    super.pause()
    this.consider()
    return this
  }

  /** Whether there is a reader. @internal */
  protected get isRead(): boolean {
    if (this.destroyed || this.readableEnded) return false
    const flows = this.readableFlowing === true && this.listenerCount('data') > 0
    return flows || this.listenerCount('readable') > 0
  }

  /** Gives bytes to the guest, and returns how many it has room for. @internal */
  protected abstract give(bytes: Uint8Array): number

  /** There was no room for all: sees to it that `send` is called again. @internal */
  protected abstract waitForRoom(): void

  /** The stream is destroyed. @internal */
  protected abstract leave(): void

  /** @internal */
  override _write(chunk: Buffer, _encoding: string, done: WriteCallback): void {
    try {
      // The stream itself takes whatever inherits from a Buffer.
      const bytes = checkBytes('chunk', chunk)
      this.#waiting = { bytes, length: lengthOf(bytes), done }
    } catch (error) {
      return done(error as VmError)
    }
    this.send()
  }

  /** Gives the guest more of the write that waits, if one does. @internal */
  protected send(): void {
    if (!this.#waiting) return
    const { bytes, length, done } = this.#waiting
    if (lengthOf(bytes) !== length) {
      this.#waiting = undefined
      const what = 'what is written must keep its length until the guest has read it'
      return done(new VmError('ERR_INVALID_OPTION', what))
    }
    const taken = this.give(bytes)
    if (taken === length) {
      this.#waiting = undefined
      return done()
    }
    this.#waiting = { bytes: subarray.call(bytes, taken), length: length - taken, done }
    this.waitForRoom()
  }

  /** @internal */
  override _destroy(error: Error | null, done: WriteCallback): void {
    this.leave()
    this.#hold.release()
    this.#waiting?.done(new VmError('ERR_VM_CLOSED', 'the guest did not read what was written'))
    this.#waiting = undefined
    done(error)
  }

  /**
   * The machine is closed: what was received can still be read, and what is written goes nowhere.
   * @internal
   */
  finish(): void {
    this.push(null)
    if (!this.#waiting) return void this.end()
    const isBehind = this.readableFlowing !== null && this.readableLength > 0
    if (this.isRead || isBehind) this.once('end', () => this.destroy())
    else this.destroy()
  }
}
