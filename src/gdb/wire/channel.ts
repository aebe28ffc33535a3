import type { Socket } from 'node:net'
import { clearTimeout, setTimeout } from 'node:timers'

import { Framing, type Unit, packetOf } from './framing.ts'

/** How long a client may take for its first byte. */
const firstByteMs = 10_000
/** How long it may take to read an answer. */
const stallMs = 10_000
/** How often one packet is said again. */
const MAX_REPEATS = 8
/** How much may wait to be read by the client. */
const MAX_UNREAD_BYTES = 1 << 20

/** A connection, as packets. */
export class Channel {
  readonly #socket: Socket
  readonly #framing = new Framing()
  #acknowledges = true
  #last: Buffer | undefined
  #repeats = 0

  constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    // Its close follows.
    socket.on('error', () => undefined)
  }

  /** From now on no packet is confirmed, as the connection loses none. */
  stopAcknowledging(): void {
    this.#acknowledges = false
  }

  /** Packets and interrupts, until the connection ends. */
  async *units(): AsyncGenerator<Extract<Unit, { kind: 'packet' | 'interrupt' }>> {
    const first = setTimeout(() => this.close(), firstByteMs).unref()
    try {
      for await (const chunk of this.#socket.iterator({ destroyOnReturn: false })) {
        clearTimeout(first)
        for (const unit of this.#framing.take(chunk as Buffer)) {
          if (unit.kind === 'packet' || unit.kind === 'interrupt') {
            if (unit.kind === 'packet') this.#confirm('+')
            yield unit
            await this.#drained()
          } else if (!this.#handle(unit.kind)) return this.close()
          if (this.#socket.destroyed) return
        }
      }
    } catch {
      // The connection was reset.
    } finally {
      clearTimeout(first)
    }
  }

  /** Says a packet. */
  send(body: string | Uint8Array): void {
    this.#last = packetOf(body)
    this.#repeats = 0
    this.#write(this.#last)
  }

  /** Ends the connection when everything that was said is sent. */
  end(): void {
    // What a client that is ended still says is not read: its own end is.
    this.#socket.resume().end()
    setTimeout(() => this.close(), stallMs).unref()
  }

  /** Ends it at once. */
  close(): void {
    this.#socket.destroy()
  }

  /** Whether the conversation goes on after it. */
  #handle(kind: Exclude<Unit['kind'], 'packet' | 'interrupt'>): boolean {
    if (kind === 'foreign') return false
    if (kind === 'broken') this.#confirm('-')
    if (kind !== 'nak' || !this.#last || !this.#acknowledges) return true
    this.#repeats++
    this.#write(this.#last)
    return this.#repeats < MAX_REPEATS
  }

  #confirm(sign: '+' | '-'): void {
    if (this.#acknowledges) this.#write(Buffer.from(sign))
  }

  #write(bytes: Buffer): void {
    if (!this.#socket.writable) return
    if (this.#socket.writableLength > MAX_UNREAD_BYTES) this.close()
    else this.#socket.write(bytes)
  }

  /** Resolves when the client has read most of what was said, or it is given up. */
  async #drained(): Promise<void> {
    if (!this.#socket.writableNeedDrain || this.#socket.destroyed) return
    const stall = setTimeout(() => this.close(), stallMs).unref()
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#socket.off('drain', done)
        this.#socket.off('close', done)
        resolve()
      }
      this.#socket.on('drain', done)
      this.#socket.on('close', done)
    })
    clearTimeout(stall)
  }
}
