import { Duplex } from 'node:stream'

import { LoopHold } from '../../native/loop.ts'

type Listener = Parameters<Duplex['on']>[1]

/**
 * A stream whose other end the guest has. During a run a reader that waits for it keeps the process
 * alive, as with a socket.
 */
export abstract class GuestStream extends Duplex {
  readonly #hold = new LoopHold()
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

  /** Holds nothing any more. @internal */
  protected letGo(): void {
    this.#hold.release()
  }
}
