import { raise } from '../../native/errors.ts'
import type { NativeMachine } from '../../native/seam.ts'
import { GuestStream } from './guest-stream.ts'

/**
 * The host's end of a console port. The guest receives what is written to the stream; what the
 * guest sends is read from it. A slow reader makes the guest wait, and a slow guest the writer.
 *
 * The stream continues from run to run and ends with `vm.close()`. After `destroy()` nobody is
 * there for the guest, and what it sends goes nowhere.
 *
 * @category Devices
 */
export class ConsolePort extends GuestStream {
  readonly #machine: NativeMachine
  readonly #index: number
  /** Whether the stream has room for more of the guest's. */
  #takesMore = false
  #isOver = false
  /** Whether a run is under way that can wait for the reader. */
  #mayWait = false

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
    this.send()
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
  protected override give(bytes: Uint8Array): number {
    return this.#machine.pushPortBytes(this.#index, bytes)
  }

  /** Its other end rings when there is room. @internal */
  protected override waitForRoom(): void {}

  /** @internal */
  protected override leave(): void {
    this.#machine.openPort(this.#index, false)
  }

  /** @internal */
  override finish(): void {
    if (this.destroyed) return
    this.#isOver = true
    super.finish()
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
