import type { Socket } from 'node:net'

import { raise } from '../../native/errors.ts'
import { patience } from './patience.ts'

/** How long a viewer may take to read one piece of a picture; a slower one is dropped. */
const stallMs = 10_000

/** How much is read at once of what nobody looks at. */
const skipBytes = 4096

/** Ends the conversation with a viewer, whose connection is closed. Nobody else learns of it. */
export function drop(why: string): never {
  return raise(new Error(why))
}

/**
 * The connection to a viewer, as bytes that are asked for. What nobody asks for stays with the
 * kernel, and so does what the viewer does not read.
 */
export class Peer {
  readonly #socket: Socket
  #wake: () => void = () => undefined

  constructor(socket: Socket) {
    this.#socket = socket
    // A viewer alone keeps no process alive: what it looks at does.
    socket.unref()
    const wake = (): void => this.#wake()
    socket.on('readable', wake)
    socket.on('end', wake)
    socket.on('close', wake)
    // Its close follows.
    socket.on('error', () => undefined)
  }

  /** The next bytes. */
  async read(length: number): Promise<Buffer> {
    for (;;) {
      const bytes = this.#socket.read(length) as Buffer | null
      if (bytes?.length === length) return bytes
      if (this.#socket.destroyed || this.#socket.readableEnded || bytes) drop('it went')
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  /** Reads what is of no use. */
  async skip(length: number): Promise<void> {
    for (let left = length; left > 0; left -= skipBytes) await this.read(Math.min(left, skipBytes))
  }

  /** Resolves when the kernel has taken them. */
  async write(bytes: Uint8Array): Promise<void> {
    const cancel = patience(stallMs, () => this.close())
    try {
      await new Promise<void>((resolve, reject) => {
        this.#socket.write(bytes, (error) => (error ? reject(error) : resolve()))
      })
    } finally {
      cancel()
    }
  }

  /** Whatever waits for it fails. */
  close(): void {
    this.#socket.destroy()
  }
}
