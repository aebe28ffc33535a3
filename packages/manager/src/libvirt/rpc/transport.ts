import type { Socket } from 'node:net'

import { Frames, SPARE_BYTES } from './frames.ts'
import type { Limits } from './limits.ts'

/** Messages that one connection is served before others have their turn. */
const MESSAGES_PER_TURN = 32

/** What the connections of a server share. */
export interface Pool {
  /** Bytes of messages that have not come whole. */
  bytes: number
}

/** What happens on a connection's socket. */
export interface TransportEvents {
  /** A whole message came. */
  message(bytes: Buffer): void
  /** What was sent has been read: streams may go on. */
  drained(): void
  /** Nothing comes or goes any more; once. */
  closed(): void
}

/**
 * A socket that carries messages. It is not read while its client does not read, while something
 * holds it, and while messages of it wait.
 */
export class Transport {
  readonly #socket: Socket
  readonly #limits: Limits
  readonly #events: TransportEvents
  readonly #pool: Pool
  readonly #frames = new Frames()
  /** Of the pool. */
  #bytes = 0
  #messageBytes: number
  #holds = 0
  #isFull = false
  #isWaiting = false
  #isClosed = false
  #stall: NodeJS.Timeout | undefined
  #partial: NodeJS.Timeout | undefined
  /** Why the server closed it. */
  reason = ''

  constructor(socket: Socket, limits: Limits, pool: Pool, events: TransportEvents) {
    this.#socket = socket
    this.#limits = limits
    this.#pool = pool
    this.#events = events
    this.#messageBytes = limits.firstMessageBytes
    socket.on('data', (chunk) => this.#take(chunk))
    socket.on('drain', () => this.#drain())
    // What a client has not read when it goes, nobody misses.
    socket.on('error', () => this.close())
    socket.on('end', () => this.close())
    socket.on('close', () => this.close())
  }

  /** Whether what was sent waits for the client to read. */
  get isFull(): boolean {
    return this.#isFull
  }

  /** Whether it is over. */
  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Allows messages of the whole size. */
  allowAll(): void {
    this.#messageBytes = this.#limits.messageBytes
  }

  /** Reads nothing until {@link release} was called as often. */
  hold(): void {
    this.#holds++
    this.#forgetPartial()
    this.#socket.pause()
  }

  /** Undoes one {@link hold}. */
  release(): void {
    this.#holds--
    this.#wake()
  }

  /** Sends a message; closes a connection whose client leaves too much unread. */
  send(bytes: Buffer): void {
    if (this.#isClosed) return
    const flows = this.#socket.write(bytes)
    if (this.#socket.writableLength > this.#limits.outgoingBytes) {
      this.close(`${this.#socket.writableLength} bytes wait for its client to read them`)
    } else if (!flows && !this.#isFull) {
      this.#isFull = true
      this.hold()
      const { stallMs } = this.#limits
      this.#stall = setTimeout(() => this.close(`unread for ${stallMs} ms`), stallMs)
    }
  }

  /** Sends what waits, and closes. */
  end(): void {
    if (this.#isClosed) return
    this.hold()
    this.#stall ??= setTimeout(() => this.close(), this.#limits.stallMs)
    this.#socket.end(() => this.close())
  }

  /** Closes at once. */
  close(reason = ''): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.reason = reason
    clearTimeout(this.#stall)
    this.#forgetPartial()
    this.#pool.bytes -= this.#bytes
    this.#socket.destroy()
    this.#events.closed()
  }

  #drain(): void {
    if (!this.#isFull) return
    this.#isFull = false
    clearTimeout(this.#stall)
    this.#stall = undefined
    this.#events.drained()
    this.release()
  }

  #take(chunk: Buffer): void {
    this.#frames.push(chunk)
    this.#account()
    if (this.#bytes > SPARE_BYTES && this.#pool.bytes > this.#limits.partialBytes) {
      return this.close(`${this.#pool.bytes} bytes of messages wait for their rest`)
    }
    if (!this.#isWaiting) this.#serve()
  }

  #wake(): void {
    if (this.#isWaiting || this.#holds > 0 || this.#isClosed) return
    this.#isWaiting = true
    setImmediate(() => {
      this.#isWaiting = false
      this.#serve()
    })
  }

  #serve(): void {
    for (let served = 0; served < MESSAGES_PER_TURN; served++) {
      if (this.#isClosed || this.#holds > 0) return
      const message = this.#frames.next(this.#messageBytes)
      if (message === undefined) return this.#await()
      this.#forgetPartial()
      if (message === 'broken') return this.close('a message of an impossible length')
      this.#events.message(message)
    }
    this.#socket.pause()
    this.#wake()
  }

  /** Reads on: the next message has to come in time, once it has begun. */
  #await(): void {
    this.#account()
    if (this.#frames.isPartial) {
      const { messageMs } = this.#limits
      const close = (): void => this.close(`half a message for ${messageMs} ms`)
      this.#partial ??= setTimeout(close, messageMs)
    }
    this.#socket.resume()
  }

  #forgetPartial(): void {
    clearTimeout(this.#partial)
    this.#partial = undefined
  }

  #account(): void {
    this.#pool.bytes += this.#frames.size - this.#bytes
    this.#bytes = this.#frames.size
  }
}
