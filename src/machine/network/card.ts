import { Duplex } from 'node:stream'

import { checkBytes, steady } from '../../options/check.ts'
import { takeFrames } from '../../options/virtio/network.ts'
import { raise } from '../../native/errors.ts'
import type { NativeMachine } from '../../native/seam.ts'
import type { RemoteEnd } from '../remote/remotes.ts'

type Callback = (error?: Error | null) => void

/** What the native side says of a frame that it has no room for. */
const full = 2

/** What of a card depends on whose implementation its stream has. */
interface Ends {
  /** Hands a frame of the guest's over, and returns whether there is room for more. */
  give(frame: Buffer): boolean
  /** Frames that found no room may come again. */
  goOn(): void
  /** The machine is closed. */
  close(): void
}

/** A network card between its stream and the guest. */
export class Card implements RemoteEnd {
  readonly name: string
  readonly #machine: NativeMachine
  readonly #index: number
  readonly #ends: Ends
  /** For the guest, which had no room. */
  readonly #late: { frame: Uint8Array; done: () => void }[] = []
  #mayGive = true
  #isOver = false

  constructor(machine: NativeMachine, index: number, name: string, frames: Duplex) {
    this.#machine = machine
    this.#index = index
    this.name = name
    takeFrames(frames)
    const over = (): void => this.#end()
    // The listener for errors stays: a stream that fails is a link that goes down.
    for (const event of ['end', 'finish', 'close', 'error']) frames.on(event, over)
    this.#ends = isBlank(frames) ? this.#implement(frames) : this.#use(frames)
    machine.linkNic(index, true)
  }

  serve(): boolean {
    this.#takeLate()
    return this.#send()
  }

  close(): void {
    this.#isOver = true
    for (const { done } of this.#late.splice(0)) done()
    this.#ends.close()
  }

  /** What the guest sends is written to the stream, and what it is read from reaches the guest. */
  #use(frames: Duplex): Ends {
    frames.on('drain', () => this.#resume())
    const take = (chunk: unknown): void => {
      try {
        if (!this.#receive(chunk, () => undefined)) frames.pause()
      } catch (error) {
        frames.destroy(error as Error)
      }
    }
    frames.on('data', take)
    return {
      give: (frame) => frames.writable && frames.write(frame),
      goOn: () => frames.resume(),
      close: () => {
        frames.off('data', take)
        frames.end()
        // So that it can come to its end.
        frames.resume()
      },
    }
  }

  /** The card itself is what the stream is made of. */
  #implement(frames: Duplex): Ends {
    const write = (chunk: unknown, _encoding: string, done: Callback): void => {
      try {
        if (this.#receive(chunk, done)) done()
      } catch (error) {
        done(error as Error)
      }
    }
    Object.assign(frames, { _read: () => this.#resume(), _write: write })
    return {
      give: (frame) => frames.push(frame),
      goOn: () => undefined,
      close: () => {
        if (!frames.destroyed) frames.push(null)
        frames.end()
      },
    }
  }

  /** Returns whether the frame needs no more care; otherwise `done` is called when it does not. */
  #receive(chunk: unknown, done: () => void): boolean {
    const frame = steady(checkBytes('a frame', chunk))
    if (this.#isOver) return true
    if (this.#late.length === 0 && this.#machine.pushFrame(this.#index, frame) !== full) return true
    this.#late.push({ frame, done })
    return false
  }

  #takeLate(): void {
    for (let first; (first = this.#late[0]);) {
      if (this.#machine.pushFrame(this.#index, first.frame) === full) return
      this.#late.shift()
      first.done()
      if (this.#late.length === 0) this.#ends.goOn()
    }
  }

  /** In a turn of its own: a guest that floods a fast reader leaves the event loop its turns. */
  #resume(): void {
    if (this.#mayGive) return
    this.#mayGive = true
    setImmediate(() => this.#send())
  }

  /** Hands over what waits at this moment, and returns whether there was something. */
  #send(): boolean {
    if (!this.#mayGive || this.#isOver) return false
    const sent = this.#machine.takeFrames(this.#index)
    for (const { buffer, byteOffset, length } of sent)
      this.#mayGive = this.#give(Buffer.from(buffer, byteOffset, length))
    return sent.length > 0
  }

  #give(frame: Buffer): boolean {
    try {
      return !this.#isOver && this.#ends.give(frame)
    } catch (error) {
      // As with any stream, what a listener throws is nobody's to catch.
      process.nextTick(raise, error)
      return true
    }
  }

  /** Nobody is there any more at the other end. */
  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#machine.linkNic(this.#index, false)
    for (const { done } of this.#late.splice(0)) done()
  }
}

/** Whether a stream says neither how it is read nor how it is written to. */
function isBlank(stream: Duplex): boolean {
  const methods = ['_read', '_write', '_writev'] as const
  return methods.every((name) => stream[name] === Duplex.prototype[name])
}
