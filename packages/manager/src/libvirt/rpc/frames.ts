import { Buffer } from 'node:buffer'

/** Bytes of a message's length. */
const LENGTH_BYTES = 4
/** Bytes of a message's header. */
const HEADER_BYTES = 24
/** Bytes that are kept for small messages. */
export const SPARE_BYTES = 64 * 1024

/** What a message says of itself. */
export interface Header {
  readonly program: number
  readonly version: number
  readonly procedure: number
  readonly type: number
  readonly serial: number
  readonly status: number
}

/** Kinds of messages. */
export const TYPE = { call: 0, reply: 1, message: 2, stream: 3, hole: 6 } as const
/** How a call went, and whether a stream goes on. */
export const STATUS = { ok: 0, error: 1, continue: 2 } as const

/** The bytes of a message. */
export function frame(header: Header, payload: Uint8Array = new Uint8Array()): Buffer {
  const length = LENGTH_BYTES + HEADER_BYTES + payload.length
  const bytes = Buffer.allocUnsafe(length)
  bytes.writeUInt32BE(length, 0)
  bytes.writeUInt32BE(header.program, 4)
  bytes.writeUInt32BE(header.version, 8)
  bytes.writeInt32BE(header.procedure, 12)
  bytes.writeUInt32BE(header.type, 16)
  bytes.writeUInt32BE(header.serial, 20)
  bytes.writeUInt32BE(header.status, 24)
  bytes.set(payload, LENGTH_BYTES + HEADER_BYTES)
  return bytes
}

/** The header of a message. */
export function headerOf(message: Buffer): Header {
  return {
    program: message.readUInt32BE(4),
    version: message.readUInt32BE(8),
    procedure: message.readInt32BE(12),
    type: message.readUInt32BE(16),
    serial: message.readUInt32BE(20),
    status: message.readUInt32BE(24),
  }
}

/** What follows the header of a message. */
export function payloadOf(message: Buffer): Buffer {
  return message.subarray(LENGTH_BYTES + HEADER_BYTES)
}

/** Cuts what comes from a socket into messages. Holds one message and one chunk at most. */
export class Frames {
  #bytes = Buffer.allocUnsafe(0)
  #start = 0
  #end = 0

  /** Bytes that it takes of memory. */
  get size(): number {
    return this.#bytes.length
  }

  /** Whether a part of a message is held. */
  get isPartial(): boolean {
    return this.#end > this.#start
  }

  /** Takes what came. */
  push(chunk: Buffer): void {
    if (this.#bytes.length - this.#end < chunk.length) this.#makeRoom(chunk.length)
    chunk.copy(this.#bytes, this.#end)
    this.#end += chunk.length
  }

  /**
   * The next message, or `undefined` when it is not whole; `'broken'` when its length cannot be, of
   * which nothing can be read any more.
   */
  next(maxBytes: number): Buffer | undefined | 'broken' {
    const held = this.#end - this.#start
    if (held < LENGTH_BYTES) return undefined
    const length = this.#bytes.readUInt32BE(this.#start)
    if (length < LENGTH_BYTES + HEADER_BYTES || length > maxBytes) return 'broken'
    if (held < length) return undefined
    const message = Buffer.from(this.#bytes.subarray(this.#start, this.#start + length))
    this.#start += length
    if (this.#start === this.#end) this.#clear()
    return message
  }

  #clear(): void {
    this.#start = 0
    this.#end = 0
    if (this.#bytes.length > SPARE_BYTES) this.#bytes = Buffer.allocUnsafe(0)
  }

  /** Moves what is held to the front of bytes that `more` fit into, too. */
  #makeRoom(more: number): void {
    const held = this.#bytes.subarray(this.#start, this.#end)
    const needed = held.length + more
    const isLarge = needed <= this.#bytes.length
    const next = isLarge ? this.#bytes : Buffer.allocUnsafe(Math.max(needed, 2 * held.length))
    held.copy(next)
    this.#bytes = next
    this.#start = 0
    this.#end = held.length
  }
}
